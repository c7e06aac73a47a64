"""A server put together: store, engine, services, and the workers inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import structlog

from longshore.access.keeper import Keeper
from longshore.cli.credentials import Credentials
from longshore.cli.gateways import gateway_running
from longshore.cli.inside import GATEWAY, Door, Inside, insider, reachable
from longshore.cli.memory import collect_garbage_rarely, keep_freed_memory
from longshore.cli.output import say
from longshore.cli.serving import Serving
from longshore.cli.stopping import stopped_by_signals
from longshore.core.principals import Role
from longshore.engine.engine import Engine
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore

log = structlog.get_logger()

_LAST_WORDS_SECONDS: Final = 1.0  #: For calls to be answered after the store has failed.


async def run_server(serving: Serving) -> None:
    """Serve until a signal, then drain; a second signal ends the process.

    Raises what `serving.prepare` raises, `StoreUnavailable` when the store cannot be had, or
    fails, `FilesUnavailable` when the place of files cannot be had, `InvalidPrincipals`,
    `CannotListen`, `CannotServeTls` and `CannotServe`.
    """
    collect_garbage_rarely()
    keep_freed_memory()
    stopped = stopped_by_signals()
    store, blobs = SqliteStore(serving.path, ProtoCodec()), ObstoreBlobs(serving.place_of_files)
    engine = Engine(store, blobs, serving.settings)
    async with (
        _keeper(serving.protection.principals) as keeper,
        engine,
        _server(serving, engine, keeper) as server,
    ):
        say(f"longshore listening on {server.address}")
        door = _door(serving, server, keeper)
        async with Inside(door, serving.grace_seconds) as inside:
            if serving.prepare is not None:
                await serving.prepare(door)
            for worker in serving.workers:
                inside.start(worker)
            async with _gateway(serving, server, keeper):
                ends: list[asyncio.Future[Any]] = [stopped, engine.failed, *inside.running]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if engine.failed.done():
                    # Those who wait are told so before the connections are closed.
                    await server.drain(_LAST_WORDS_SECONDS)
                    engine.failed.result()
                log.info("draining", grace_seconds=serving.grace_seconds)
                await server.retire()
            await inside.drain()
        await server.drain(serving.grace_seconds)
    log.info("stopped")


def _keeper(principals: Path | None) -> AbstractAsyncContextManager[Keeper | None]:
    return nullcontext() if principals is None else Keeper(principals)


def _server(serving: Serving, engine: Engine, keeper: Keeper | None) -> Server:
    protection = serving.protection
    return Server(
        engine,
        serving.listen,
        access=keeper,
        tls=protection.tls,
        limits=protection.limits,
        reflection=protection.who_may_reflect(serving.listen),
        workers_inside=bool(serving.workers or serving.gateway),
    )


@asynccontextmanager
async def _gateway(
    serving: Serving, server: Server, keeper: Keeper | None
) -> AsyncGenerator[None]:
    """Run the gateway inside, if there is to be one; its callbacks come in as workers do."""
    if serving.gateway is None:
        yield
        return
    credentials = Credentials(
        token=None if keeper is None else keeper.with_token(GATEWAY),
        tls=None,
        insecure=True,  # it does not leave this process's machine
    )
    address = reachable(server.inside_address)
    grace = serving.grace_seconds
    running = gateway_running(serving.gateway, address, credentials, grace, server.inside.open)
    async with running as url:
        say(f"longshore gateway listening on {url}")
        yield


def _door(serving: Serving, server: Server, keeper: Keeper | None) -> Door:
    """Return how the workers inside come in, as nobody else does."""
    token = None
    if keeper is not None and serving.workers:
        role = Role.ADMIN if serving.prepare else Role.WORKER
        token = keeper.with_token(insider(serving.workers, role))
    return Door(reachable(server.inside_address), token)

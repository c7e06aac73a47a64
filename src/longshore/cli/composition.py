"""A server put together: store, engine, services, and the workers inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Any, Final

import click
import structlog

from longshore.access.errors import InvalidPrincipals
from longshore.access.keeper import Keeper
from longshore.cli.credentials import Credentials
from longshore.cli.demonstration import apply_demonstration, demonstration_worker
from longshore.cli.gateways import CannotServe, gateway_running
from longshore.cli.inside import GATEWAY, Door, Inside, insider, reachable
from longshore.cli.loading import load_worker
from longshore.cli.memory import collect_garbage_rarely, keep_freed_memory
from longshore.cli.serving import Serving
from longshore.core.errors import FilesUnavailable, StoreUnavailable
from longshore.core.principals import Role
from longshore.engine.engine import Engine
from longshore.server.app import CannotListen, Server
from longshore.server.tls import CannotServeTls
from longshore.stores.blobs import ObstoreBlobs
from longshore.worker import Worker

log = structlog.get_logger()

_LAST_WORDS_SECONDS: Final = 1.0  #: For calls to be answered after the store has failed.


@contextmanager
def faults_of_servers() -> Generator[None]:
    """Let an error say why there can be no such server. Raises `click.ClickException`."""
    try:
        yield
    except (
        StoreUnavailable,
        FilesUnavailable,
        InvalidPrincipals,
        CannotListen,
        CannotServeTls,
        CannotServe,
    ) as error:
        raise click.ClickException(str(error)) from None


async def run_server(
    serving: Serving,
    announce: Callable[[str], None],
    stopping: Callable[[], asyncio.Future[None]],
) -> None:
    """Serve until `stopping` gives a result, then drain.

    Announces where it listens: for gRPC, then for HTTP if it speaks that. Raises
    `StoreUnavailable` when the store cannot be had, or fails, `FilesUnavailable` when the place
    of files cannot be had, `InvalidPrincipals`, `CannotListen`, `CannotServeTls`, `CannotServe`,
    and `click.UsageError` when a worker is not there.
    """
    workers = _workers(serving)
    collect_garbage_rarely()
    keep_freed_memory()
    stopped = stopping()
    blobs = ObstoreBlobs(serving.place_of_files)
    engine = Engine(serving.store.store(), blobs, serving.settings)
    async with (
        _keeper(serving.protection.principals) as keeper,
        engine,
        _server(serving, engine, keeper) as server,
    ):
        announce(f"longshore listening on {server.address}")
        door = _door(serving, workers, server, keeper)
        async with Inside(door, serving.grace_seconds) as inside:
            if serving.demo:
                await apply_demonstration(door)
            for worker in workers:
                inside.start(worker)
            async with _gateway(serving, server, keeper) as url:
                if url is not None:
                    announce(f"longshore gateway listening on {url}")
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


def _workers(serving: Serving) -> Sequence[Worker]:
    workers = [load_worker(target) for target in serving.workers]
    return [*workers, demonstration_worker()] if serving.demo else workers


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
        workers_inside=bool(serving.workers or serving.demo or serving.gateway),
        shared=serving.processes > 1,
    )


@asynccontextmanager
async def _gateway(
    serving: Serving, server: Server, keeper: Keeper | None
) -> AsyncGenerator[str | None]:
    """Run the gateway inside, if there is to be one; its callbacks come in as workers do.

    Yields its URL.
    """
    if serving.gateway is None:
        yield None
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
        yield url


def _door(
    serving: Serving, workers: Sequence[Worker], server: Server, keeper: Keeper | None
) -> Door:
    """Return how the workers inside come in, as nobody else does."""
    token = None
    if keeper is not None and workers:
        role = Role.ADMIN if serving.demo else Role.WORKER
        token = keeper.with_token(insider(workers, role))
    return Door(reachable(server.inside_address), token)

"""A server put together: store, engine, services, and the workers inside."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import structlog

from longshore.access.keeper import Keeper
from longshore.cli.inside import Door, Inside, insider, reachable
from longshore.cli.memory import keep_freed_memory
from longshore.cli.output import say
from longshore.cli.serving import Serving
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
    `CannotListen` and `CannotServeTls`.
    """
    _collect_garbage_rarely()
    keep_freed_memory()
    stopped = _stopped_by_signals()
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
        inside=bool(serving.workers),
    )


def _door(serving: Serving, server: Server, keeper: Keeper | None) -> Door:
    """Return how the workers inside come in, as nobody else does."""
    token = None
    if keeper is not None and serving.workers:
        role = Role.ADMIN if serving.prepare else Role.WORKER
        token = keeper.with_token(insider(serving.workers, role))
    return Door(reachable(server.inside_address), token)


def _collect_garbage_rarely() -> None:
    """Leave alone what lives as long as the process, and look less often at what does not.

    Nearly all that a call makes is freed by its count of references; a batch of a thousand
    changes would else be walked through several times while it lives.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _stopped_by_signals() -> asyncio.Future[None]:
    """Return a future that SIGTERM or SIGINT completes; the next one ends the process."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop(number: int) -> None:
        if stopped.done():
            os._exit(128 + number)
        stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped

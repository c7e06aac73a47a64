"""A server put together: store, engine, services, and the workers inside."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import structlog

from longshore.cli.inside import Inside
from longshore.cli.memory import keep_freed_memory
from longshore.cli.output import say
from longshore.engine.engine import Engine
from longshore.engine.settings import EngineSettings
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from longshore.worker import Worker

Preparation: TypeAlias = Callable[[str], Awaitable[None]]
"""Is given the address of a server that has begun to listen."""

log = structlog.get_logger()

_LAST_WORDS_SECONDS: Final = 1.0  #: For calls to be answered after the store has failed.


async def run_server(
    path: str,
    listen: str,
    workers: Sequence[Worker],
    grace_seconds: float,
    settings: EngineSettings,
    files: str,
    prepare: Preparation | None = None,
) -> None:
    """Serve the store at a path until a signal, then drain; a second signal ends the process.

    `files` names the folder or the bucket where files are kept. `prepare` is done before the
    workers start. Raises what it raises, `StoreUnavailable` when the store cannot be had, or
    fails, `FilesUnavailable` when that place cannot be had, and `CannotListen`.
    """
    _collect_garbage_rarely()
    keep_freed_memory()
    stopped = _stopped_by_signals()
    engine = Engine(SqliteStore(path, ProtoCodec()), ObstoreBlobs(files), settings)
    async with engine, Server(engine, listen) as server:
        say(f"longshore listening on {server.address}")
        async with Inside(server.address, grace_seconds) as inside:
            if prepare is not None:
                await prepare(inside.address)
            for worker in workers:
                inside.start(worker)
            ends: list[asyncio.Future[Any]] = [stopped, engine.failed, *inside.running]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if engine.failed.done():
                # Those who wait are told so before the connections are closed.
                await server.drain(_LAST_WORDS_SECONDS)
                engine.failed.result()
            log.info("draining", grace_seconds=grace_seconds)
            await server.retire()
            await inside.drain()
        await server.drain(grace_seconds)
    log.info("stopped")


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

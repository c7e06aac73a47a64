"""The server of a test, with a client and workers, all in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from longshore.cli.inside import Door, Inside
from longshore.client import Client
from longshore.engine.clock import MovableClock
from longshore.engine.engine import Engine
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from longshore.testing.clock import Clock
from longshore.testing.settling import Settling
from longshore.worker import Worker

_WELCOME_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Longshore:
    """A server that is running in this process, and what a test does with it."""

    address: str  #: HOST:PORT, for clients and workers of the test's own.
    client: Client
    clock: Clock
    _inside: Inside

    async def work(self, worker: Worker) -> None:
        """Let a worker work until the end of the test; from now on work can be submitted to it.

        Raises `ValueError` if it offers nothing, `RuntimeError` if it runs already, and
        `TimeoutError` if the server does not want it; the log then says why.
        """
        welcomed = asyncio.Event()
        running = self._inside.start(worker, welcomed)
        waiting = asyncio.create_task(welcomed.wait())
        try:
            async with asyncio.timeout(_WELCOME_SECONDS):
                await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise TimeoutError(
                f"worker {worker.name!r} was not welcomed; see the log"
            ) from error
        finally:
            waiting.cancel()
        if running.done():
            running.result()


@contextlib.asynccontextmanager
async def running(store: Path | None = None) -> AsyncGenerator[Longshore]:
    """Run a server on a free port of loopback until the block ends; what works then is stopped.

    `store` is its SQLite file; without one it is a file that is removed afterwards.
    """
    clock = MovableClock()
    with tempfile.TemporaryDirectory(prefix="longshore-") as folder:
        path = store or Path(folder, "longshore.db")
        blobs = ObstoreBlobs(f"{path}.files")
        engine = Engine(SqliteStore(path, ProtoCodec(), clock.now), blobs, clock=clock)
        async with (
            engine,
            Server(engine, "127.0.0.1:0") as server,
            Client(server.address) as client,
            Inside(Door(server.address), grace_seconds=0) as inside,
        ):
            settling = Settling(engine, clock)
            yield Longshore(server.address, client, Clock(clock, settling), inside)

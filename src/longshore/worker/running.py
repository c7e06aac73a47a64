"""One run of a worker, from its first hello to its goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Generator, Sequence
from typing import Final

import structlog

from longshore.client.callers import Caller
from longshore.v1.worker_service_pb2 import Hello
from longshore.worker.actions import Action, Where
from longshore.worker.connection import Connection
from longshore.worker.runner import OBEY_SECONDS, Runner
from longshore.worker.session import Session
from longshore.worker.transfers import Transfers
from longshore.worker.watchdog import Watchdog

_log = structlog.get_logger(__name__)

_SETTLE_SECONDS: Final = 10.0  #: For the server to acknowledge the last reports.
_GOODBYE_SECONDS: Final = 5.0  #: For the server to close the session.


class Running:
    """A session, what works for it, and what keeps it in touch. Made on the loop it runs on."""

    def __init__(
        self,
        hello: Hello,
        actions: Sequence[Action],
        executor: Where,
        reachable_at: str,
        welcomed: asyncio.Event | None,
    ) -> None:
        self._runner = Runner(actions, hello.slots, executor, reachable_at)
        self._session = self._runner.session = Session(hello, self._runner, welcomed)
        self._watchdog = Watchdog(self._runner.blocked)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = asyncio.Event()
        self._grace = 0.0

    async def run(
        self,
        caller: Caller,
        grace_seconds: float,
        stopping: asyncio.Event | None,
    ) -> None:
        """Work until told to stop, then drain."""
        self._grace = grace_seconds
        connection = Connection(self._session, caller)
        await self._runner.open(Transfers(caller))
        self._watchdog.start()
        async with asyncio.TaskGroup() as group:
            kept = group.create_task(connection.keep(), name="longshore-connection")
            told = group.create_task(self._listen(stopping), name="longshore-stopping")
            try:
                with self._signals(stopping is None):
                    await self._stopping.wait()
                    await self._leave(kept)
            finally:
                told.cancel()
                kept.cancel()
                self._watchdog.stop()
                await self._runner.close()
                self._ended.set()

    async def drain(self, grace_seconds: float) -> None:
        """Begin to leave, and return when it is done."""
        self._grace = grace_seconds
        self._stopping.set()
        await self._ended.wait()

    async def _listen(self, stopping: asyncio.Event | None) -> None:
        if stopping is not None:
            await stopping.wait()
            self._stopping.set()

    async def _leave(self, kept: asyncio.Task[None]) -> None:
        """Hand back, wait for the work, report all of it, say goodbye."""
        _log.info("draining", grace_seconds=self._grace)
        self._session.drain()
        self._runner.release_unstarted()
        await self._wait_for_work()
        if not self._runner.idle.is_set():
            self._session.leave()
            await _within(OBEY_SECONDS, self._runner.idle)
            self._runner.abandon()
        if not await _within(_SETTLE_SECONDS, self._session.settled):
            _log.warning("left_unsettled")
            return
        if self._session.connected:
            await asyncio.wait([kept], timeout=_GOODBYE_SECONDS)

    async def _wait_for_work(self) -> None:
        """Wait until nothing runs, the grace is over, or somebody is in a hurry."""
        waiting = [
            asyncio.create_task(self._runner.idle.wait()),
            asyncio.create_task(self._hurry.wait()),
        ]
        try:
            await asyncio.wait(
                waiting, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for one in waiting:
                one.cancel()

    @contextlib.contextmanager
    def _signals(self, wanted: bool) -> Generator[None]:
        """Let SIGTERM and SIGINT begin the end, and a second one hasten it."""
        loop = asyncio.get_running_loop()
        caught: list[signal.Signals] = []
        for number in (signal.SIGTERM, signal.SIGINT) if wanted else ():
            # Not in threads other than the main one, and not everywhere.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._signalled)
                caught.append(number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        (self._hurry if self._stopping.is_set() else self._stopping).set()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event; return whether it came in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()

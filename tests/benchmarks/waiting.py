"""A store in which any number of operations wait, driven without a server around it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import uuid_utils

from longshore.core.callers import Caller
from longshore.core.changes import Grant, Lease, Opened, OpenSession, Submit
from longshore.core.operations import Kind
from longshore.core.reports import Assignment, Completed, Report
from longshore.server.codec import ProtoCodec
from longshore.stores.sqlite.store import SqliteStore
from longshore.v1.task_service_pb2 import Task
from tests.benchmarks.messages import ACTION, submit_request

_FILL_BATCH: Final = 2_000
_TELL_EVERY: Final = 100_000


_REQUEST: Final = Task(spec=submit_request().spec).SerializeToString()

Make = Callable[[], Submit]


def submit_change() -> Submit:
    """Return a submit as the server makes it of a request."""
    return Submit(
        caller=Caller(),
        kind=Kind.TASK,
        id=uuid_utils.uuid7().bytes,
        queue="default",
        actions=(ACTION,),
        steps=0,
        request=_REQUEST,
    )


@dataclass(frozen=True, slots=True)
class WaitingStore:
    """An open store with one session that serves all that waits."""

    store: SqliteStore
    session: int
    make: Make  #: Makes what is submitted in the place of what was leased.

    async def fill(self, count: int, make: Make, say: Callable[[str], None]) -> None:
        """Let as much more wait."""
        for start in range(0, count, _FILL_BATCH):
            size = min(_FILL_BATCH, count - start)
            await self.store.apply([make() for _ in range(size)])
            if (start + size) % _TELL_EVERY == 0:
                say(f"{start + size:,} wait")

    async def lease(self, count: int) -> list[Assignment]:
        """Lease the first operations that wait, in one batch."""
        applied = await self.store.apply([Lease((Grant(self.session, 1, count),))])
        return cast("list[Assignment]", applied.outcomes[0])

    async def replace(self, leased: list[Assignment]) -> None:
        """End what was leased and submit as much anew, so that the queue keeps its length."""
        await self.store.apply([self._report(one) for one in leased])
        await self.store.apply([self.make() for _ in leased])

    def _report(self, leased: Assignment) -> Report:
        number, token = leased.operation.number, leased.operation.token
        return Report(Caller(), self.session, 1, number, token, 1, Completed(b""))

    async def microseconds(self, leases: int, size: int) -> float:
        """Return what leasing one operation takes, commit and disk sync shared by `size`."""
        seconds = 0.0
        for _ in range(leases):
            start = time.perf_counter()
            leased = await self.lease(size)
            seconds += time.perf_counter() - start
            assert len(leased) == size
            await self.replace(leased)
        return seconds / (leases * size) * 1e6


@asynccontextmanager
async def waiting_store(
    path: Path, count: int, say: Callable[[str], None], make: Make = submit_change
) -> AsyncGenerator[WaitingStore]:
    """Open a new store and fill it."""
    store = SqliteStore(path, ProtoCodec())
    await store.open()
    try:
        waiting = WaitingStore(store, await _session(store), make)
        await waiting.fill(count, make, say)
        yield waiting
    finally:
        await store.close()


async def _session(store: SqliteStore) -> int:
    change = OpenSession(
        Caller(), b"benchmark".ljust(16), "benchmark", ("default",), (ACTION,), 1_000_000
    )
    applied = await store.apply([change])
    return cast("Opened", applied.outcomes[0]).session

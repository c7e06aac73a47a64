"""How long those who write wait for expiry and compaction on PostgreSQL: batch by batch."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Final

from longshore.cli.memory import collect_garbage_rarely
from longshore.core.changes import Change, Compact, Wake
from longshore.core.operations import State
from longshore.core.store import Applied
from longshore.server.codec import ProtoCodec
from longshore.stores.postgres.store import PostgresStore
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.history import history
from tests.benchmarks.postgres import postgres
from tests.benchmarks.samples import Sample

_TARGET: Final = Target(sign="≤", bound=50)


async def measure(bench: Bench) -> list[Figure]:
    """Let everything expire that has ended, then compact all of it.

    Garbage is collected as a server does it: else the longest batch measures that.
    """
    count = bench.size(20_000, 2_000)
    async with postgres() as cluster:
        async with history(bench, cluster, "holds") as (url, past):
            await past.grow(State.SUCCEEDED, count)
            await past.connection.execute("UPDATE operations SET wake_time = 1 WHERE state = 5")
            await past.settle()
        async with _opened(url) as store:
            collect_garbage_rarely()
            expiring = await _repeated(store, Wake(), _is_due)
            compacting = await _repeated(store, Compact(before=2**62), _has_removed)
    return [
        *_figures(f"PostgreSQL: {count:,} expire", expiring),
        *_figures(f"PostgreSQL: {count:,} are compacted", compacting),
    ]


@asynccontextmanager
async def _opened(url: str) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(url, ProtoCodec())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _is_due(applied: Applied) -> bool:
    return applied.next_wake is not None and applied.next_wake <= applied.time


def _has_removed(applied: Applied) -> bool:
    return applied.outcomes[0] != 0


async def _repeated(
    store: PostgresStore, change: Change, more: Callable[[Applied], bool]
) -> list[float]:
    """Return the milliseconds of every batch until there are no more."""
    taken: list[float] = []
    goes_on = True
    while goes_on:
        start = time.perf_counter()
        applied = await store.apply([change])
        taken.append((time.perf_counter() - start) * 1e3)
        goes_on = more(applied)
    return taken


def _figures(what: str, taken: list[float]) -> list[Figure]:
    batches = f"{what} in {len(taken)} batches"
    return [
        Figure(
            name=f"{batches}: longest", unit="ms", value=Sample.of([max(taken)]), target=_TARGET
        ),
        Figure(name=f"{batches}: median", unit="ms", value=Sample.of([median(taken)])),
    ]

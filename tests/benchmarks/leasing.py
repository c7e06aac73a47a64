"""Leasing from a queue in which a million wait, against one in which a thousand do.

First in the store alone, then on a worker's stream of a server that opens the same files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.messages import BATCH, batch_request
from tests.benchmarks.processes import Running
from tests.benchmarks.samples import Sample
from tests.benchmarks.waiting import waiting_store
from tests.benchmarks.workers import run_raw

_AT_ONCE: Final = 100
_TARGET: Final = Target(sign="≤", bound=1.25, of_ratio=True)


async def measure(bench: Bench) -> list[Figure]:
    count = bench.size(1_000_000, 5 * BATCH)
    return [
        await _in_the_store(bench, count),
        await _on_the_stream(bench, count),
    ]


async def _in_the_store(bench: Bench, count: int) -> Figure:
    leases = bench.size(20, 2)
    async with (
        waiting_store(bench.directory / "short.db", BATCH, bench.say) as few,
        waiting_store(bench.directory / "long.db", count, bench.say) as many,
    ):
        return await _compare(
            bench,
            f"lease one of {count:,} waiting, in the store",
            partial(few.microseconds, leases, _AT_ONCE),
            partial(many.microseconds, leases, _AT_ONCE),
        )


async def _on_the_stream(bench: Bench, count: int) -> Figure:
    async with bench.server("short") as few, bench.server("long") as many:
        return await _compare(
            bench,
            f"lease, run and end one of {count:,} waiting",
            partial(_microseconds_on_the_stream, few),
            partial(_microseconds_on_the_stream, many),
        )


async def _microseconds_on_the_stream(server: Running) -> float:
    """Return what one operation takes a worker that does nothing but complete it."""
    async with connected(server.address) as channel:
        await TaskServiceStub(channel).BatchSubmitTasks(batch_request())
        return 1e6 / await run_raw(channel, BATCH, slots=_AT_ONCE)


async def _compare(
    bench: Bench,
    name: str,
    few: Callable[[], Awaitable[float]],
    many: Callable[[], Awaitable[float]],
) -> Figure:
    shorts, longs = await bench.interleaved(few, many, rounds=7)
    return Figure(
        name=name,
        unit="µs",
        value=Sample.of(longs),
        baseline=Sample.of(shorts),
        baseline_name=f"of {BATCH:,} waiting",
        ratio=Sample.ratio(longs, shorts),
        target=_TARGET,
    )

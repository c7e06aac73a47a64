"""From submit to end, against queues that a Python user would otherwise pick.

All run the same no-ops on this disk, durably, submitted by this process and run by one worker
process, of as many slots here as threads there. Each submits in the largest pieces that its
API has. As slots are no threads, a second worker of ours has as many as suit it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Final

from tests.benchmarks.bench import Bench, Measure, connected
from tests.benchmarks.end_to_end import POLL_SECONDS, Run
from tests.benchmarks.figures import Figure
from tests.benchmarks.messages import BATCH
from tests.benchmarks.other_queues import OTHER_QUEUES, OtherQueue
from tests.benchmarks.processes import longshore_worker, other_worker
from tests.benchmarks.samples import Sample
from tests.benchmarks.workers import worker_is_connected

#: One thread is no faster for the others, and 64 are slower.
_SLOTS: Final = 8
_MANY_SLOTS: Final = 512
_OVER_FILES: Final = ("huey", "persist-queue")
_STUCK_SECONDS: Final = 120


async def measure(bench: Bench) -> list[Figure]:
    """Leaves itself out where the other queues are not installed; `make bench` installs them."""
    try:
        titles = [f"{name} {version(name)}" for name in _OVER_FILES]
    except PackageNotFoundError as missing:
        bench.say(f"left out: {missing.name} is not installed")
        return []
    batches = bench.size(3, 1)
    async with AsyncExitStack() as stack:
        measures: list[Measure] = []
        for name in _OVER_FILES:
            other = await stack.enter_async_context(_other(bench, name))
            measures.append(partial(other.rate, batches * BATCH))
        for slots in (_SLOTS, _MANY_SLOTS):
            ours = await stack.enter_async_context(_ours(bench, batches, slots))
            measures.append(ours.rate)
        *others, few, many = await bench.interleaved(*measures, rounds=3)
    what = f"submit → end, {batches * BATCH:,} no-ops"
    title, best = max(zip(titles, others, strict=True), key=lambda other: median(other[1]))
    return [
        *(
            Figure(
                name=f"{what}, {slots} slots",
                unit="operations/s",
                value=Sample.of(ours),
                baseline=Sample.of(best),
                baseline_name=f"{title}, {_SLOTS} threads",
                ratio=Sample.ratio(ours, best),
            )
            for slots, ours in ((_SLOTS, few), (_MANY_SLOTS, many))
        ),
        *(
            Figure(name=f"{what}: {title}", unit="operations/s", value=Sample.of(other))
            for title, other in zip(titles, others, strict=True)
        ),
    ]


@asynccontextmanager
async def _ours(bench: Bench, batches: int, slots: int) -> AsyncGenerator[Run]:
    async with (
        bench.server(f"queues-{slots}") as server,
        connected(server.address) as channel,
        longshore_worker("tests.benchmarks.noop", server.address, slots) as worker,
    ):
        await worker_is_connected(channel)
        yield Run(channel, batches, (server, worker))


@asynccontextmanager
async def _other(bench: Bench, name: str) -> AsyncGenerator[OtherRun]:
    path = str(bench.directory / f"{name}.db")
    run = OtherRun(OTHER_QUEUES[name](path))
    async with other_worker(name, path, _SLOTS):
        yield run


@dataclass(frozen=True, slots=True)
class OtherRun:
    """Submits and waits until all is done, again and again, as `Run` does."""

    queue: OtherQueue

    async def rate(self, count: int) -> float:
        """Return how many a second were submitted, run and ended."""
        goal = self.queue.done() + count
        start = time.perf_counter()
        self.queue.submit(count)
        async with asyncio.timeout(_STUCK_SECONDS):
            while self.queue.done() < goal:
                await asyncio.sleep(POLL_SECONDS)
        return count / (time.perf_counter() - start)

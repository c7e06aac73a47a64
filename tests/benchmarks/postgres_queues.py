"""From submit to end on PostgreSQL, against Procrastinate on the same server.

Both submit a thousand at a time from this process and run the same no-ops on event loops, with
the settings that were found to be best for each on two cores.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.end_to_end import Run
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.messages import BATCH
from tests.benchmarks.other_queues import Procrastinate
from tests.benchmarks.postgres import postgres
from tests.benchmarks.processes import longshore_worker, other_worker
from tests.benchmarks.queues import OtherRun
from tests.benchmarks.samples import Sample
from tests.benchmarks.workers import worker_is_connected

_NAME: Final = "procrastinate"
_SLOTS: Final = 512
_THEIR_WORKERS: Final = 2
_THEIR_SLOTS: Final = 20

#: For people who read the figures.
SETTINGS: Final = (
    f"Longshore one server, one worker of {_SLOTS} slots, batches of {BATCH:,}; Procrastinate "
    f"{_THEIR_WORKERS} workers of concurrency {_THEIR_SLOTS}, batch_defer of {BATCH:,}, "
    "listen_notify, psycopg in C with pools of 4 to 16"
)


async def measure(bench: Bench) -> list[Figure]:
    """Leaves itself out where Procrastinate is not installed; `make bench` installs it."""
    try:
        title = f"{_NAME} {version(_NAME)}"
    except PackageNotFoundError:
        bench.say(f"left out: {_NAME} is not installed")
        return []
    batches = bench.size(5, 1)
    async with (
        postgres() as cluster,
        _ours(bench, batches, await cluster.database()) as ours,
        _theirs(await cluster.database()) as theirs,
    ):
        their_rates, rates = await bench.interleaved(
            partial(theirs.rate, batches * BATCH), ours.rate, rounds=3
        )
    return [
        Figure(
            name=f"PostgreSQL: submit → end, {batches * BATCH:,} no-ops, one worker process",
            unit="operations/s",
            value=Sample.of(rates),
            baseline=Sample.of(their_rates),
            baseline_name=f"{title}, {_THEIR_WORKERS} worker processes",
            ratio=Sample.ratio(rates, their_rates),
            target=Target(sign="≥", bound=2, of_ratio=True),
        )
    ]


@asynccontextmanager
async def _ours(bench: Bench, batches: int, url: str) -> AsyncGenerator[Run]:
    async with (
        bench.server("postgres-queues", store=url) as server,
        connected(server.address) as channel,
        longshore_worker("tests.benchmarks.noop", server.address, _SLOTS) as worker,
    ):
        await worker_is_connected(channel)
        yield Run(channel, batches, (server, worker))


@asynccontextmanager
async def _theirs(url: str) -> AsyncGenerator[OtherRun]:
    queue = Procrastinate(url)
    queue.prepare()
    async with AsyncExitStack() as stack:
        for _ in range(_THEIR_WORKERS):
            await stack.enter_async_context(other_worker(_NAME, url, _THEIR_SLOTS))
        yield OtherRun(queue)

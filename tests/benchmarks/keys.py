"""What concurrency and fairness keys cost in the store, against work that has none."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from longshore.core.changes import Submit
from longshore.core.policies import Policy
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.messages import BATCH
from tests.benchmarks.samples import Sample
from tests.benchmarks.waiting import WaitingStore, submit_change, waiting_store

_AT_ONCE: Final = 100
_KEYS: Final = 1_000
_TARGET: Final = Target(sign="≤", bound=1.25, of_ratio=True)
_ONE_AT_A_TIME: Final = Policy(concurrency_limit=1).encode()


async def measure(bench: Bench) -> list[Figure]:
    return [*await _concurrency(bench), *await _fairness(bench)]


async def _concurrency(bench: Bench) -> list[Figure]:
    """Lease what waits behind many of one key, of which one may run; it runs and ends, too."""
    count, leases = bench.size(100_000, 3 * BATCH), bench.size(20, 2)
    folder, say = bench.directory, bench.say
    async with (
        waiting_store(folder / "alone.db", BATCH, say) as alone,
        waiting_store(folder / "behind.db", 0, say) as behind,
    ):
        await behind.fill(count, _of_one_key, say)
        await behind.fill(BATCH, submit_change, say)
        aside = await _microseconds_to_pass(behind, count)
        bases, others = await bench.interleaved(
            partial(alone.microseconds, leases, _AT_ONCE),
            partial(behind.microseconds, leases, _AT_ONCE),
            rounds=7,
        )
    return [
        _compared(
            f"lease one behind {count:,} of a saturated concurrency key",
            others,
            bases,
            "of none",
            _TARGET,
        ),
        Figure(
            name=f"  put each of the {count:,} aside, once", unit="µs", value=Sample.of([aside])
        ),
    ]


async def _microseconds_to_pass(store: WaitingStore, count: int) -> float:
    """Lease until others come in turn; return what each of the key took until then."""
    start = time.perf_counter()
    leased = await store.lease(_AT_ONCE)
    while len(leased) < _AT_ONCE:
        leased += await store.lease(_AT_ONCE - len(leased))
    microseconds = (time.perf_counter() - start) / count * 1e6
    await store.replace(leased)
    return microseconds


async def _fairness(bench: Bench) -> list[Figure]:
    """Submit in batches, every operation with the next key, then lease among all keys."""
    batches, leases = bench.size(10, 1), bench.size(20, 2)
    folder, say = bench.directory, bench.say
    keys = itertools.cycle(f"key-{number}" for number in range(_KEYS))

    def keyed() -> Submit:
        return submit_change()._replace(fairness_key=next(keys))

    async with (
        waiting_store(folder / "plain_keys.db", BATCH, say) as plain,
        waiting_store(folder / "fair_keys.db", BATCH, say, keyed) as fair,
    ):
        submits = await bench.interleaved(
            partial(_microseconds_to_submit, plain, batches),
            partial(_microseconds_to_submit, fair, batches),
            rounds=5,
        )
        leasing = await bench.interleaved(
            partial(plain.microseconds, leases, _AT_ONCE),
            partial(fair.microseconds, leases, _AT_ONCE),
            rounds=7,
        )
    name = f"{_KEYS:,} fairness keys"
    return [
        _compared(f"submit with {name}, {BATCH:,} at once", submits[1], submits[0], "no keys"),
        _compared(f"lease among {name}", leasing[1], leasing[0], "no keys", _TARGET),
    ]


async def _microseconds_to_submit(store: WaitingStore, batches: int) -> float:
    """Return what one operation takes, commit and disk sync shared by its batch."""
    seconds = 0.0
    for _ in range(batches):
        submits = [store.make() for _ in range(BATCH)]
        start = time.perf_counter()
        await store.store.apply(submits)
        seconds += time.perf_counter() - start
    return seconds / (batches * BATCH) * 1e6


def _of_one_key() -> Submit:
    return submit_change()._replace(concurrency_key="one", policy=_ONE_AT_A_TIME)


def _compared(
    name: str,
    values: Sequence[float],
    bases: Sequence[float],
    baseline_name: str,
    target: Target | None = None,
) -> Figure:
    return Figure(
        name=f"{name}, in the store",
        unit="µs",
        value=Sample.of(values),
        baseline=Sample.of(bases),
        baseline_name=baseline_name,
        ratio=Sample.ratio(values, bases),
        target=target,
    )

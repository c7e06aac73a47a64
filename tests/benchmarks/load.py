"""Load: calls as fast as some are in flight, or one at a time at an even pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Spent:
    """How long a load took, and each of its calls, in seconds."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


async def in_flight(call: Call, calls: int, width: int) -> Spent:
    """Make calls with `width` of them under way at any time."""
    latencies: list[float] = []
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        turns = iter(range(calls))
        for _ in range(min(width, calls)):
            group.create_task(_caller(call, turns, latencies))
    return Spent(time.perf_counter() - start, latencies)


async def _caller(call: Call, turns: Iterator[int], latencies: list[float]) -> None:
    for _ in turns:
        start = time.perf_counter()
        await call()
        latencies.append(time.perf_counter() - start)


async def paced(call: Call, calls: int, per_second: float) -> Spent:
    """Make one call after the other, each at its own moment of an even rhythm."""
    latencies: list[float] = []
    begin = time.perf_counter()
    for turn in range(calls):
        await asyncio.sleep(begin + turn / per_second - time.perf_counter())
        start = time.perf_counter()
        await call()
        latencies.append(time.perf_counter() - start)
    return Spent(time.perf_counter() - begin, latencies)

"""The worker of the benchmarks: actions that do nothing, or say when they began."""

from __future__ import annotations

import time
from typing import Final

from longshore.worker import Worker

STAMP: Final = "stamp"

worker = Worker("benchmark", slots=512)


def microseconds() -> int:
    """Return a moment of the monotonic clock, which all processes of a machine share."""
    return time.monotonic_ns() // 1_000


@worker.action("noop")
async def noop(path: str, size: int, deep: bool) -> None:
    """Do nothing with three arguments."""


@worker.action(STAMP)
async def stamp(path: str, size: int, deep: bool, sent: int) -> dict[str, int]:
    """Return how many microseconds ago the submit was sent."""
    return {"waited": microseconds() - sent}

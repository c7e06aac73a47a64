"""Time as an argument: the wall clock for what is told, the monotonic one for silences."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks; tests give one that they move."""

    def now(self) -> int:
        """Return milliseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

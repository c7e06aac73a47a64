"""Rates: how often each caller calls, and when it may again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from longshore.core.errors import RateLimited

_KEPT: Final = 10_000  #: Callers that are remembered before those who rest are forgotten.

#: Of a call: what adding up times may be wrong by.
_TOLERANCE: Final = 1e-3


class Rates:
    """Lets each caller make so many calls a second, a second's worth of them at once.

    A caller's account is one number: the time at which it would have made as many calls at an
    even pace (the generic cell rate algorithm).
    """

    def __init__(self, per_second: float, monotonic: Callable[[], float]) -> None:
        self._per_second = per_second
        self._pace = 1.0 / per_second
        self._burst = max(1.0, self._pace)
        self._most = self._burst + self._pace * _TOLERANCE
        self._monotonic = monotonic
        self._paid_until: dict[str, float] = {}
        self._room = _KEPT

    def take(self, caller: str) -> None:
        """Count a call. Raises `RateLimited`, and then does not count it."""
        now = self._monotonic()
        paid_until = max(self._paid_until.get(caller, now), now) + self._pace
        if paid_until - now > self._most:
            raise RateLimited(
                f"more than {self._per_second:g} calls a second",
                self._per_second,
                "second",
                paid_until - now - self._burst,
            )
        if caller not in self._paid_until and len(self._paid_until) >= self._room:
            self._forget_idle(now)
        self._paid_until[caller] = paid_until

    def _forget_idle(self, now: float) -> None:
        """Forget who could call as if never seen; not again before there are twice as many."""
        self._paid_until = {
            caller: paid for caller, paid in self._paid_until.items() if paid > now
        }
        self._room = max(_KEPT, 2 * len(self._paid_until))

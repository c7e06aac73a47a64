"""The clock of a server under test, as its test sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from longshore.engine.clock import MovableClock
from longshore.testing.settling import Settling

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Clock:
    """The server's wall clock: it goes on as any other, from wherever a test moves it.

    On its way it stops wherever something is due, so that this happens at its time: starts,
    attempts after a backoff, ends of attempts that ran too long, schedules, expiry. At every
    stop, and at last, it waits for what the workers have been given to do. Only work that
    takes longer than a second is left running.

    Silences are measured in real time: a worker is not taken for dead because a test moved on.
    """

    def __init__(self, clock: MovableClock, settling: Settling) -> None:
        self._clock = clock
        self._settling = settling

    def now(self) -> datetime:
        """Return what the server takes for the present, in UTC."""
        return _EPOCH + self._clock.now() * _MILLISECOND

    async def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move on by a span. Raises `ValueError` for one below 0."""
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if span < timedelta(0):
            raise ValueError(f"the clock cannot advance by {span}")
        await self._move(span)

    async def set(self, moment: datetime) -> None:
        """Move to a moment; as clocks are set, it may also lie in the past.

        Raises `ValueError` if the moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError(f"the moment {moment} has no time zone")
        await self._move(moment - self.now())

    async def _move(self, span: timedelta) -> None:
        goal = self._clock.ahead + span // _MILLISECOND
        await self._settling.settle()
        while (due := self._due_before(goal)) is not None:
            self._clock.move(due)
            await self._settling.settle()
        self._clock.move(goal - self._clock.ahead)
        await self._settling.settle()

    def _due_before(self, goal: int) -> int | None:
        """Return how many milliseconds there are to the next alarm, if it rings on the way."""
        at = self._clock.next_alarm
        if at is None:
            return None
        left = max(0, at - self._clock.now())
        return left if left < goal - self._clock.ahead else None

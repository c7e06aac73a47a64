"""Time as an argument: the wall clock for what is told, the monotonic one for silences."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

#: An alarm may sleep through a jump of the wall clock by at most this many seconds.
_LONGEST_SLEEP_SECONDS: Final = 5.0


class Alarm(Protocol):
    """What will ring once, unless it is cancelled."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Two clocks; tests give one that they move."""

    def now(self) -> int:
        """Return milliseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...

    def alarm(self, at: int, callback: Callable[[], object]) -> Alarm:
        """Call back once when it is `at`, in milliseconds since 1970; never during this call.

        It rings on the running event loop, also if the wall clock jumps meanwhile.
        """
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def alarm(self, at: int, callback: Callable[[], object]) -> _Sleeper:
        return _Sleeper(self, at, callback)


class _Sleeper:
    """An alarm that looks at the wall clock whenever it wakes up."""

    def __init__(self, clock: Clock, at: int, callback: Callable[[], object]) -> None:
        self.at = at
        self._clock = clock
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._sleep()

    @property
    def pending(self) -> bool:
        return self._timer is not None

    def look(self) -> None:
        """Ring if the time has come, else sleep on."""
        self.cancel()
        if self._clock.now() >= self.at:
            self._callback()
        else:
            self._sleep()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sleep(self) -> None:
        seconds = max(0.0, (self.at - self._clock.now()) / 1_000)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(seconds, _LONGEST_SLEEP_SECONDS), self.look)


class StoreClock:
    """The clock of the store, which all servers share, as far as this one knows it.

    It goes as the clock of this machine does, ahead of it or behind by what the store's
    answers have shown. Silences are told in real time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = 0  # Milliseconds.

    def now(self) -> int:
        return self._clock.now() + self._ahead

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def alarm(self, at: int, callback: Callable[[], object]) -> Alarm:
        return self._clock.alarm(at - self._ahead, callback)

    def level(self, asked: int, told: int) -> bool:
        """Learn what time it was at the store at some moment since `asked` and before now.

        Returns whether this clock was wrong. Alarms that were set stay as they are.
        """
        least, most = told - self.now(), told - asked
        wrong = max(least, min(most, 0))
        self._ahead += wrong
        return wrong != 0


class MovableClock(SystemClock):
    """A wall clock that can be moved, and goes on from there; silences are told in real time.

    It does not stand still, because others count from clocks of their own: what a client
    wants "in an hour" is due once this clock was moved by an hour, however long that took.
    """

    def __init__(self) -> None:
        self.ahead = 0  #: Milliseconds by which it was moved in all.
        self._alarms: list[_Sleeper] = []

    def now(self) -> int:
        return super().now() + self.ahead

    def alarm(self, at: int, callback: Callable[[], object]) -> _Sleeper:
        alarm = super().alarm(at, callback)
        self._alarms = [*self._pending(), alarm]
        return alarm

    @property
    def next_alarm(self) -> int | None:
        """When the next alarm rings, in milliseconds since 1970."""
        return min((alarm.at for alarm in self._pending()), default=None)

    def move(self, milliseconds: int) -> None:
        """Move on, or back; what it passes rings before this returns, the earliest first."""
        self.ahead += milliseconds
        for alarm in sorted(self._pending(), key=lambda one: one.at):
            if alarm.pending:  # Not cancelled by one that rang before.
                alarm.look()

    def _pending(self) -> list[_Sleeper]:
        return [alarm for alarm in self._alarms if alarm.pending]

"""Schedules: which of their times are submitted when somebody looks, and when to look next."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple, Protocol

#: A time that is not older was not missed: a server that is busy may come a little late.
GRACE_MS: Final = 30_000

#: Missed times that one change makes up for; the next one goes on from there.
MOST_AT_ONCE: Final = 100


class Missed(enum.IntEnum):
    """What happens to times that passed while no server ran, by its numbers in the contract."""

    SKIP = 1  #: They are left out.
    ONCE = 2  #: One submit stands for all of them.
    ALL = 3  #: Each is made up for.


class Timing(Protocol):
    """The times of a schedule, in milliseconds since 1970."""

    def after(self, moment: int) -> int | None:
        """Return the first time after a moment; None if there is none."""
        ...

    def latest(self, moment: int) -> int | None:
        """Return the last time that is not after a moment; None if there is none."""
        ...


class Interval(NamedTuple):
    """Times at equal distances from one of them."""

    anchor: int
    milliseconds: int

    def after(self, moment: int) -> int:
        return self.latest(moment) + self.milliseconds

    def latest(self, moment: int) -> int:
        return moment - (moment - self.anchor) % self.milliseconds


class Firing(NamedTuple):
    """The times for which is submitted now, and the one that is waited for then."""

    due_times: tuple[int, ...]
    next_time: int | None


def fire(timing: Timing, next_time: int, now: int, missed: Missed) -> Firing:
    """Return what is due of a schedule that was waiting for `next_time`.

    Of several due times the newest counts, as far as the policy does not want all.
    """
    if next_time > now:
        return Firing((), next_time)
    if missed == Missed.ALL:
        return _each(timing, next_time, now)
    newest = max(next_time, timing.latest(now) or next_time)
    wanted = missed == Missed.ONCE or now - newest <= GRACE_MS
    return Firing((newest,) if wanted else (), timing.after(now))


def _each(timing: Timing, next_time: int, now: int) -> Firing:
    due_times: list[int] = []
    following: int | None = next_time
    while following is not None and following <= now and len(due_times) < MOST_AT_ONCE:
        due_times.append(following)
        following = timing.after(following)
    return Firing(tuple(due_times), following)

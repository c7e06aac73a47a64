"""Timings: cron expressions in a time zone, read by a library and told as moments.

Where clocks are put forward, a time of day that does not exist is taken at the first moment
after the gap. Where they are put back, a time of day that comes twice is taken the first time.
Expressions whose minute or hour begins with a star mean spans rather than times of day and go
on through both.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_CHARACTERS: Final = 256  #: Of the longest cron expression.
_FIELDS: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SECOND_MS: Final = 1_000


class InvalidTiming(ValueError):
    """A text is no cron expression, or no time zone."""


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises `InvalidTiming`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # The last for what names a folder of zones.
        raise InvalidTiming("no time zone of this name; one is Europe/Paris") from None


class Cron:
    """The times of a cron expression in a time zone, in milliseconds since 1970."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """Raises `InvalidTiming`."""
        if len(expression) > _CHARACTERS or len(expression.split()) != _FIELDS:
            raise InvalidTiming(
                "five fields are needed: minute, hour, day of month, month, day of week"
            )
        self._expression = expression
        self._zone = zone
        try:
            self._times(0)
        except CronSimError as error:
            raise InvalidTiming(f"not a cron expression: {error}") from None

    def after(self, moment: int) -> int | None:
        """Return the first time after a moment; None if none comes within 50 years."""
        # In the hour that comes twice the library may begin with the first of it.
        return next((time for time in self._times(moment) if time > moment), None)

    def latest(self, moment: int) -> int | None:
        """Return the last time that is not after a moment; None if none was in 50 years."""
        back = self._times(moment + _SECOND_MS, reverse=True)
        latest = next((time for time in back if time <= moment), None)
        # Going back, the library leaves out what came twice.
        following = None if latest is None else self.after(latest)
        while following is not None and following <= moment:
            latest, following = following, self.after(following)
        return latest

    def _times(self, moment: int, *, reverse: bool = False) -> Iterator[int]:
        start = (_EPOCH + moment * _MILLISECOND).astimezone(self._zone)
        found = CronSim(self._expression, start, reverse)
        return ((time - _EPOCH) // _MILLISECOND for time in found)

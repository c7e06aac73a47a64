from __future__ import annotations

import asyncio
import functools
import time
from datetime import UTC, datetime

import pytest

from longshore.engine import clock as clocks
from longshore.engine.clock import Clock, MovableClock, SystemClock

PATIENCE_SECONDS = 20.0
HOUR = 3_600_000
NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


class JumpingClock(SystemClock):
    """A machine whose wall clock somebody sets."""

    jump = 0

    def now(self) -> int:
        return super().now() + self.jump


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


async def rung(clock: Clock, at: int) -> None:
    rings = asyncio.Event()
    clock.alarm(at, rings.set)
    assert not rings.is_set(), "it rang before it was set"
    await asyncio.wait_for(rings.wait(), PATIENCE_SECONDS)


@pytest.mark.parametrize("milliseconds", [-HOUR, 0, 20])
async def test_an_alarm_rings_when_its_time_has_come(milliseconds: int) -> None:
    clock = SystemClock()
    at = clock.now() + milliseconds
    await rung(clock, at)
    assert clock.now() >= at


async def test_an_alarm_notices_that_the_wall_clock_was_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clocks, "_LONGEST_SLEEP_SECONDS", 0.01)
    clock = JumpingClock()
    asyncio.get_running_loop().call_later(0.03, setattr, clock, "jump", HOUR)
    await rung(clock, clock.now() + HOUR)
    assert clock.jump == HOUR


async def test_a_cancelled_alarm_does_not_ring(clock: MovableClock) -> None:
    rings: list[str] = []
    cancelled = clock.alarm(clock.now(), lambda: rings.append("cancelled"))
    cancelled.cancel()
    await rung(clock, clock.now())
    clock.advance(1)
    assert rings == []


async def test_alarms_that_are_passed_ring_at_once_in_their_order(clock: MovableClock) -> None:
    rings: list[int] = []
    start = clock.now()
    for hours in (3, 1, 2, 5):
        clock.alarm(start + hours * HOUR, functools.partial(rings.append, hours))
    assert clock.next_alarm == start + HOUR
    clock.advance(4 * 3_600)
    assert rings == [1, 2, 3]
    assert clock.next_alarm == start + 5 * HOUR


async def test_an_alarm_may_cancel_a_later_one(clock: MovableClock) -> None:
    rings: list[str] = []
    later = clock.alarm(clock.now() + 2 * HOUR, lambda: rings.append("later"))
    clock.alarm(clock.now() + HOUR, later.cancel)
    clock.advance(10 * 3_600)
    assert rings == []
    assert clock.next_alarm is None


async def test_an_alarm_may_set_the_next_one(clock: MovableClock) -> None:
    rings = asyncio.Event()
    clock.alarm(clock.now() + HOUR, lambda: clock.alarm(clock.now(), rings.set))
    clock.advance(3_600)
    await asyncio.wait_for(rings.wait(), PATIENCE_SECONDS)


async def test_a_moved_clock_goes_on_from_there_and_disturbs_no_silence(
    clock: MovableClock,
) -> None:
    before = time.monotonic()
    clock.set(NEW_YEAR)
    first = clock.now()
    assert first - NEW_YEAR.timestamp() * 1_000 < HOUR
    await rung(clock, first + 10)
    assert before <= clock.monotonic() <= time.monotonic()


async def test_a_clock_may_be_set_back(clock: MovableClock) -> None:
    rings = asyncio.Event()
    clock.alarm(clock.now() + HOUR, rings.set)
    clock.advance(-3_600)
    assert not rings.is_set()
    clock.advance(2 * 3_600)
    assert rings.is_set()


def test_a_moment_without_a_time_zone_is_refused(clock: MovableClock) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        clock.set(datetime(2030, 1, 1))  # noqa: DTZ001

from __future__ import annotations

import asyncio
import functools
import time

import pytest

from longshore.engine import clock as clocks
from longshore.engine.clock import Clock, MovableClock, StoreClock, SystemClock

PATIENCE_SECONDS = 45.0
HOUR = 3_600_000


class JumpingClock(SystemClock):
    """A machine whose wall clock somebody sets."""

    jump = 0

    def now(self) -> int:
        return super().now() + self.jump


class StandingClock(SystemClock):
    """A machine whose wall clock stands still."""

    time = 1_750_000_000_000

    def now(self) -> int:
        return self.time


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
    clock.move(1_000)
    assert rings == []


async def test_alarms_that_are_passed_ring_at_once_in_their_order(clock: MovableClock) -> None:
    rings: list[int] = []
    start = clock.now()
    for hours in (3, 1, 2, 5):
        clock.alarm(start + hours * HOUR, functools.partial(rings.append, hours))
    assert clock.next_alarm == start + HOUR
    clock.move(4 * HOUR)
    assert rings == [1, 2, 3]
    assert clock.next_alarm == start + 5 * HOUR


async def test_an_alarm_may_cancel_a_later_one(clock: MovableClock) -> None:
    rings: list[str] = []
    later = clock.alarm(clock.now() + 2 * HOUR, lambda: rings.append("later"))
    clock.alarm(clock.now() + HOUR, later.cancel)
    clock.move(10 * HOUR)
    assert rings == []
    assert clock.next_alarm is None


async def test_an_alarm_may_set_the_next_one(clock: MovableClock) -> None:
    rings = asyncio.Event()
    clock.alarm(clock.now() + HOUR, lambda: clock.alarm(clock.now(), rings.set))
    clock.move(HOUR)
    await asyncio.wait_for(rings.wait(), PATIENCE_SECONDS)


async def test_a_moved_clock_goes_on_from_there_and_disturbs_no_silence(
    clock: MovableClock,
) -> None:
    before, wall = time.monotonic(), SystemClock().now()
    clock.move(HOUR)
    moved = clock.now()
    assert moved >= wall + HOUR
    await rung(clock, moved + 10)
    assert before <= clock.monotonic() <= time.monotonic()


async def test_a_clock_may_be_moved_back(clock: MovableClock) -> None:
    rings = asyncio.Event()
    clock.alarm(clock.now() + HOUR, rings.set)
    clock.move(-HOUR)
    assert not rings.is_set()
    clock.move(2 * HOUR)
    assert rings.is_set()


def test_the_clock_of_the_store_goes_as_this_one_until_an_answer_shows_otherwise() -> None:
    machine = StandingClock()
    clock = StoreClock(machine)
    assert not clock.level(asked=clock.now(), told=clock.now())
    assert clock.now() == machine.now()


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_the_clock_of_the_store_is_known_as_well_as_its_answers_allow(off: int) -> None:
    machine = StandingClock()
    clock = StoreClock(machine)
    asked = clock.now()
    machine.time += 20
    assert clock.level(asked, told=asked + off)
    assert off <= clock.now() - asked <= off + 20
    asked = clock.now()
    machine.time += 5
    assert not clock.level(asked, told=asked + 3)


def test_an_alarm_rings_by_the_clock_of_the_store() -> None:
    machine = MovableClock()
    clock = StoreClock(machine)

    async def alarms() -> int | None:
        asked = clock.now()
        clock.level(asked, told=asked + HOUR)
        clock.alarm(asked + 2 * HOUR, lambda: None)
        return machine.next_alarm

    rings = asyncio.run(alarms())
    assert rings is not None
    assert abs(rings - machine.now() - HOUR) < 10_000

"""Schedules: their times, across changes of clocks, and which of them are made up for."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from longshore.core.schedules import (
    GRACE_MS,
    MOST_AT_ONCE,
    Firing,
    Interval,
    Missed,
    Timing,
    fire,
)
from longshore.server.schedules import occasion
from longshore.server.timings import Cron, InvalidTiming, zone_of
from longshore.v1.catalog_service_pb2 import MissedPolicy

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def at(text: str) -> int:
    """Return milliseconds since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def told(moment: int | None) -> str:
    assert moment is not None
    return f"{datetime.fromtimestamp(moment / 1_000, UTC):%m-%d %H:%M}"


def cron(expression: str, zone: str = "UTC") -> Cron:
    return Cron(expression, zone_of(zone))


def times(timing: Timing, after: str, count: int) -> list[str]:
    found: list[str] = []
    moment = at(after)
    for _ in range(count):
        following = timing.after(moment)
        assert following is not None
        found.append(told(following))
        moment = following
    return found


HOURLY = cron("0 * * * *")
NOON = at("2026-06-01T12:00")


@pytest.mark.parametrize("missed", Missed)
def test_what_comes_in_time_is_submitted_once_by_every_policy(missed: Missed) -> None:
    for late in (0, 1, GRACE_MS):
        firing = fire(HOURLY, NOON, NOON + late, missed)
        assert firing == Firing((NOON,), NOON + HOUR)


@pytest.mark.parametrize("missed", Missed)
def test_nothing_is_submitted_before_its_time(missed: Missed) -> None:
    assert fire(HOURLY, NOON, NOON - 1, missed) == Firing((), NOON)


def test_what_was_missed_is_left_out() -> None:
    now = NOON + 3 * HOUR + GRACE_MS + 1
    assert fire(HOURLY, NOON, now, Missed.SKIP) == Firing((), NOON + 4 * HOUR)


def test_the_newest_was_not_missed_if_it_is_only_now_due() -> None:
    now = NOON + 3 * HOUR + GRACE_MS
    firing = fire(HOURLY, NOON, now, Missed.SKIP)
    assert firing == Firing((NOON + 3 * HOUR,), NOON + 4 * HOUR)


def test_one_submit_stands_for_all_that_were_missed() -> None:
    firing = fire(HOURLY, NOON, NOON + 4 * HOUR - 1, Missed.ONCE)
    assert firing == Firing((NOON + 3 * HOUR,), NOON + 4 * HOUR)


def test_every_missed_time_is_made_up_for() -> None:
    firing = fire(HOURLY, NOON, NOON + 2 * HOUR, Missed.ALL)
    due = (NOON, NOON + HOUR, NOON + 2 * HOUR)
    assert firing == Firing(due, NOON + 3 * HOUR)


def test_very_many_missed_times_are_made_up_for_in_turns() -> None:
    now = NOON + 250 * HOUR
    next_time: int | None = NOON
    turns: list[int] = []
    made_up: list[int] = []
    while next_time is not None and next_time <= now:
        firing = fire(HOURLY, next_time, now, Missed.ALL)
        turns.append(len(firing.due_times))
        made_up += firing.due_times
        next_time = firing.next_time
    assert turns == [MOST_AT_ONCE, MOST_AT_ONCE, 51]
    assert made_up == [NOON + count * HOUR for count in range(251)]


def test_an_interval_keeps_its_step_however_late_it_is_seen() -> None:
    timing = Interval(NOON, 7_000)
    firing = fire(timing, NOON, NOON + 1_000 * DAY + 1, Missed.ONCE)
    (newest,) = firing.due_times
    assert (newest - NOON) % 7_000 == 0
    assert firing.next_time == newest + 7_000
    assert newest <= NOON + 1_000 * DAY + 1 < newest + 7_000


def test_what_never_comes_again_has_no_next_time() -> None:
    class Last:
        def after(self, moment: int) -> int | None:
            return NOON if moment < NOON else None

        def latest(self, moment: int) -> int | None:
            return NOON if moment >= NOON else None

    for missed in Missed:
        assert fire(Last(), NOON, NOON, missed) == Firing((NOON,), None)


def test_the_policies_are_those_of_the_contract() -> None:
    for missed in Missed:
        assert MissedPolicy.Name(int(missed)) == f"MISSED_POLICY_{missed.name}"  # type: ignore[arg-type]


BERLIN = "Europe/Berlin"


def test_a_time_of_day_is_that_of_its_zone() -> None:
    assert times(cron("30 6 * * *", BERLIN), "2026-01-10T00:00", 1) == ["01-10 05:30"]
    assert times(cron("30 6 * * *", BERLIN), "2026-07-10T00:00", 1) == ["07-10 04:30"]
    assert times(cron("0 9 * * MON-FRI", "Asia/Tokyo"), "2026-11-20T00:00", 2) == [
        "11-23 00:00",
        "11-24 00:00",
    ]


def test_a_time_that_does_not_exist_comes_right_after_the_gap() -> None:
    # On 29 March clocks go from 02:00 to 03:00, which is 01:00 UTC.
    nightly = cron("30 2 * * *", BERLIN)
    assert times(nightly, "2026-03-27T12:00", 3) == [
        "03-28 01:30",
        "03-29 01:00",
        "03-30 00:30",
    ]


def test_a_time_that_exists_twice_comes_once() -> None:
    # On 25 October clocks go back from 03:00 to 02:00, which is 01:00 UTC.
    nightly = cron("30 2 * * *", BERLIN)
    assert times(nightly, "2026-10-24T12:00", 2) == ["10-25 00:30", "10-26 01:30"]
    # Also for who looks while it comes for the second time.
    assert times(nightly, "2026-10-25T01:10", 1) == ["10-26 01:30"]


def test_spans_go_on_through_the_hour_that_exists_twice_or_not_at_all() -> None:
    quarterly = cron("*/30 * * * *", BERLIN)
    assert times(quarterly, "2026-10-25T00:00", 4) == [
        "10-25 00:30",
        "10-25 01:00",
        "10-25 01:30",
        "10-25 02:00",
    ]
    assert times(quarterly, "2026-03-29T00:30", 2) == ["03-29 01:00", "03-29 01:30"]


@pytest.mark.parametrize(
    "expression",
    ["30 2 * * *", "*/15 2 * * *", "0,30 2,3 * * *", "0 * * * *", "59 23 * * *", "0 0 * * 0"],
)
def test_forwards_and_backwards_the_times_are_the_same(expression: str) -> None:
    timing = cron(expression, BERLIN)
    for day in ("2026-03-29T00:00", "2026-10-25T00:00"):
        start = at(day) - 8 * DAY
        forwards = [start]
        while forwards[-1] < at(day) + 8 * DAY:
            forwards.append(timing.after(forwards[-1]) or 0)
        assert all(one < other for one, other in pairwise(forwards))
        for moment in range(at(day) - HOUR, at(day) + 5 * HOUR, 11 * MINUTE):
            expected = max(one for one in forwards if one <= moment)
            assert timing.latest(moment) == expected or expected == start


def test_a_time_is_not_told_again_within_its_second() -> None:
    assert HOURLY.after(NOON) == NOON + HOUR
    assert HOURLY.after(NOON - 1) == NOON
    assert HOURLY.latest(NOON) == NOON
    assert HOURLY.latest(NOON - 1) == NOON - HOUR
    assert HOURLY.latest(NOON + 999) == NOON


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "60 * * * *", "x * * * *", "0 0 30 2 *", "*/0 * * * *"],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidTiming):
        cron(expression)


def test_a_day_that_comes_every_28_years_is_found_and_one_that_never_comes_is_not() -> None:
    assert cron("0 0 * 2 MON#5").after(at("2026-01-01T00:00")) == at("2044-02-29T00:00")
    assert cron("0 0 */31 * 1#5").after(NOON) is None


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Base", "../etc", "\0", "x" * 1_000])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidTiming):
        zone_of(name)


def test_what_is_submitted_says_for_which_time() -> None:
    assert occasion("nightly", NOON) == "nightly@2026-06-01T12:00:00Z"
    assert occasion("often", NOON + 250) == "often@2026-06-01T12:00:00.250Z"

"""Rates: never more calls than are allowed, and never fewer."""

from __future__ import annotations

from itertools import accumulate, combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.errors import RateLimited
from longshore.server.rates import Rates

PACES = st.one_of(st.floats(0.01, 2_000), st.integers(1, 50).map(float))


class Clock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def is_let_in(rates: Rates, caller: str = "ada") -> bool:
    try:
        rates.take(caller)
    except RateLimited:
        return False
    return True


@given(PACES, st.lists(st.floats(0, 3), max_size=60), st.integers(1, 20))
def test_no_window_has_more_calls_than_its_length_and_one_burst_allow(
    per_second: float, pauses: list[float], at_once: int
) -> None:
    clock = Clock()
    rates = Rates(per_second, clock)
    times: list[float] = []
    for time in accumulate(pauses, initial=clock.now):
        clock.now = time
        times += [time for _ in range(at_once) if is_let_in(rates)]
    burst = max(1.0, per_second)
    for first, last in combinations_with_replacement(range(len(times)), 2):
        calls = last - first + 1
        assert calls <= (times[last] - times[first]) * per_second + burst + 0.01


@given(PACES, st.lists(st.floats(0, 3), max_size=30))
def test_who_comes_again_when_told_to_is_let_in_and_not_before(
    per_second: float, pauses: list[float]
) -> None:
    clock = Clock()
    rates = Rates(per_second, clock)
    for pause in pauses:
        clock.now += pause
        while is_let_in(rates):
            pass
        with pytest.raises(RateLimited) as refusal:
            rates.take("ada")
        wait = refusal.value.retry_after
        assert 0 < wait <= 1.001 / per_second
        early = max(0.0, wait - 0.002 / per_second)  # A thousandth of a call is tolerated.
        clock.now += early
        assert not is_let_in(rates)
        clock.now += wait - early
        assert is_let_in(rates)


@given(PACES, st.integers(1, 200))
def test_an_even_pace_is_never_refused(per_second: float, calls: int) -> None:
    clock = Clock()
    rates = Rates(per_second, clock)
    for _ in range(calls):
        assert is_let_in(rates)
        clock.now += 1 / per_second


def test_a_seconds_worth_may_come_at_once_after_a_rest() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    for _ in range(3):
        assert [is_let_in(rates) for _ in range(11)] == [True] * 10 + [False]
        clock.now += 1


def test_callers_do_not_cost_each_other_anything() -> None:
    rates = Rates(1, Clock())
    assert is_let_in(rates)
    assert is_let_in(rates, "bob")
    assert not is_let_in(rates)


def test_crowds_of_callers_are_forgotten_as_soon_as_they_may_come_again() -> None:
    clock = Clock()
    rates = Rates(1, clock)
    for turn in range(10):
        for one in range(5_000):
            assert is_let_in(rates, f"{turn}/{one}")
        clock.now += 2
    assert len(rates._paid_until) <= 10_000  # pyright: ignore[reportPrivateUsage]
    assert is_let_in(rates, "9/0")


def test_a_refusal_names_the_limit() -> None:
    rates = Rates(2, Clock())
    while is_let_in(rates):
        pass
    with pytest.raises(RateLimited, match="more than 2 calls a second") as refusal:
        rates.take("ada")
    assert refusal.value.facts == {"limit": "2", "unit": "second"}

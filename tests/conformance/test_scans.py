"""Reads end in time, and what they leave out is said."""

from __future__ import annotations

import pytest

from longshore.core.filters import Compare, Not
from longshore.core.orders import NEWEST_FIRST, Order, SortKey
from longshore.core.store import Query, Replay
from longshore.stores import scanning
from tests.conformance.world import World, submit_change

NOBODY = Compare("submitter", "=", "nobody")


async def test_a_scan_that_takes_long_ends_in_a_short_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await world.apply(*(submit_change() for _ in range(1_000)))
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 0.0)
    for order in (NEWEST_FIRST, Order((SortKey("number"),))):
        page = await world.find(NOBODY, order)
        looks = 1
        while page.after is not None:
            assert page.records == []
            page = await world.find(NOBODY, order, after=page.after)
            looks += 1
        assert looks == 3


async def test_pages_that_were_cut_short_still_show_everything_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await world.apply(*(submit_change(priority=one % 10) for one in range(1_000)))
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 0.0)
    few = Compare("priority", "=", 7)
    seen: list[int] = []
    page = await world.find(few, limit=150)
    while True:
        seen += [record.operation.number for record in page.records]
        if page.after is None:
            break
        page = await world.find(few, limit=150, after=page.after)
    assert seen == [number for number in range(5_000, 0, -1) if (number - 1) % 10 == 7]


async def test_a_replay_that_takes_long_says_how_far_it_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await world.apply(*(submit_change() for _ in range(1_000)))
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 0.0)
    after, looks = 0, 0
    while after < world.revision:
        found = await world.store.events(Replay("default", after, filter=NOBODY))
        assert found.events == []
        after = found.revision
        looks += 1
    assert looks == 3


async def test_a_count_that_takes_long_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await world.apply(*(submit_change() for _ in range(1_000)))
    wanted = Not(Compare("labels.team", "=", "a"))
    query = Query("default", None, wanted, NEWEST_FIRST, None, 10, with_total=True)
    assert (await world.store.find(query)).total == 5_000
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 0.0)
    page = await world.store.find(query)
    assert page.total is None
    assert len(page.records) == 10

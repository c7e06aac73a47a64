"""Stores that move: a world goes on in another store, into which all was copied."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from hypothesis.stateful import precondition, rule

from longshore.core.events import Event
from longshore.core.operations import Part, Record
from longshore.core.orders import NEWEST_FIRST
from longshore.core.origins import Origin
from longshore.core.store import Channel, Query, Replay, Store
from longshore.stores.copying import Copier, Side, Tally, Target
from longshore.stores.tables import TABLES, Row, Table
from tests.conformance.candidates import CANDIDATES, Candidate
from tests.conformance.stateful import StatefulTest


def unseen(_: Table, __: int) -> None:
    """Look away."""


async def copied(source: Side, target: Target) -> Mapping[str, Tally]:
    copier = Copier(source, "the source", target)
    await copier.copy(unseen)
    return await copier.verify(unseen)


async def copy(
    candidate: Candidate, place: Path, other: Candidate, other_place: Path
) -> Mapping[str, Tally]:
    """Copy a store, which is closed, into an empty one."""
    async with candidate.source(place) as source, other.target(other_place) as target:
        return await copied(source, target)


async def rows(candidate: Candidate, place: Path) -> dict[str, list[Row]]:
    """Return all rows of a store, which is closed."""
    async with candidate.source(place) as side:
        found = {
            table.name: [row async for page in side.pages(table) for row in page]
            for table in TABLES
        }
        return {"head": [await side.head()], **found}


async def answers(store: Store) -> list[object]:
    """Return what a store says of everything, asked page by page."""
    records, events = await _records(store), await _events(store)
    catalog, counts = await store.catalog(), await store.counts("default")
    accounts = await store.accounts("default", "ada")
    arrived = await store.channel(Channel("default", "ada", 0, 1_000))
    return [records, events, catalog, counts, list(accounts), list(arrived)]


async def _records(store: Store) -> list[Record]:
    found: list[Record] = []
    query = Query("default", None, None, NEWEST_FIRST, None, 7, tuple(Part), reserved=True)
    while True:
        page = await store.find(query)
        found += page.records
        if page.after is None:
            return found
        query = query._replace(after=page.after)


async def _events(store: Store) -> list[tuple[Event, Origin | None]]:
    found: list[tuple[Event, Origin | None]] = []
    compacted = (await store.catalog()).compacted
    replay = Replay("default", compacted, reserved=True, limit=9, origins=True)
    while True:
        told = await store.events(replay)
        found += zip(told.events, told.origins, strict=True)
        if told.revision == replay.after:
            return found
        replay = replay._replace(after=told.revision)


class Moving(StatefulTest):
    """Moves to a store of the other kind now and then, and goes on there."""

    places = itertools.count(1)

    def commit(self) -> None:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.moves = 0

    @precondition(lambda self: self.moves < 2)
    @rule()
    def move(self) -> None:
        self.commit()
        self.moves += 1
        self.run(self._move())

    async def _move(self) -> None:
        world = self.world
        before = await answers(world.store)
        old, old_place = world.candidate, world.place
        new = next(one for one in CANDIDATES.values() if one is not old)
        await world.store.close()
        place, back = self._place(), self._place()
        there = await copy(old, old_place, new, place)
        assert await copy(new, place, old, back) == there
        assert await rows(old, back) == await rows(old, old_place) == await rows(new, place)
        old.remove(back)
        old.remove(old_place)
        world.candidate, world.place = new, place
        await world.open()
        assert await answers(world.store) == before

    def _place(self) -> Path:
        place = Path(self.folder.name, str(next(self.places)))
        place.mkdir()
        return place

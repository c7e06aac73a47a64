"""Stores that move: a world goes on in another store, into which all was copied."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hypothesis.stateful import invariant

from longshore.cli.stores import StorePlace
from longshore.core.events import Event
from longshore.core.operations import Part, Record
from longshore.core.orders import NEWEST_FIRST
from longshore.core.origins import Origin
from longshore.core.store import Channel, Query, Replay, Store
from longshore.stores.copying import Copier, Tally
from longshore.stores.tables import TABLES, Row, Table
from tests.conformance.candidates import CANDIDATES, Candidate
from tests.conformance.stateful import StatefulTest
from tests.conformance.world import World

_STEPS: Final = 12


def unseen(_: Table, __: int) -> None:
    """Look away."""


async def copy(source: str, target: str) -> Mapping[str, Tally]:
    """Copy one store, which is closed, into another."""
    origin, place = StorePlace.parse(source), StorePlace.parse(target)
    async with origin.source() as side, place.target() as other:
        copier = Copier(side, str(origin), other)
        await copier.copy(unseen)
        return await copier.verify(unseen)


async def rows(url: str) -> dict[str, list[Row]]:
    """Return all rows of a store, which is closed."""
    async with StorePlace.parse(url).source() as side:
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


def other_than(candidate: Candidate) -> Candidate:
    return next(one for one in CANDIDATES.values() if one is not candidate)


async def move(world: World, folder: Path) -> None:
    """Go on in a store of the other kind.

    It is copied there and back, and says and has the same.
    """
    before = await answers(world.store)
    await world.store.close()
    old, new = world.candidate, other_than(world.candidate)
    place, back = folder / "there", folder / "back"
    for one in (place, back):
        one.mkdir(parents=True)
    first, second, third = old.url(world.place), new.url(place), old.url(back)
    assert await copy(first, second) == await copy(second, third)
    assert await rows(first) == await rows(second) == await rows(third)
    old.remove(back)
    old.remove(world.place)
    world.candidate, world.place = new, place
    await world.open()
    assert await answers(world.store) == before


class Moving(StatefulTest):
    """Moves to a store of the other kind now and then, and goes on there."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def commit(self) -> None:
        raise NotImplementedError

    @invariant()
    def moves_now_and_then(self) -> None:
        self.steps += 1
        if self.steps % _STEPS == 0:
            self.commit()
            self.run(move(self.world, Path(self.folder.name, str(self.steps))))

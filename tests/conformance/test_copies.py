"""Stores are copied into others of both kinds: all of them, and work goes on there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from longshore.cli.stores import StorePlace
from longshore.core.changes import (
    FireSchedule,
    Mode,
    SetMode,
    Submitted,
)
from longshore.core.errors import RequestIdReused
from longshore.core.operations import State
from longshore.core.orders import Order, SortKey
from longshore.stores.copying import Copier
from longshore.stores.tables import HEAD, TABLES
from tests.conformance.codec import request_for
from tests.conformance.copies import KEY, ME, Target, closed, executed, fill
from tests.conformance.moves import answers, copy, move, rows, unseen
from tests.conformance.world import HOUR, NOON, World, done, numbers, submit_change

OLDEST_FIRST = Order((SortKey("number"),))
PARTICULARS = (
    ("events", "tenant"),
    ("sessions", "ended"),
    *((table, "changed") for table in ("lanes", "sessions", "queues", "circles")),
)


async def test_nothing_that_is_kept_is_left_out(world: World) -> None:
    await fill(world)
    kept = await rows(await closed(world))
    assert [name for name, found in kept.items() if not found] == []


async def test_work_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    session, assignment = await fill(world)
    await move(world, tmp_path / "moved")
    assert (await world.store.catalog()).mode == Mode.MAINTENANCE
    await world.do(SetMode(ME, Mode.ACTIVE))
    await world.report(session, assignment, done(x=1))
    assert (await world.see(assignment)).state == State.SUCCEEDED
    repeated = cast("Submitted", await world.do(submit_change(key=KEY)))
    assert (repeated.created, repeated.operation.number) == (False, 1)
    refused = await world.refused(submit_change(key=KEY, digest=b"another"))
    assert isinstance(refused, RequestIdReused)
    fired = FireSchedule(ME, "hourly", b"v1", NOON + HOUR, (submit_change(),), NOON + 2 * HOUR)
    (submitted,) = cast("list[Submitted]", await world.do(fired))
    leased = await world.lease(session, free=9)
    assert numbers(leased)[-1] == submitted.operation.number == 10
    again = await world.open_session(slots=1)
    assert again.session == session.session
    assert again.epoch == session.epoch + 1


async def test_a_list_is_read_on_where_it_was_left(world: World, tmp_path: Path) -> None:
    await fill(world)
    whole = numbers(await world.find(order=OLDEST_FIRST))
    first = await world.find(order=OLDEST_FIRST, limit=4)
    await move(world, tmp_path / "moved")
    rest = await world.find(order=OLDEST_FIRST, after=first.after)
    assert numbers(first) + numbers(rest) == whole


async def test_a_copy_of_the_same_kind_is_the_same_as_well(
    world: World, tmp_path: Path
) -> None:
    await fill(world)
    before = await answers(world.store)
    other = Target(world.candidate, tmp_path / "same")
    there = await copy(await closed(world), other.url)
    assert there["operations"].rows == 9
    store = other.store()
    await store.open()
    assert await answers(store) == before
    await store.close()
    assert await rows(other.url) == await rows(world.candidate.url(world.place))
    other.remove()


async def test_connections_that_others_share_are_good_enough(
    world: World, target: Target
) -> None:
    def shared(url: str) -> str:
        return url if url.startswith("sqlite:") else f"{url}&pooled=true"

    await fill(world)
    source = await closed(world)
    await copy(shared(source), shared(target.url))
    assert await rows(target.url) == await rows(source)


async def test_large_rows_are_copied_a_few_at_a_time(
    world: World, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.stores.copying._BATCH_BYTES", 100_000)
    for _ in range(80):
        await world.submit(request=request_for("scan", text="x" * 10_000))
    source = await closed(world)
    told: list[tuple[str, int]] = []
    place = StorePlace.parse(target.url)
    async with StorePlace.parse(source).source() as side, place.target() as other:
        copier = Copier(side, source, other)
        total = await copier.rows()
        await copier.copy(lambda table, rows: told.append((table.name, rows)))
        assert sum(count for _, count in told) == total
        assert [count for name, count in told if name == "documents"] == [64, 16]
        await copier.verify(unseen)
    assert await rows(target.url) == await rows(source)


async def test_the_list_of_tables_leaves_nothing_out(world: World) -> None:
    found = await columns(await closed(world))
    for name in ("servers", "heartbeats", "migrations", "_sqlite_migrations"):
        found.pop(name, None)
    # What PostgreSQL needs so that several servers know what each other did.
    for table, own in PARTICULARS:
        found[table].discard(own)
    found["head"] &= {*HEAD}
    assert found == {"head": {*HEAD}, **{one.name: {*one.columns} for one in TABLES}}
    assert all({*one.key} <= {*one.columns} for one in TABLES)


async def columns(url: str) -> dict[str, set[str]]:
    """Return the columns of all tables."""
    query = (
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, "
        "pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
        if url.startswith("sqlite:")
        else "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public'"
    )
    found: dict[str, set[str]] = {}
    for table, column in await executed(url, query):
        found.setdefault(table, set()).add(column)
    return found

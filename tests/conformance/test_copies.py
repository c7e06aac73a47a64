"""Stores are copied into others of both kinds: all of them, once, and only into empty ones."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from asyncio import create_subprocess_exec
from collections.abc import AsyncGenerator
from pathlib import Path
from signal import SIGKILL
from typing import Any, cast

import asyncpg
import pytest

from longshore.cli.stores import StorePlace
from longshore.core.callers import Account, Caller
from longshore.core.catalog_changes import (
    ApplyContract,
    ApplySchedule,
    RegisterAccount,
    UpdateQueue,
)
from longshore.core.changes import (
    Cancel,
    FireSchedule,
    Mode,
    Opened,
    Publication,
    SetMode,
    Submitted,
)
from longshore.core.deliveries import Way
from longshore.core.errors import RequestIdReused, StoreUnavailable
from longshore.core.operations import State
from longshore.core.orders import Order, SortKey
from longshore.core.policies import Policy
from longshore.core.reports import Assignment
from longshore.core.store import Store
from longshore.stores.copying import Copier
from longshore.stores.postgres import migrating
from longshore.stores.sqlite import schema
from longshore.stores.tables import HEAD, TABLES, Table
from tests.conformance.candidates import CANDIDATES, Candidate
from tests.conformance.codec import JsonCodec, request_for
from tests.conformance.keeping import upload_changes
from tests.conformance.moves import answers, copy, move, other_than, rows, unseen
from tests.conformance.world import HOUR, NOON, World, done, numbers, submit_change
from tests.tools.postgres import databases

ME = Caller("default", "ada")
ODD = "a\0b\ufffe0\ufffe1ü"  #: What not every store keeps as it is.
KEY = f"key {ODD}"
OLDEST_FIRST = Order((SortKey("number"),))
PARTICULARS = (
    ("events", "tenant"),
    ("sessions", "ended"),
    *((table, "changed") for table in ("lanes", "sessions", "queues", "circles")),
)


class Target:
    """A place for a store of the other kind, which may be left as it should not be."""

    def __init__(self, candidate: Candidate, place: Path) -> None:
        self._candidate, self._place = candidate, place
        place.mkdir()
        self.url = candidate.url(place)

    def store(self) -> Store:
        """Return the store as a server would have it, not opened."""
        return self._candidate.make(self._place, JsonCodec(), lambda: NOON)

    def remove(self) -> None:
        if self._candidate is CANDIDATES["postgres"]:
            databases().drop(self._place)


@pytest.fixture
async def target(world: World, tmp_path: Path) -> AsyncGenerator[Target]:
    target = Target(other_than(world.candidate), tmp_path / "target")
    yield target
    target.remove()


async def fill(world: World) -> tuple[Opened, Assignment]:
    """Let there be rows in every table; return work that is under way, and whose it is."""
    session = await world.open_session(slots=9, services=[Publication("scans", b"v1")])
    opening, keeping = upload_changes()
    await world.apply(opening, keeping, upload_changes(b"never written")[0])
    await world.submit(
        key=KEY, fairness_key="a", facts_request_id=ODD, files=(keeping.file.id,)
    )
    channel = Policy(delivery=Way.CHANNEL)
    await world.apply(*(submit_change(policy=channel) for _ in range(8)))
    first, *others = await world.lease(session, free=5)
    for other in others:
        await world.report(session, other, done(x=1))
    await world.do(Cancel(ME, others[-1].operation.number + 1, message=ODD))
    await world.do(ApplyContract(ME, "archive", b"v1", (("ingest", b"i"),)))
    await world.do(ApplySchedule(ME, "hourly", b"v1", NOON + HOUR))
    await world.do(RegisterAccount(ME, Account("ocr", "ada@example.org")))
    await world.do(UpdateQueue(ME, "night", paused=True, limit=3))
    await world.do(SetMode(ME, Mode.MAINTENANCE, resume_on_restart=False))
    return session, first


async def made(target: Target) -> None:
    """Let there be an empty store."""
    store = target.store()
    await store.open()
    await store.close()


async def closed(world: World) -> str:
    """Close a store; return where it is."""
    await world.store.close()
    return world.candidate.url(world.place)


@contextlib.asynccontextmanager
async def served(url: str) -> AsyncGenerator[None]:
    """Let a server have a store."""
    store = StorePlace.parse(url).store()
    await store.open()
    await store.renew((), 30_000)
    yield
    await store.close()


async def executed(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Do something to a store behind its back; return what that says."""
    path = StorePlace.parse(url).path
    if path is not None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()
    connected = await asyncpg.connect(url)
    try:
        if statement.count(";"):
            await connected.execute(statement)
            return []
        return [tuple(row) for row in await connected.fetch(statement)]
    finally:
        await connected.close()


async def copied_in_part(source: str, target: str, most: int = 1) -> None:
    """Copy until so many tables have rows."""

    class Enough(Exception):
        pass

    seen: list[Table] = []

    def told(table: Table, _: int) -> None:
        seen.append(table)
        if len(seen) == most:
            raise Enough

    origin, place = StorePlace.parse(source), StorePlace.parse(target)
    with pytest.raises(Enough):
        async with origin.source() as side, place.target() as other:
            await Copier(side, str(origin), other).copy(told)


async def written_too(place: StorePlace) -> None:
    """Copy into a target, and have seen nothing of others who do."""
    async with place.target() as other:
        await other.write(TABLES[0], [], "first", "third")


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


# What is copied.


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


# What is interrupted.


async def test_a_copy_that_is_killed_anywhere_goes_on(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    steps, code = 1, -SIGKILL
    while code == -SIGKILL:
        child = await create_subprocess_exec(
            sys.executable, "-m", "tests.tools.killed", source, target.url, str(steps)
        )
        code = await child.wait()
        steps += 9
        if code == -SIGKILL:
            with pytest.raises(StoreUnavailable, match="has not ended"):
                await target.store().open()
            with pytest.raises(StoreUnavailable, match="has not ended"):
                await rows(target.url)
            condition = await StorePlace.parse(target.url).condition()
            assert "has not ended" in condition.warnings[0]
    assert code == 0
    assert steps > 30
    assert await rows(target.url) == await rows(source)


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_a_source_that_has_changed_meanwhile_is_noticed(
    world: World, target: Target, most: int
) -> None:
    await fill(world)
    source = await closed(world)
    await copied_in_part(source, target.url, most)
    await world.open()
    await world.do(SetMode(ME, Mode.ACTIVE))
    await world.store.close()
    with pytest.raises(StoreUnavailable, match="another store or has changed"):
        await copy(source, target.url)


async def test_a_change_that_no_revision_tells_is_noticed(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    await copied_in_part(source, target.url, 2)
    await executed(source, "UPDATE operations SET reports = 99 WHERE number = 1")
    with pytest.raises(StoreUnavailable, match="another store or has changed"):
        await copy(source, target.url)


async def test_a_row_that_is_gone_is_noticed(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    await copied_in_part(source, target.url, 2)
    await executed(source, "DELETE FROM documents WHERE number = 1")
    with pytest.raises(StoreUnavailable, match="another store or has changed"):
        await copy(source, target.url)


async def test_a_copy_that_is_not_the_same_is_no_store(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    place = StorePlace.parse(target.url)
    async with StorePlace.parse(source).source() as side, place.target() as other:
        copier = Copier(side, source, other)
        await copier.copy(unseen)
        await executed(target.url, "UPDATE counts SET count = count + 1")
        with pytest.raises(StoreUnavailable, match="not the same: of counts"):
            await copier.verify(unseen)
    with pytest.raises(StoreUnavailable, match="has not ended"):
        await target.store().open()


# What is refused.


async def test_a_target_that_has_anything_is_refused(world: World, target: Target) -> None:
    store = target.store()
    await store.open()
    await store.apply([submit_change()])
    await store.close()
    before = await rows(target.url)
    with pytest.raises(StoreUnavailable, match="not empty"):
        await copy(await closed(world), target.url)
    assert await rows(target.url) == before


async def test_a_target_is_made_where_nothing_is(world: World, target: Target) -> None:
    if world.candidate is CANDIDATES["sqlite"]:
        await executed(target.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await fill(world)
    source = await closed(world)
    await copy(source, target.url)
    assert await rows(target.url) == await rows(source)


async def test_a_target_that_was_copied_already_is_refused(
    world: World, target: Target
) -> None:
    await fill(world)
    source = await closed(world)
    await copy(source, target.url)
    with pytest.raises(StoreUnavailable, match="not empty"):
        await copy(source, target.url)


async def test_a_source_that_a_server_has_is_refused(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    async with served(source):
        with pytest.raises(StoreUnavailable, match="server"):
            await copy(source, target.url)
    await copy(source, target.url)


async def test_a_target_that_a_server_has_is_refused(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    async with served(target.url):
        with pytest.raises(StoreUnavailable, match="server"):
            await copy(source, target.url)
    await copy(source, target.url)


async def test_nobody_opens_or_writes_a_source_meanwhile(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    async with StorePlace.parse(source).source():
        if world.candidate is CANDIDATES["sqlite"]:
            with pytest.raises(StoreUnavailable, match="another server"):
                await world.open()
        else:
            with pytest.raises(asyncpg.LockNotAvailableError):
                await executed(source, "SELECT FROM head FOR UPDATE NOWAIT")


async def test_a_store_is_not_copied_into_itself(world: World) -> None:
    await fill(world)
    source = await closed(world)
    with pytest.raises(StoreUnavailable):
        await copy(source, source)


async def test_two_do_not_copy_into_the_same_target(target: Target) -> None:
    place = StorePlace.parse(target.url)
    async with place.target() as one:
        await one.begin("first")
        await one.write(TABLES[0], [], "first", "second")
        with pytest.raises(StoreUnavailable, match=r"somebody else|another server"):
            await written_too(place)


async def test_a_source_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no store"):
        await copy(f"sqlite:{tmp_path}/none.db", f"sqlite:{tmp_path}/target.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_store_of_an_unknown_version_is_refused(
    world: World, target: Target, side: str
) -> None:
    await fill(world)
    source = await closed(world)
    changed = source if side == "source" else target.url
    if side == "target":
        await made(target)
    if changed.startswith("sqlite:"):
        await executed(changed, "UPDATE _sqlite_migrations SET name = '9999_later'")
    else:
        await executed(changed, "UPDATE migrations SET name = '9999_later'")
    with pytest.raises(StoreUnavailable, match="9999_later"):
        await copy(source, target.url)
    if changed.startswith("postgresql:"):  # Others will have this database.
        await executed(changed, "UPDATE migrations SET name = '0001_tables'")


@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_store_of_an_older_version_is_refused(
    world: World, target: Target, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def older(_: object) -> migrating.Status:
        return migrating.Status(["0001_tables"], ["0002_more"])

    def more(_: object) -> list[str]:
        return ["more"]

    await fill(world)
    source = await closed(world)
    changed = source if side == "source" else target.url
    if side == "target":
        await made(target)
    monkeypatch.setattr(migrating, "status", older)
    if changed.startswith("sqlite:"):
        monkeypatch.undo()
        monkeypatch.setattr(schema, "pending", more)
    with pytest.raises(StoreUnavailable, match="longshore db migrate"):
        await copy(source, target.url)


# What a table is.


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

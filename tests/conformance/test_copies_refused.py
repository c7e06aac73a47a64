"""What is not copied: what others have, into what is not empty, what nobody knows."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from longshore.cli.stores import StorePlace
from longshore.core.errors import StoreUnavailable
from longshore.stores.postgres import migrating
from longshore.stores.sqlite import schema
from longshore.stores.tables import TABLES
from tests.conformance.candidates import CANDIDATES
from tests.conformance.copies import Target, closed, executed, fill, made, served
from tests.conformance.moves import copy, rows
from tests.conformance.world import World, submit_change


async def written_too(place: StorePlace) -> None:
    """Copy into a target, and have seen nothing of others who do."""
    async with place.target() as other:
        await other.write(TABLES[0], [], "first", "third")


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

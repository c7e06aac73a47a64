"""What is particular to the SQLite store: its file, its limits of time, its broken disks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import sqlite3
from collections.abc import Generator
from pathlib import Path

import pytest
from sqlite_utils import Database

from longshore.core.callers import Caller
from longshore.core.catalog_changes import ApplyContract, ApplySchedule
from longshore.core.changes import Cancel, Change, Compact, FireSchedule, Mode, SetMode
from longshore.core.errors import OutcomeUnknown, StoreUnavailable
from longshore.core.filters import Compare
from longshore.stores.sqlite import applying
from longshore.stores.sqlite.schema import migrate
from longshore.stores.sqlite.store import SqliteStore
from tests.conformance.codec import JsonCodec, request_for
from tests.conformance.world import NOON, World, submit_change

NOBODY = Compare("submitter", "=", "nobody")


@contextlib.contextmanager
def files_limited_to(size: int) -> Generator[None]:
    """Let the disk refuse to write beyond a size, in any file of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def refusal_to_open(path: Path) -> str:
    store = SqliteStore(path, JsonCodec())
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    return str(caught.value)


async def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(sqlite3.connect(path))
    migrate(database)
    database.conn.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
        "VALUES ('longshore', 'from_the_future', '2099')"
    )
    database.conn.commit()
    database.close()
    said = await refusal_to_open(path)
    assert "does not know" in said
    assert "from_the_future" in said


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"something else entirely" * 100)
    assert "not a database" in await refusal_to_open(path)
    assert path.read_bytes().startswith(b"something else entirely")


async def test_a_place_where_no_file_can_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be locked" in await refusal_to_open(tmp_path / "file" / "store.db")


async def test_who_is_kept_off_is_told_which_file_is_held(world: World, tmp_path: Path) -> None:
    assert str(tmp_path / "store.db.lock") in await refusal_to_open(tmp_path / "store.db")


async def test_a_second_server_is_kept_off(world: World) -> None:
    await world.submit()
    second = world.another()
    with pytest.raises(StoreUnavailable, match="another server"):
        await second.open()
    assert (await world.submit()).number == 2
    await world.store.close()
    await second.open()
    assert len(await second.get("default", [1, 2])) == 2
    await second.close()
    await world.open()


async def test_a_store_that_could_not_be_opened_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"something else entirely" * 100)
    await refusal_to_open(path)
    path.unlink()
    store = SqliteStore(path, JsonCodec())
    await store.open()
    await store.close()


async def test_a_program_that_locks_the_file_is_waited_for_only_shortly(
    world: World, tmp_path: Path
) -> None:
    foreign = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await world.store.apply([submit_change(), submit_change()])
    foreign.execute("ROLLBACK")
    foreign.close()
    assert (await world.submit()).number == 1


async def test_a_commit_that_breaks_off_has_an_unknown_outcome(
    world: World, tmp_path: Path
) -> None:
    kept = await world.submit()
    written = (tmp_path / "store.db-wal").stat().st_size
    with files_limited_to(written + 4_096), pytest.raises(OutcomeUnknown):
        await world.store.apply([submit_change(request=request_for(padding="x" * 100_000))])
    assert await world.see(kept) == kept
    assert (await world.submit()).number == kept.number + 1
    await world.reopen()
    assert (await world.submit()).number == kept.number + 2


async def test_a_full_disk_leaves_contract_and_schedule_as_they_were(
    world: World, tmp_path: Path
) -> None:
    document = b"x" * 100_000
    await world.do(ApplyContract(Caller(), "one", b"1", (("ingest", b"d"),)))
    await world.do(ApplySchedule(Caller(), "nightly", b"1", NOON))
    before = await world.store.catalog()
    refused: list[Change] = [
        ApplyContract(Caller(), "one", document, (("ingest", b"e"),)),
        FireSchedule(
            Caller(), "nightly", b"1", NOON, (submit_change(request=document),), NOON + 1
        ),
    ]
    for change in refused:
        written = (tmp_path / "store.db-wal").stat().st_size
        with files_limited_to(written + 4_096), pytest.raises(OutcomeUnknown):
            await world.store.apply([change])
    assert await world.store.catalog() == before
    await world.reopen()
    after = await world.store.catalog()
    assert (after.contracts, after.schedules) == (before.contracts, before.schedules)
    assert await world.do(refused[1])  # With room again it is still due, and fires once.
    assert await world.do(refused[1]) is None


async def test_compaction_removes_old_events_of_the_installation(
    world: World, tmp_path: Path
) -> None:
    for number in range(3):
        await world.open_session(secret=bytes([number]))
    operation = await world.submit()
    await world.do(Cancel(Caller("default", "ada"), operation.id))
    world.pass_time(1)
    await world.open_session(secret=b"young")
    await world.do(Compact(world.now))
    reader = sqlite3.connect(tmp_path / "store.db")
    kept = reader.execute("SELECT revision, number FROM events ORDER BY revision").fetchall()
    reader.close()
    assert kept == [(5, operation.number), (6, operation.number), (7, 0)]


async def test_every_commit_is_synced_to_a_log_of_its_own(world: World, tmp_path: Path) -> None:
    await world.submit()
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        source = tmp_path / f"store.db{suffix}"
        copy.with_name(f"copy.db{suffix}").write_bytes(source.read_bytes())
    taken = SqliteStore(copy, JsonCodec())
    await taken.open()
    assert (await taken.get("default", [1]))[0] is not None
    await taken.close()


async def test_a_commit_in_the_helper_thread_outlives_its_caller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "_QUIET_SECONDS", math.inf)
    waiting = asyncio.create_task(world.store.apply([submit_change()]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    applied = await world.store.apply([submit_change()])
    assert [event.revision for event in applied.events] == [2]


async def test_of_the_catalog_only_what_has_changed_is_read_again(world: World) -> None:
    await world.do(ApplyContract(Caller(), "one", b"1", ()))
    first = await world.store.catalog()
    await world.do(SetMode(Caller(), Mode.SUSPENDED))
    second = await world.store.catalog()
    assert second.mode == Mode.SUSPENDED
    assert second.contracts is first.contracts
    await world.do(ApplyContract(Caller(), "two", b"2", ()))
    third = await world.store.catalog()
    assert sorted(name for _, name in third.contracts) == ["one", "two"]
    assert third.schedules is first.schedules

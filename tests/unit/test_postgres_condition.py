"""How a database is, without a server: its schema, its contents, and who holds it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from longshore.core.errors import StoreUnavailable
from longshore.stores.postgres import condition as conditions
from longshore.stores.postgres.condition import condition
from longshore.stores.postgres.connections import Row
from longshore.stores.postgres.store import PostgresStore
from tests.conformance.codec import JsonCodec
from tests.conformance.world import submit_change
from tests.tools.postgres import databases


@pytest.fixture
def url(tmp_path: Path) -> Generator[str]:
    yield databases().url(tmp_path)
    databases().drop(tmp_path)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what has only begun be old already."""
    monkeypatch.setattr(conditions, "OLD_SECONDS", 0)


@asynccontextmanager
async def somebody(url: str, **settings: str) -> AsyncGenerator[asyncpg.Connection[Row]]:
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_database_without_tables_has_all_changes_before_it(url: str) -> None:
    async with somebody(url) as owner:
        await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    found = await condition(url)
    assert (found.applied, found.revision) == ([], 0)
    assert found.pending
    assert found.size_bytes > 0
    async with somebody(url) as owner:
        assert not await owner.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        )


async def test_what_is_in_a_database_is_counted_while_a_server_has_it(url: str) -> None:
    store = PostgresStore(url, JsonCodec())
    await store.open()
    applied = await store.apply([submit_change(), submit_change()])
    found = await condition(url)
    await store.close()
    assert found.counts == {(1, 2): 2}
    assert found.revision == applied.revision
    assert not found.pending
    assert not found.warnings


async def test_a_newer_schema_is_refused(url: str) -> None:
    async with somebody(url) as owner:
        await owner.execute("INSERT INTO migrations VALUES ('9999_later', '', now())")
    with pytest.raises(StoreUnavailable, match="9999_later"):
        await condition(url)


@pytest.mark.usefixtures("at_once")
async def test_whoever_holds_a_snapshot_open_is_named(url: str) -> None:
    async with somebody(url, application_name="a report") as reader:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM head")
        (warning,) = (await condition(url)).warnings
        assert "'a report', idle in transaction" in warning
        assert f"process {reader.get_server_pid()}" in warning
        await reader.execute("COMMIT")
        assert not (await condition(url)).warnings


@pytest.mark.usefixtures("at_once")
async def test_whoever_has_written_and_not_committed_is_named(url: str) -> None:
    async with somebody(url) as writer:
        await writer.execute("BEGIN; INSERT INTO blobs VALUES ('x', 1)")
        assert len((await condition(url)).warnings) == 1


async def test_what_has_only_begun_is_no_harm(url: str) -> None:
    async with somebody(url) as reader:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM head")
        assert not (await condition(url)).warnings


@pytest.mark.usefixtures("at_once")
async def test_snapshots_of_other_databases_are_no_harm(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("elsewhere")
    async with somebody(databases().url(place)) as reader:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM head")
        assert not (await condition(url)).warnings
    databases().drop(place)


async def test_who_may_not_see_since_when_a_snapshot_is_open_counts_transactions(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "OLD_TRANSACTIONS", 2)
    role = "condition_guest"
    async with somebody(url) as owner, somebody(url) as reader:
        await owner.execute(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role}")
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM head")
        for _ in range(3):
            await owner.execute("INSERT INTO blobs VALUES (gen_random_uuid()::text::bytea, 1)")
        async with somebody(url) as guest:
            await guest.execute(f"SET ROLE {role}")
            (warning,) = await conditions.warnings(guest)
        assert "for 3 transactions" in warning
        await owner.execute(f"DROP ROLE {role}")


async def test_a_database_that_is_not_there_is_named_without_its_password(url: str) -> None:
    nowhere = "postgresql://ada:hush@127.0.0.1:1/nowhere"
    with pytest.raises(
        StoreUnavailable, match=r"postgresql://127\.0\.0\.1:1/nowhere"
    ) as caught:
        await condition(nowhere)
    assert "hush" not in str(caught.value)
    missing = url.replace("/test_", "/no_")
    with pytest.raises(StoreUnavailable, match="does not exist"):
        await asyncio.wait_for(condition(missing), 45)

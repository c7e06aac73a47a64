"""How a PostgreSQL database is reached, and how its schema comes to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import asyncpg
import pytest

from longshore.core.errors import RevisionInFuture, StoreUnavailable
from longshore.core.orders import NEWEST_FIRST
from longshore.core.store import Query, Replay
from longshore.stores.postgres import replays
from longshore.stores.postgres.connections import (
    DATABASE_ERRORS,
    Address,
    AnyConnection,
    Connection,
    Readers,
    Writing,
    connect,
)
from longshore.stores.postgres.listening import CHANNEL, Listener
from longshore.stores.postgres.migrating import migrate, status
from longshore.stores.postgres.store import PostgresStore
from tests.conformance.codec import JsonCodec
from tests.conformance.world import submit_change
from tests.tools.postgres import databases


@pytest.fixture
def url(tmp_path: Path) -> Generator[str]:
    """Where a database is that has the schema of this version, and need not keep it."""
    yield databases().url(tmp_path)
    databases().drop(tmp_path)


@pytest.fixture
async def readers(url: str) -> AsyncGenerator[Readers]:
    readers = Readers(Address.parse(url))
    await readers.open()
    yield readers
    await readers.close()


@pytest.fixture
async def connection(url: str) -> AsyncGenerator[Connection]:
    connection = await connect(Address.parse(url))
    yield connection
    await connection.close()


# Addresses.


def test_what_concerns_longshore_is_not_told_to_the_database() -> None:
    address = Address.parse("postgresql://ada:secret@db:5432/work?pooled=true&sslmode=require")
    assert address.pooled
    assert address.dsn == "postgresql://ada:secret@db:5432/work?sslmode=require"
    assert Address.parse("postgresql://db/work") == Address("postgresql://db/work")
    assert not Address.parse("postgresql://db/work?pooled=false").pooled


def test_an_option_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(StoreUnavailable, match="pooled=yes"):
        Address.parse("postgresql://db/work?pooled=yes")


def test_an_address_is_shown_without_secrets() -> None:
    address = Address.parse("postgresql://ada:secret@db:5432/work?password=secret&user=ada")
    assert str(address) == "postgresql://db:5432/work"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@127.0.0.1:1/work",
        "postgresql://ada:secret@localhost:port/work",
        "postgresql:///work?host=/nowhere&password=secret",
        "mysql://ada:secret@localhost/work",
    ],
)
async def test_a_database_that_is_not_there_is_said_without_secrets(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        await connect(Address.parse(url))
    assert "secret" not in str(caught.value)


# Connections.


async def test_a_lost_connection_is_taken_anew(url: str, connection: Connection) -> None:
    writing = Writing(Address.parse(url))
    first = await writing.connection()
    assert await writing.connection() is first
    await connection.execute("SELECT pg_terminate_backend($1)", writing.pid)
    with pytest.raises(DATABASE_ERRORS):
        await first.execute("SELECT 1")
    second = await writing.connection()
    assert await second.fetchval("SELECT 1") == 1
    writing.drop()
    assert await (await writing.connection()).fetchval("SELECT 1") == 1
    await writing.close()


async def test_readers_are_back_as_soon_as_the_database_is(readers: Readers) -> None:
    ends_itself = "SELECT pg_terminate_backend(pg_backend_pid())"
    with pytest.raises(StoreUnavailable, match=r"administrator command|middle of operation"):
        await readers.fetch(ends_itself)
    with pytest.raises(StoreUnavailable, match=r"administrator command|middle of operation"):
        await readers.read(lambda connection: connection.fetch(ends_itself))
    assert len(await readers.fetch("SELECT 1")) == 1


async def test_what_is_asked_wrongly_costs_no_connection(readers: Readers) -> None:
    async def pid(connection: AnyConnection) -> int:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))

    before = await readers.read(pid)
    with pytest.raises(RevisionInFuture):
        await readers.read(lambda connection: replays.replay(Replay("default", 1), connection))
    assert await readers.read(pid) == before


async def test_a_snapshot_cannot_write(readers: Readers) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"):
        await readers.read(lambda connection: connection.execute("DELETE FROM operations"))


async def test_more_reads_than_connections_are_all_answered(readers: Readers) -> None:
    found = await asyncio.gather(*(readers.fetch("SELECT $1::int", one) for one in range(50)))
    assert [number for ((number,),) in found] == list(range(50))


async def test_reads_that_take_long_hold_up_no_others(readers: Readers) -> None:
    async def wait(connection: AnyConnection) -> None:
        await connection.execute("SELECT pg_sleep(60)")

    waiting = [asyncio.create_task(readers.read_long(wait)) for _ in range(20)]
    for _ in range(20):
        assert len(await readers.fetch("SELECT 1")) == 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_database_that_does_not_answer_is_not_waited_for(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.stores.postgres.connections._PATIENCE", 0.05)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await readers.fetch("SELECT pg_sleep(60)")
    with pytest.raises(StoreUnavailable, match=r"does not answer|timeout"):
        await readers.read(lambda connection: connection.fetch("SELECT pg_sleep(60)"))
    monkeypatch.undo()
    assert len(await readers.fetch("SELECT 1")) == 1


async def test_closed_readers_say_so(readers: Readers) -> None:
    await readers.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await readers.fetch("SELECT 1")


async def test_shared_connections_keep_nothing_between_transactions(url: str) -> None:
    readers = Readers(Address.parse(f"{url}&pooled=true"))
    await readers.open()

    async def prepared(connection: AnyConnection) -> int:
        return int(await connection.fetchval("SELECT count(*) FROM pg_prepared_statements"))

    for _ in range(3):
        assert len(await readers.fetch("SELECT revision FROM head WHERE version >= $1", 0)) == 1
        assert await readers.read(prepared) == 0
    await readers.close()


# Listening.


async def listening(connection: Connection) -> None:
    """Wait until somebody listens in the database."""
    backends = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'"
    )
    while not await connection.fetchval(backends):
        await asyncio.sleep(0.01)


async def test_who_listens_is_called_for_what_others_do_and_not_for_its_own(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.stores.postgres.listening._LATEST", 60.0)
    writing, calls, heard = Writing(Address.parse(url)), 0, asyncio.Event()

    def call() -> None:
        nonlocal calls
        calls += 1
        heard.set()

    own = await writing.connection()
    listener = Listener(Address.parse(url), writing, call)
    await listening(connection)
    await own.execute(f"NOTIFY {CHANNEL}")
    await connection.execute(f"NOTIFY {CHANNEL}")
    await heard.wait()
    assert calls == 1
    await listener.close()
    await writing.close()


async def test_who_lost_the_connection_listens_again(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.stores.postgres.listening._LATEST", 60.0)
    monkeypatch.setattr("longshore.stores.postgres.listening._BACKOFF", 0.0)
    heard = asyncio.Event()
    address = Address.parse(url)
    listener = Listener(address, Writing(address), heard.set)
    await listening(connection)
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await listening(connection)
    await connection.execute(f"NOTIFY {CHANNEL}")
    await heard.wait()
    await listener.close()


@pytest.mark.parametrize("option", ["pooled=true", "pooled=false"])
async def test_who_listens_is_called_now_and_then_anyway(url: str, option: str) -> None:
    heard = asyncio.Event()
    address = Address.parse(f"{url}&{option}")
    listener = Listener(address, Writing(address), heard.set)
    await heard.wait()
    await listener.close()


# The schema.


async def names(connection: Connection) -> list[str]:
    rows = await connection.fetch("SELECT name FROM migrations ORDER BY name")
    return [row["name"] for row in rows]


async def test_a_migrated_database_is_left_as_it_is(connection: Connection) -> None:
    before = await names(connection)
    assert (await status(connection)).pending == []
    assert (await status(connection)).applied == before
    assert await migrate(connection) == []
    assert await names(connection) == before


async def test_an_empty_database_is_migrated_once_by_servers_that_start_together(
    url: str,
) -> None:
    address = Address.parse(url)
    servers = [await connect(address) for _ in range(4)]
    await servers[0].execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    pending = (await status(servers[0])).pending
    assert len(pending) > 0
    assert (await status(servers[0])).applied == []
    changed = await asyncio.gather(*map(migrate, servers))
    assert sorted(map(len, changed)) == [0, 0, 0, len(pending)]
    assert await names(servers[0]) == pending
    for server in servers:
        await server.close()


async def test_a_migration_that_fails_leaves_nothing_behind(connection: Connection) -> None:
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.execute("CREATE TABLE operations (of_somebody_else int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection)
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    assert [row["tablename"] for row in tables] == ["operations"]


async def test_a_database_of_a_newer_version_is_refused(connection: Connection) -> None:
    await connection.execute("INSERT INTO migrations VALUES ('9999_from_the_future', 'x')")
    for look in (migrate, status):
        with pytest.raises(StoreUnavailable, match=r"does not know.*9999_from_the_future"):
            await look(connection)


async def test_a_database_whose_changes_were_others_is_refused(connection: Connection) -> None:
    await connection.execute("UPDATE migrations SET digest = 'other' WHERE name LIKE '0001%'")
    with pytest.raises(StoreUnavailable, match=r"never released.*0001"):
        await migrate(connection)


# Shared connections.

SESSION = """
    SELECT (SELECT count(*) FROM pg_prepared_statements),
        (SELECT count(*) FROM pg_listening_channels()),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
        (SELECT array_agg(name || ' = ' || setting) FROM pg_settings WHERE source = 'session')
"""


async def test_a_store_over_shared_connections_leaves_nothing_in_any_session(url: str) -> None:
    store = PostgresStore(f"{url}&pooled=true", JsonCodec())
    await store.open()
    store.listen(lambda: None)
    for _ in range(3):
        await store.apply([submit_change(), submit_change()])
        await store.find(Query("default", None, None, NEWEST_FIRST, None, 10))
        await store.get("default", [1, 2], [1])
        await store.renew([], 30_000)
        assert await store.news() is None
    assert (
        len((await store.find(Query("default", 1, None, NEWEST_FIRST, None, 10))).records) == 6
    )
    parts = store._open  # pyright: ignore[reportPrivateUsage]
    renewing = parts.renewer._writing  # pyright: ignore[reportPrivateUsage]
    for writing in (parts.writing, renewing):
        (left,) = await (await writing.connection()).fetch(SESSION)
        assert tuple(left) == (0, 0, 0, None)
    await store.close()

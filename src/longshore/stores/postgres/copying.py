"""A database as a side of a copy; see `stores.copying`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final

from longshore.core.errors import StoreUnavailable
from longshore.stores.copying import UNFINISHED, refuse_schema
from longshore.stores.postgres import migrating
from longshore.stores.postgres.connections import (
    Address,
    AnyConnection,
    Connection,
    connect,
    translated,
)
from longshore.stores.postgres.values import kept_text, told_text
from longshore.stores.tables import HEAD, TABLES, Row, Table, quoted

#: Whoever holds the lock of the head for longer is no server. The source waits for as long as
#: the target is read, but not for a machine that is gone.
_SETTINGS: Final = """
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '5s';
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL tcp_keepalives_idle = 60;
    SET LOCAL tcp_keepalives_interval = 10;
    SET LOCAL jit = off
"""
_DAY: Final = 86_400.0  #: Seconds, which is as long as somebody looks on.

#: Where it is noted how far a copy has come; a store that is none has no such table.
_CREATE: Final = "CREATE TABLE copying (note text NOT NULL)"
_EXISTS: Final = "SELECT to_regclass('copying') IS NOT NULL"
_MOVE: Final = "UPDATE copying SET note = $2 WHERE note = $1"

_NUMBERS: Final = ", ".join(f"{name}::bigint" for name in HEAD[:-1])
_HEAD: Final = f"SELECT {_NUMBERS}, {HEAD[-1]}::integer FROM head"
_LOCK: Final = "SELECT FROM head FOR UPDATE"
_PARTS: Final = ("lanes", "sessions", "queues", "circles", "services", "contracts", "schedules")
#: Whoever knows anything of the store from before reads all of it anew.
_SET_HEAD: Final = f"""
    UPDATE head SET
        {", ".join(f"{name} = ${at}" for at, name in enumerate(HEAD[:-1], 1))},
        {HEAD[-1]} = ${len(HEAD)}::bigint = 1,
        version = version + 1, forgotten = version + 1,
        {", ".join(f"{part}_changed = version + 1" for part in _PARTS)},
        time = greatest(time, (SELECT max(time) FROM events))
    WHERE revision = 0
"""

#: Columns that only this store has, for rows that are there from the beginning.
_OWN: Final[Mapping[str, Mapping[str, Any]]] = {
    "lanes": {"changed": 1},
    "sessions": {"changed": 1, "ended": False},
    "queues": {"changed": 1},
    "circles": {"changed": 1},
}
#: … and rows.
_LEFT_OUT: Final = {"sessions": "WHERE NOT ended"}

#: Servers say every few seconds that they are alive.
_SILENT_SECONDS: Final = 30
_ALIVE: Final = f"""
    SELECT count(*) FROM servers
    WHERE time > (extract(epoch FROM clock_timestamp()) - {_SILENT_SECONDS}) * 1000
"""


async def is_unfinished(connection: AnyConnection) -> bool:
    """Tell whether a store is being copied into this database."""
    async with connection.transaction():
        return bool(await connection.fetchval(_EXISTS))


async def refuse_unfinished(connection: AnyConnection) -> None:
    """Raise `StoreUnavailable` if a store is being copied into this database."""
    if await is_unfinished(connection):
        raise StoreUnavailable(UNFINISHED)


@contextlib.asynccontextmanager
async def source(url: str) -> AsyncGenerator[PostgresSide]:
    """Have a database to copy from, to which nobody can write meanwhile.

    Raises `StoreUnavailable`.
    """
    address = Address.parse(url)
    async with _connected(address) as connection:
        refuse_schema(address, *await migrating.status(connection))
        await refuse_unfinished(connection)
        await _refuse_served(address, connection)
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(_SETTINGS)
            await connection.execute(_LOCK, timeout=_DAY)
            yield PostgresSide(connection)


@contextlib.asynccontextmanager
async def target(url: str) -> AsyncGenerator[PostgresSide]:
    """Have a database to copy into; make its tables if they are not there.

    Raises `StoreUnavailable`.
    """
    address = Address.parse(url)
    async with _connected(address) as connection:
        status = await migrating.status(connection)
        if status.applied:
            refuse_schema(address, *status)
            await _refuse_served(address, connection)
        else:
            await migrating.migrate(connection)
        yield PostgresSide(connection)


@contextlib.asynccontextmanager
async def _connected(address: Address) -> AsyncGenerator[Connection]:
    connection = await connect(address)
    try:
        with translated():
            yield connection
    finally:
        connection.terminate()


async def _refuse_served(address: Address, connection: Connection) -> None:
    async with connection.transaction():
        alive = await connection.fetchval(_ALIVE)
    if alive:
        raise StoreUnavailable(
            f"servers have the store {address}, {alive} of them: stop them first; one that was "
            f"killed is believed to be gone after {_SILENT_SECONDS} s"
        )


class PostgresSide:
    """A database that no server has; `copying.Side` and `copying.Target`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def head(self) -> Row:
        async with self._transaction():
            return tuple(await self._connection.fetchrow(_HEAD) or ())

    async def count(self, table: Table) -> int:
        async with self._transaction():
            query = f"SELECT count(*) FROM {table.name} {_LEFT_OUT.get(table.name, '')}"
            return int(await self._connection.fetchval(query, timeout=_DAY))

    async def pages(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        query = (
            f"SELECT {quoted(table.columns)} FROM {table.name} "
            f"{_LEFT_OUT.get(table.name, '')} ORDER BY {quoted(table.key)}"
        )
        async with self._transaction():
            cursor = await self._connection.cursor(query, timeout=_DAY)
            while page := await cursor.fetch(table.page, timeout=_DAY):
                yield _told(table, [tuple(row) for row in page])

    async def note(self) -> str | None:
        async with self._transaction():
            if not await is_unfinished(self._connection):
                return None
            return str(await self._connection.fetchval("SELECT note FROM copying"))

    async def begin(self, note: str) -> None:
        async with self._transaction():
            await self._connection.execute(_CREATE)
            await self._connection.execute("INSERT INTO copying VALUES ($1)", note)

    async def write(self, table: Table, rows: Sequence[Row], before: str, after: str) -> None:
        own = _OWN.get(table.name, {})
        values = tuple(own.values())
        async with self._transaction():
            # Batches that are lost are copied again; it is enough that none is lost in part.
            await self._connection.execute("SET LOCAL synchronous_commit = off")
            await self._move(before, after)
            await self._connection.copy_records_to_table(
                table.name,
                columns=[*table.columns, *own],
                records=[(*row, *values) for row in _kept(table, rows)],
                timeout=_DAY,
            )

    async def finish(self, head: Row, note: str) -> None:
        names = ", ".join(table.name for table in TABLES)
        await self._connection.execute(f"ANALYZE head, {names}", timeout=_DAY)
        async with self._transaction():
            await self._move(note, note)
            if await self._connection.execute(_SET_HEAD, *head, timeout=_DAY) != "UPDATE 1":
                raise StoreUnavailable("somebody has written to the target meanwhile")
            await self._connection.execute("DROP TABLE copying")

    async def _move(self, before: str, after: str) -> None:
        """Change the note, which others who copy as well wait for."""
        if await self._connection.execute(_MOVE, before, after, timeout=_DAY) != "UPDATE 1":
            raise StoreUnavailable("somebody else is copying into the same target")

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[None]:
        async with self._connection.transaction():
            await self._connection.execute(_SETTINGS)
            yield


def _told(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows with their texts as callers gave them."""
    return _with_texts(table, rows, told_text)


def _kept(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows with their texts as they are kept here."""
    return _with_texts(table, rows, kept_text)


def _with_texts(
    table: Table, rows: Sequence[Row], change: Callable[[str], str]
) -> Sequence[Row]:
    places = table.places(table.free_texts)
    if not places:
        return rows
    changed = [list(row) for row in rows]
    for row in changed:
        for at in places:
            row[at] = row[at] and change(row[at])
    return list(map(tuple, changed))

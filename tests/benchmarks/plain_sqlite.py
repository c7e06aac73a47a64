"""Baselines on the disk at hand: what a hand-written SQLite table does, without any server.

Both write with WAL and `synchronous=FULL`, as the server does, from one process and one thread,
so they know neither the wire nor another process.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

_SCHEMA: Final = """
CREATE TABLE work (number INTEGER PRIMARY KEY, id BLOB, state INTEGER, priority INTEGER,
                   worker TEXT, create_time INTEGER, end_time INTEGER, request BLOB);
CREATE INDEX waiting ON work (priority DESC, number) WHERE state = 1;
CREATE TABLE log (revision INTEGER PRIMARY KEY, number INTEGER, kind INTEGER, time INTEGER);
"""
_INSERT: Final = (
    "INSERT INTO work (id, state, priority, create_time, request) VALUES (?, 1, 0, ?, ?)"
)
_LOG: Final = "INSERT INTO log (number, kind, time) VALUES (?, ?, ?)"
_TAKE: Final = """
UPDATE work SET state = 2, worker = 'plain'
 WHERE number = (SELECT number FROM work WHERE state = 1 ORDER BY priority DESC, number LIMIT 1)
RETURNING number, request
"""
_END: Final = "UPDATE work SET state = 3, end_time = ? WHERE number = ?"


def insert_rate(path: Path, count: int, batch: int, request: bytes) -> float:
    """Return how many operations a second are written, each with a line of the log."""
    with closing(_opened(path)) as database:
        start = time.perf_counter()
        _fill(database, count, batch, request)
        return count / (time.perf_counter() - start)


def queue_rate(path: Path, count: int, batch: int, request: bytes) -> float:
    """Return how many operations a second are written in batches, then taken and ended singly.

    One transaction each to take and to end, as a queue of one's own in a table has them.
    """
    with closing(_opened(path)) as database:
        start = time.perf_counter()
        _fill(database, count, batch, request)
        while taken := database.execute(_TAKE).fetchall():
            database.execute(_END, (time.time_ns(), taken[0][0]))
        return count / (time.perf_counter() - start)


def _opened(path: Path) -> sqlite3.Connection:
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(_SCHEMA)
    return database


def _fill(database: sqlite3.Connection, count: int, batch: int, request: bytes) -> None:
    for first in range(1, count + 1, batch):
        numbers = range(first, first + batch)
        now = time.time_ns()
        database.execute("BEGIN IMMEDIATE")
        database.executemany(
            _INSERT, [(number.to_bytes(16, "big"), now, request) for number in numbers]
        )
        database.executemany(_LOG, [(number, 1, now) for number in numbers])
        database.execute("COMMIT")

"""Counts: how many operations there are, from the table that every batch keeps level."""

from __future__ import annotations

import sqlite3
import time
from typing import Any, Final

from longshore.core.installation import RESERVED_QUEUES
from longshore.core.limits import PRIORITY_HIGHEST
from longshore.core.store import Counts
from longshore.stores import scanning

_COUNTS: Final = """
    SELECT queue, kind, state, sum(count) FROM counts CROSS JOIN lanes ON lane = number
    WHERE tenant = ? AND queue NOT GLOB ? GROUP BY queue, kind, state HAVING sum(count) > 0
"""
_TOTAL: Final = """
    SELECT ifnull(sum(count), 0) FROM counts CROSS JOIN lanes ON lane = number
    WHERE tenant = ? AND ifnull(kind = ?, TRUE) AND (? OR queue NOT GLOB ?)
"""
_LANES: Final = "SELECT number, queue FROM lanes WHERE tenant = ? AND queue NOT GLOB ?"
#: Of one priority the first to start is the oldest, unless somebody moved it.
_FIRST: Final = """
    SELECT create_time FROM operations INDEXED BY waiting
    WHERE lane = ? AND priority = ? AND state = 2 AND wake_time IS NULL
    ORDER BY position, number LIMIT 1
"""
_RESERVED: Final = f"{RESERVED_QUEUES}*"
_STEPS_BETWEEN_LOOKS: Final = 20_000  #: Of SQLite's machine, between looks at the clock.


def counts(tenant: str, connection: sqlite3.Connection) -> Counts:
    """Return how many operations a tenant has, and how long its queues have waited."""
    rows = connection.execute(_COUNTS, (tenant, _RESERVED))
    return Counts(
        {(queue, kind, state): count for queue, kind, state, count in rows},
        _oldest(tenant, connection),
    )


def _oldest(tenant: str, connection: sqlite3.Connection) -> dict[str, int]:
    oldest: dict[str, int] = {}
    for lane, queue in connection.execute(_LANES, (tenant, _RESERVED)).fetchall():
        for priority in range(PRIORITY_HIGHEST + 1):
            for (since,) in connection.execute(_FIRST, (lane, priority)):
                oldest[queue] = min(since, oldest.get(queue, since))
    return oldest


def total(
    tenant: str, kind: int | None, connection: sqlite3.Connection, *, reserved: bool
) -> int:
    """Return how many operations a list of everything has."""
    asked = (tenant, kind, int(reserved), _RESERVED)
    return int(connection.execute(_TOTAL, asked).fetchone()[0])


def count_in_time(
    connection: sqlite3.Connection, sql: str, parameters: tuple[Any, ...]
) -> int | None:
    """Return the number that a query gives, or None if it takes too long."""
    deadline = time.monotonic() + scanning.SCAN_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() >= deadline, _STEPS_BETWEEN_LOOKS)
    try:
        (count,) = connection.execute(sql, parameters).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return int(count)

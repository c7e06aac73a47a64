"""Replays: events read again from the log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from longshore.core.errors import RevisionCompacted, RevisionInFuture
from longshore.core.events import Event
from longshore.core.filters import EVERYTHING
from longshore.core.origins import decode
from longshore.core.store import Events, Replay
from longshore.stores.scanning import windows
from longshore.stores.sqlite.where import ORDINARY, Sql, joined, where

_EVENT: Final = (
    "events.revision, events.number, events.kind, events.state, events.time, events.detail, "
    "operations.id, operations.tenant, operations.kind"
)
_FIELDS: Final = len(Event._fields)
_JOINS: Final = (
    "CROSS JOIN operations ON operations.number = events.number "
    "CROSS JOIN lanes ON lanes.number = operations.lane"
)
_WITHIN: Final = "events.revision BETWEEN ? AND ?"

_Row = tuple[Any, ...]


def replay(asked: Replay, connection: sqlite3.Connection) -> Events:
    """Return events; the connection is in a snapshot.

    Raises `RevisionCompacted` and `RevisionInFuture`.
    """
    compacted, newest = connection.execute("SELECT compacted, revision FROM head").fetchone()
    if asked.after > newest:
        raise RevisionInFuture(asked.after, newest)
    if asked.numbers is None and asked.after < compacted:
        raise RevisionCompacted(asked.after, compacted + 1)
    until = newest if asked.until is None else min(asked.until, newest)
    # Whichever reads less: the histories of some operations, or a stretch of the log.
    if asked.numbers is not None and len(asked.numbers) < until - asked.after:
        return _histories(asked, until, connection)
    return _stretch(asked, until, connection)


def _condition(asked: Replay) -> Sql:
    parts = [Sql("operations.tenant = ?", (asked.tenant,)), where(asked.filter or EVERYTHING)]
    # Who names operations is told of them, in whichever queue they are.
    if not asked.reserved and asked.numbers is None:
        parts.append(ORDINARY)
    if asked.kind is not None:
        parts.append(Sql("operations.kind = ?", (int(asked.kind),)))
    if asked.kinds is not None:
        listed = ", ".join(str(int(kind)) for kind in sorted(asked.kinds))
        parts.append(Sql(f"events.kind IN ({listed})"))
    if asked.numbers is not None:
        numbers = json.dumps(sorted(asked.numbers))
        parts.append(Sql("events.number IN (SELECT value FROM json_each(?))", (numbers,)))
    return joined(" AND ", parts)


def _select(asked: Replay, events: str, condition: Sql) -> str:
    columns = f"{_EVENT}, events.origin" if asked.origins else _EVENT
    return (
        f"SELECT {columns} FROM {events} {_JOINS} WHERE {_WITHIN} AND {condition.text} "
        "ORDER BY events.revision LIMIT ?"
    )


def _histories(asked: Replay, until: int, connection: sqlite3.Connection) -> Events:
    condition = _condition(asked)
    sql = _select(asked, "events INDEXED BY history", condition)
    asked_for = (asked.after + 1, until, *condition.parameters, asked.limit)
    rows = connection.execute(sql, asked_for).fetchall()
    return _told(asked, rows, until)


def _stretch(asked: Replay, until: int, connection: sqlite3.Connection) -> Events:
    """Read along the log, so that it can stop anywhere in time."""
    condition = _condition(asked)
    sql = _select(asked, "events NOT INDEXED", condition)
    rows: list[_Row] = []
    seen = asked.after
    for first, last in windows(asked.after + 1, until):
        missing = asked.limit - len(rows)
        rows += connection.execute(sql, (first, last, *condition.parameters, missing))
        if len(rows) == asked.limit:
            break
        seen = last
    return _told(asked, rows, seen)


def _told(asked: Replay, rows: Sequence[_Row], seen: int) -> Events:
    """Return what was read; unless there may be more, everything was looked at up to `seen`."""
    events = [Event._make(row[:_FIELDS]) for row in rows]
    origins = [decode(row[_FIELDS]) for row in rows] if asked.origins else ()
    return Events(events, events[-1].revision if len(events) == asked.limit else seen, origins)

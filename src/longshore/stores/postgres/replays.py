"""Replays: events read again from the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore.core.errors import RevisionCompacted, RevisionInFuture
from longshore.core.events import Event
from longshore.core.filters import EVERYTHING
from longshore.core.origins import decode
from longshore.core.store import Events, Replay
from longshore.stores.postgres.connections import AnyConnection, Row
from longshore.stores.postgres.where import ORDINARY, Sql, joined, where
from longshore.stores.scanning import windows

_EVENT: Final = (
    "events.revision, events.number, events.kind, events.state, events.time, events.detail, "
    "operations.id, operations.tenant, operations.kind"
)
_FIELDS: Final = len(Event._fields)
_TABLES: Final = """
    events JOIN operations ON operations.number = events.number
    JOIN lanes ON lanes.number = operations.lane
"""
_WITHIN: Final = "events.revision BETWEEN ?::bigint AND ?::bigint"


async def replay(asked: Replay, connection: AnyConnection) -> Events:
    """Return events; the connection is in a snapshot.

    Raises `RevisionCompacted` and `RevisionInFuture`.
    """
    ((compacted, newest),) = await connection.fetch("SELECT compacted, revision FROM head")
    if asked.after > newest:
        raise RevisionInFuture(asked.after, newest)
    if asked.numbers is None and asked.after < compacted:
        raise RevisionCompacted(asked.after, compacted + 1)
    until = newest if asked.until is None else min(asked.until, newest)
    # Whichever reads less: the histories of some operations, or a stretch of the log.
    if asked.numbers is not None and len(asked.numbers) < until - asked.after:
        return await _histories(asked, until, connection)
    return await _stretch(asked, until, connection)


def _condition(asked: Replay) -> Sql:
    parts = [Sql("operations.tenant = ?", (asked.tenant,)), where(asked.filter or EVERYTHING)]
    # Who names operations is told of them, in whichever queue they are.
    if not asked.reserved and asked.numbers is None:
        parts.append(ORDINARY)
    if asked.kind is not None:
        parts.append(Sql("operations.kind = ?::int", (int(asked.kind),)))
    if asked.kinds is not None:
        kinds = sorted(int(kind) for kind in asked.kinds)
        parts.append(Sql("events.kind = ANY(?::int[])", (kinds,)))
    if asked.numbers is not None:
        numbers = sorted(asked.numbers)
        parts.append(Sql("events.number = ANY(?::bigint[])", (numbers,)))
    return joined(" AND ", parts)


async def _read(
    asked: Replay,
    between: tuple[int, int],
    order: str,
    limit: int,
    connection: AnyConnection,
) -> list[Row]:
    columns = f"{_EVENT}, events.origin" if asked.origins else _EVENT
    condition = joined(" AND ", [Sql(_WITHIN, between), _condition(asked)])
    sql = Sql(
        f"SELECT {columns} FROM {_TABLES} WHERE {condition.text} ORDER BY {order} LIMIT ?",
        (*condition.parameters, limit),
    )
    return await connection.fetch(sql.numbered, *sql.parameters)


async def _histories(asked: Replay, until: int, connection: AnyConnection) -> Events:
    # Not along the log, as the planner would have it for a small limit: the sum is no index.
    between = (asked.after + 1, until)
    rows = await _read(asked, between, "events.revision + 0", asked.limit, connection)
    return _told(asked, rows, until)


async def _stretch(asked: Replay, until: int, connection: AnyConnection) -> Events:
    """Read along the log, so that it can stop anywhere in time."""
    rows: list[Row] = []
    seen = asked.after
    for first, last in windows(asked.after + 1, until):
        missing = asked.limit - len(rows)
        rows += await _read(asked, (first, last), "events.revision", missing, connection)
        if len(rows) == asked.limit:
            break
        seen = last
    return _told(asked, rows, seen)


def _told(asked: Replay, rows: Sequence[Row], seen: int) -> Events:
    """Return what was read; unless there may be more, everything was looked at up to `seen`."""
    events = [Event._make(row[:_FIELDS]) for row in rows]
    origins = [decode(row[_FIELDS]) for row in rows] if asked.origins else ()
    return Events(events, events[-1].revision if len(events) == asked.limit else seen, origins)

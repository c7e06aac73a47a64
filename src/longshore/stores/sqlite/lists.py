"""Lists: one page of operations, with the revision of the same snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from longshore.core.filters import EVERYTHING, UNFINISHED, And, Compare
from longshore.core.ids import text_of
from longshore.core.operations import Facts, Kind, Operation, Part, State
from longshore.core.store import Page, Query
from longshore.stores.scanning import windows
from longshore.stores.sqlite.counting import count_in_time, total
from longshore.stores.sqlite.values import (
    FACTS,
    KEPT,
    NO_DOCUMENTS,
    OPERATION,
    Row,
    record_of,
    select_listed,
)
from longshore.stores.sqlite.where import (
    ORDINARY,
    Sql,
    beyond,
    joined,
    order_by,
    sort_columns,
    where,
)

_RECORD: Final = f"{OPERATION}, {FACTS}, lanes.queue"
_QUEUE: Final = len(Operation._fields) + len(Facts._fields)
_TABLES: Final = "operations CROSS JOIN lanes ON lanes.number = operations.lane"
#: What runs is found by its sessions, however long the history is.
_RUNNING_TABLES: Final = _TABLES.replace("operations", "operations INDEXED BY held", 1)
#: What has not ended of launches has an index of its own.
_LAUNCH_TABLES: Final = _TABLES.replace("operations", "operations INDEXED BY launches", 1)
_ENDS: Final = (
    "SELECT (SELECT min(number) FROM operations), (SELECT max(number) FROM operations)"
)

_Position = tuple[Any, ...]


def find(query: Query, connection: sqlite3.Connection) -> Page:
    """Return a page of a list; the connection is in a snapshot."""
    (revision,) = connection.execute("SELECT revision FROM head").fetchone()
    condition = _condition(query)
    total = _total(query, condition, connection) if query.with_total else None
    if [key.field for key in query.order.keys] == ["number"] and not _only_running(query):
        rows, after = _scanned(query, condition, connection)
    else:
        rows, after = _sorted(query, condition, connection)
    documents = documents_of([row[0] for row in rows], query.parts, connection)
    records = [record_of(row, row[_QUEUE], documents.get(row[0], NO_DOCUMENTS)) for row in rows]
    return Page(records, revision, after, total)


def _requires(query: Query, condition: Compare) -> bool:
    wanted = query.filter
    return condition in (wanted.parts if isinstance(wanted, And) else (wanted,))


def _only_running(query: Query) -> bool:
    return _requires(query, Compare("state", "=", State.RUNNING))


def _only_unfinished_launches(query: Query) -> bool:
    return query.kind == Kind.LAUNCH and _requires(query, UNFINISHED)


def _tables(query: Query) -> str:
    if _only_running(query):
        return _RUNNING_TABLES
    return _LAUNCH_TABLES if _only_unfinished_launches(query) else _TABLES


def _condition(query: Query) -> Sql:
    parts = [Sql("operations.tenant = ?", (query.tenant,)), Sql(KEPT)]
    if query.filter is not None:
        parts.append(where(query.filter))
    if _only_running(query):
        parts.append(Sql("operations.session IS NOT NULL"))
    if _only_unfinished_launches(query):
        # As the index has it: the planner does not look into parameters.
        parts.append(Sql("operations.kind = 3 AND operations.state <= 3"))
    if not query.reserved:
        parts.append(ORDINARY)
    if query.kind is not None:
        parts.append(Sql("operations.kind = ?", (int(query.kind),)))
    return joined(" AND ", parts)


def _scanned(
    query: Query, condition: Sql, connection: sqlite3.Connection
) -> tuple[list[Row], _Position | None]:
    """Read a list by number along the primary key, so that it can stop anywhere in time."""
    descending = query.order.keys[0].descending
    low, high = connection.execute(_ENDS).fetchone()
    if low is None:
        return [], None
    if query.after is not None:
        seen = cast("int", query.after[0])
        low, high = (low, min(high, seen - 1)) if descending else (max(low, seen + 1), high)
    sql = (
        f"SELECT {_RECORD} FROM {_TABLES} WHERE operations.number BETWEEN ? AND ? "
        f"AND {condition.text} ORDER BY {order_by(query.order)} LIMIT ?"
    )
    rows: list[Row] = []
    reached: int | None = None
    for first, last in windows(low, high, descending=descending):
        missing = query.limit + 1 - len(rows)
        rows += connection.execute(sql, (first, last, *condition.parameters, missing))
        if len(rows) > query.limit:
            return rows[:-1], (rows[-2][0],)
        reached = first if descending else last
    at_end = reached is None or reached == (low if descending else high)
    return rows, None if at_end else (reached,)


def _sorted(
    query: Query, condition: Sql, connection: sqlite3.Connection
) -> tuple[list[Row], _Position | None]:
    """Read a list in any other order, for which all that match must be looked at."""
    if query.after is not None:
        condition = joined(" AND ", [condition, beyond(query.order, query.after)])
    keys = sort_columns(query.order)
    rows = connection.execute(
        f"SELECT {_RECORD}, {', '.join(keys)} FROM {_tables(query)} WHERE {condition.text} "
        f"ORDER BY {order_by(query.order)} LIMIT ?",
        (*condition.parameters, query.limit + 1),
    ).fetchall()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[-2][-len(keys) :]
    return rows[:-1], tuple(text_of(one) if isinstance(one, bytes) else one for one in last)


def _total(query: Query, condition: Sql, connection: sqlite3.Connection) -> int | None:
    if query.filter in (None, EVERYTHING):
        return total(query.tenant, query.kind, connection, reserved=query.reserved)
    sql = f"SELECT count(*) FROM {_tables(query)} WHERE {condition.text}"
    return count_in_time(connection, sql, condition.parameters)


def documents_of(
    numbers: Sequence[int], parts: Iterable[int], connection: sqlite3.Connection
) -> dict[int, dict[int, bytes]]:
    """Return the documents of operations by number and part; `STEPS` stands for all steps."""
    wanted = {int(part) for part in parts}
    found: dict[int, dict[int, bytes]] = {}
    if not wanted:
        return found
    among = f"part IN ({', '.join(map(str, sorted(wanted)))})"
    if Part.STEPS in wanted:
        among = f"({among} OR part >= {Part.STEPS:d})"
    sql = f"SELECT number, part, data FROM documents WHERE {among} AND number IN (:list)"
    for number, part, data in select_listed(connection, sql, numbers):
        found.setdefault(number, {})[part] = data
    return found

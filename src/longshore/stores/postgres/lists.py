"""Lists: one page of operations, with the revision of the same snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from longshore.core.filters import EVERYTHING, UNFINISHED, And, Compare
from longshore.core.ids import text_of
from longshore.core.operations import Facts, Kind, Operation, Part, State
from longshore.core.store import Page, Query
from longshore.stores.postgres.connections import AnyConnection, Row
from longshore.stores.postgres.counting import count_in_time, total
from longshore.stores.postgres.values import FACTS, KEPT, NO_DOCUMENTS, OPERATION, record_of
from longshore.stores.postgres.where import (
    ORDINARY,
    Sql,
    beyond,
    joined,
    order_by,
    sort_columns,
    where,
)
from longshore.stores.scanning import windows

_RECORD: Final = f"{OPERATION}, {FACTS}, lanes.queue"
_QUEUE: Final = len(Operation._fields) + len(Facts._fields)
_TABLES: Final = "operations JOIN lanes ON lanes.number = operations.lane"
_HEAD: Final = """
    SELECT revision, (SELECT min(number) FROM operations), (SELECT max(number) FROM operations)
    FROM head
"""
_DOCUMENTS: Final = f"""
    SELECT number, part, data FROM documents
    WHERE number = ANY($1::bigint[])
        AND (part = ANY($2::int[]) OR $3 AND part >= {Part.STEPS:d})
"""

_Position = tuple[Any, ...]


async def find(query: Query, connection: AnyConnection) -> Page:
    """Return a page of a list; the connection is in a snapshot."""
    ((revision, *ends),) = await connection.fetch(_HEAD)
    condition = _condition(query)
    if [key.field for key in query.order.keys] == ["number"] and not _only_running(query):
        rows, after = await _scanned(query, condition, ends, connection)
    else:
        rows, after = await _sorted(query, condition, connection)
    documents = await documents_of([row[0] for row in rows], query.parts, connection)
    records = [record_of(row, row[_QUEUE], documents.get(row[0], NO_DOCUMENTS)) for row in rows]
    # Last of all, since it may break off.
    counted = await _total(query, condition, connection) if query.with_total else None
    return Page(records, revision, after, counted)


def _requires(query: Query, condition: Compare) -> bool:
    wanted = query.filter
    return condition in (wanted.parts if isinstance(wanted, And) else (wanted,))


def _only_running(query: Query) -> bool:
    return _requires(query, Compare("state", "=", State.RUNNING))


def _condition(query: Query) -> Sql:
    parts = [Sql("operations.tenant = ?", (query.tenant,)), Sql(KEPT)]
    if query.filter is not None:
        parts.append(where(query.filter))
    # What runs, and what has not ended of launches, has an index of its own, which the planner
    # finds by its very words.
    if _only_running(query):
        parts.append(Sql("operations.session IS NOT NULL"))
    if query.kind == Kind.LAUNCH and _requires(query, UNFINISHED):
        parts.append(Sql("operations.kind = 3 AND operations.state <= 3"))
    if not query.reserved:
        parts.append(ORDINARY)
    if query.kind is not None:
        parts.append(Sql("operations.kind = ?::int", (int(query.kind),)))
    return joined(" AND ", parts)


async def _scanned(
    query: Query, condition: Sql, ends: Sequence[int | None], connection: AnyConnection
) -> tuple[list[Row], _Position | None]:
    """Read a list by number along the primary key, so that it can stop anywhere in time."""
    descending = query.order.keys[0].descending
    low, high = ends
    if low is None or high is None:
        return [], None
    if query.after is not None:
        seen = cast("int", query.after[0])
        low, high = (low, min(high, seen - 1)) if descending else (max(low, seen + 1), high)
    window = Sql("operations.number BETWEEN ?::bigint AND ?::bigint")
    sql = (
        f"SELECT {_RECORD} FROM {_TABLES} WHERE {joined(' AND ', [window, condition]).text} "
        f"ORDER BY {order_by(query.order)} LIMIT ?"
    )
    rows: list[Row] = []
    reached: int | None = None
    for first, last in windows(low, high, descending=descending):
        missing = query.limit + 1 - len(rows)
        asked = Sql(sql, (first, last, *condition.parameters, missing))
        rows += await connection.fetch(asked.numbered, *asked.parameters)
        if len(rows) > query.limit:
            return rows[:-1], (rows[-2][0],)
        reached = first if descending else last
    at_end = reached is None or reached == (low if descending else high)
    return rows, None if at_end else (reached,)


async def _sorted(
    query: Query, condition: Sql, connection: AnyConnection
) -> tuple[list[Row], _Position | None]:
    """Read a list in any other order, for which all that match must be looked at."""
    if query.after is not None:
        condition = joined(" AND ", [condition, beyond(query.order, query.after)])
    keys = sort_columns(query.order)
    asked = Sql(
        f"SELECT {_RECORD}, {', '.join(keys)} FROM {_TABLES} WHERE {condition.text} "
        f"ORDER BY {order_by(query.order)} LIMIT ?",
        (*condition.parameters, query.limit + 1),
    )
    rows = await connection.fetch(asked.numbered, *asked.parameters)
    if len(rows) <= query.limit:
        return rows, None
    last = rows[-2][-len(keys) :]
    return rows[:-1], tuple(text_of(one) if isinstance(one, bytes) else one for one in last)


async def _total(query: Query, condition: Sql, connection: AnyConnection) -> int | None:
    if query.filter in (None, EVERYTHING):
        return await total(query.tenant, query.kind, connection, reserved=query.reserved)
    sql = f"SELECT count(*) FROM {_TABLES} WHERE {condition.text}"
    return await count_in_time(connection, Sql(sql, condition.parameters))


async def documents_of(
    numbers: Sequence[int], parts: Iterable[int], connection: AnyConnection
) -> dict[int, dict[int, bytes]]:
    """Return the documents of operations by number and part; `STEPS` stands for all steps."""
    wanted = sorted({int(part) for part in parts})
    found: dict[int, dict[int, bytes]] = {}
    if not wanted or not numbers:
        return found
    rows = await connection.fetch(_DOCUMENTS, numbers, wanted, Part.STEPS in wanted)
    for number, part, data in rows:
        found.setdefault(number, {})[part] = data
    return found

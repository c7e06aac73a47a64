"""Filters and orders as SQL.

A text that is empty is unset, as it is in memory, and what is unset is NULL. A comparison
with NULL is NULL, which `AND` and `OR` treat as false; only `NOT` needs care. Values are cast
to what a field holds, since a column may be narrower than the values it is compared with.
"""

from __future__ import annotations

import itertools
import re
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from longshore.core.fields import LABEL_PREFIX, FieldType, field_named
from longshore.core.filters import (
    And,
    Compare,
    Filter,
    Not,
    Or,
    Pattern,
    Present,
)
from longshore.core.ids import bytes_of
from longshore.core.installation import RESERVED_QUEUES
from longshore.core.orders import Boundary, Order, SortKey
from longshore.stores.postgres.values import kept_text


class Sql(NamedTuple):
    """A piece of SQL with the parameters of its question marks."""

    text: str
    parameters: tuple[Any, ...] = ()

    @property
    def numbered(self) -> str:
        """The text with numbers for its question marks, as PostgreSQL wants them."""
        count = itertools.count(1)
        return re.sub(r"\?", lambda _: f"${next(count)}", self.text)


_COLUMNS: Final = MappingProxyType(
    {
        "id": "operations.id",
        "number": "operations.number",
        "submitter": "nullif(operations.submitter, '')",
        "request_id": "nullif(operations.request_id, '')",
        "create_time": "operations.create_time",
        "kind": "operations.kind",
        "state": "operations.state",
        "queue": "lanes.queue",
        "position": "operations.position",
        "running": "(operations.state = 3)::int",
        "priority": "operations.priority",
        "cancel_requested": "(operations.cancel <> 0)::int",
        "update_time": "operations.update_time",
        "start_time": "operations.start_time",
        "end_time": "operations.end_time",
        "expire_time": "(CASE WHEN operations.state >= 4 THEN operations.wake_time END)",
    }
)
_ATTRIBUTES: Final = "operations.attributes::jsonb"
_ID_AS_TEXT: Final = "encode(operations.id, 'hex')::uuid::text"

#: What is bound, by what a field holds; everything else is a number.
_BOUND: Final = MappingProxyType({FieldType.TEXT: "?::text", FieldType.ID: "?::text"})

#: Holds for operations that are not in a queue of the server's own.
ORDINARY: Final = Sql("NOT starts_with(lanes.queue, ?::text)", (RESERVED_QUEUES,))


def where(wanted: Filter) -> Sql:
    """Return the condition that holds for the operations that pass the filter."""
    match wanted:
        case Compare():
            return _compare(wanted)
        case Present(field):
            column = _column(field)
            return Sql(f"{column.text} IS NOT NULL", column.parameters)
        case Not(part):
            inner = where(part)
            return Sql(f"({inner.text}) IS NOT TRUE", inner.parameters)
        case And(parts):
            return joined(" AND ", [where(part) for part in parts], of_none="TRUE")
        case Or(parts):
            return joined(" OR ", [where(part) for part in parts], of_none="FALSE")


def joined(between: str, parts: list[Sql], *, of_none: str = "TRUE") -> Sql:
    """Return the parts in parentheses with a word between each two."""
    text = between.join(f"({part.text})" for part in parts)
    parameters = tuple(value for part in parts for value in part.parameters)
    return Sql(text or of_none, parameters)


def _column(field: str) -> Sql:
    known = _COLUMNS.get(field)
    if known is not None:
        return Sql(known)
    if field.startswith(LABEL_PREFIX):
        key = field.removeprefix(LABEL_PREFIX)
        return Sql(f"nullif({_ATTRIBUTES} -> 'labels' ->> ?::text, '') COLLATE \"C\"", (key,))
    if field_named(field).type is FieldType.INT:
        return Sql(f"({_ATTRIBUTES} ->> '{field}')::bigint")
    return Sql(f"nullif({_ATTRIBUTES} ->> '{field}', '') COLLATE \"C\"")


def _bound(field: str, value: Any) -> Sql:
    if field == "id":
        return Sql("?::bytea", (bytes_of(str(value)),))
    kept = kept_text(value) if field == "request_id" else value
    return Sql(_BOUND.get(field_named(field).type, "?::bigint"), (kept,))


def _relation(column: Sql, operator: str, field: str, value: Any) -> Sql:
    bound = _bound(field, value)
    return Sql(
        f"{column.text} {operator} {bound.text}", (*column.parameters, *bound.parameters)
    )


def _compare(wanted: Compare) -> Sql:
    if isinstance(wanted.value, Pattern):
        return _matches(wanted.field, wanted.value)
    return _relation(_column(wanted.field), wanted.operator, wanted.field, wanted.value)


def _matches(field: str, pattern: Pattern) -> Sql:
    """Compare parts of a text as they are: no character is special, and case counts."""
    column = Sql(_ID_AS_TEXT) if field == "id" else _column(field)
    parameters = (*column.parameters, pattern.text)
    if pattern.open_start and pattern.open_end:
        return Sql(f"strpos({column.text}, ?::text) > 0", parameters)
    if pattern.open_start:
        length = len(pattern.text)
        return Sql(f"right({column.text}, {length}) = ?::text", parameters)
    return Sql(f"starts_with({column.text}, ?::text)", parameters)


def sort_columns(order: Order) -> list[str]:
    """Return what a list is ordered by, key by key; it is never NULL."""
    return [_sorted_by(key) for key in order.keys]


def _sorted_by(key: SortKey | Boundary) -> str:
    kind = field_named(key.field).type
    column = _column(key.field).text
    if key.field in _COLUMNS and kind is not FieldType.TEXT:
        return column  # Always set, and known to the planner as it is.
    unset = "''" if kind is FieldType.TEXT else "0"
    return f"coalesce({column}, {unset})"


def order_by(order: Order) -> str:
    """Return the terms of `ORDER BY`."""
    return ", ".join(
        f"{column} DESC" if key.descending else column
        for key, column in zip(order.keys, sort_columns(order), strict=True)
    )


def beyond(order: Order, values: tuple[Any, ...]) -> Sql:
    """Return the condition that holds for what follows a record with these sort values."""
    boundaries = order.after(values)
    alternatives = [
        joined(
            " AND ",
            [
                *(_beside(earlier, "=") for earlier in boundaries[:depth]),
                _beside(boundary, "<" if boundary.descending else ">"),
            ],
        )
        for depth, boundary in enumerate(boundaries)
    ]
    return joined(" OR ", alternatives)


def _beside(boundary: Boundary, operator: str) -> Sql:
    column = Sql(_sorted_by(boundary))
    return _relation(column, operator, boundary.field, boundary.value)

"""Filters and orders as SQL.

A text that is empty is unset, as it is in memory, and what is unset is NULL. A comparison
with NULL is NULL, which `AND` and `OR` treat as false; only `NOT` needs care.
"""

from __future__ import annotations

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


class Sql(NamedTuple):
    """A piece of SQL with the parameters of its question marks."""

    text: str
    parameters: tuple[Any, ...] = ()


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
        "running": "(operations.state = 3)",
        "priority": "operations.priority",
        "cancel_requested": "(operations.cancel <> 0)",
        "update_time": "operations.update_time",
        "start_time": "operations.start_time",
        "end_time": "operations.end_time",
        "expire_time": "iif(operations.state >= 4, operations.wake_time, NULL)",
    }
)
_HEX: Final = "lower(hex(operations.id))"
_ID_AS_TEXT: Final = "||'-'||".join(
    f"substr({_HEX}, {start}, {length})"
    for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
)


#: Holds for operations that are not in a queue of the server's own.
ORDINARY: Final = Sql("lanes.queue NOT GLOB ?", (f"{RESERVED_QUEUES}*",))


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
        # Not by a JSON path, in which not every key can be written.
        return Sql(
            "(SELECT nullif(value, '') FROM json_each(operations.attributes, '$.labels') "
            "WHERE key = ?)",
            (field.removeprefix(LABEL_PREFIX),),
        )
    return Sql(f"nullif(json_extract(operations.attributes, '$.{field}'), '')")


def _compare(wanted: Compare) -> Sql:
    if isinstance(wanted.value, Pattern):
        return _matches(wanted.field, wanted.value)
    column = _column(wanted.field)
    value: Any = wanted.value
    if wanted.field == "id":
        value = bytes_of(str(value))
    return Sql(f"{column.text} {wanted.operator} ?", (*column.parameters, value))


def _matches(field: str, pattern: Pattern) -> Sql:
    """Compare parts of a text as they are: no character is special, and case counts."""
    column = Sql(_ID_AS_TEXT) if field == "id" else _column(field)
    text, length = pattern.text, len(pattern.text)
    if pattern.open_start and pattern.open_end:
        return Sql(f"instr({column.text}, ?) > 0", (*column.parameters, text))
    start = f"-{length}" if pattern.open_start else f"1, {length}"
    return Sql(f"substr({column.text}, {start}) = ?", (*column.parameters, text))


def sort_columns(order: Order) -> list[str]:
    """Return what a list is ordered by, key by key; it is never NULL."""
    return [_sorted_by(key) for key in order.keys]


def _sorted_by(key: SortKey | Boundary) -> str:
    kind = field_named(key.field).type
    column = _column(key.field).text
    if key.field in _COLUMNS and kind is not FieldType.TEXT:
        return column  # Always set, and known to the planner as it is.
    unset = "''" if kind is FieldType.TEXT else "0"
    return f"ifnull({column}, {unset})"


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
                *(_relation(earlier, "=") for earlier in boundaries[:depth]),
                _relation(boundary, "<" if boundary.descending else ">"),
            ],
        )
        for depth, boundary in enumerate(boundaries)
    ]
    return joined(" OR ", alternatives)


def _relation(boundary: Boundary, operator: str) -> Sql:
    value = bytes_of(str(boundary.value)) if boundary.field == "id" else boundary.value
    return Sql(f"{_sorted_by(boundary)} {operator} ?", (value,))

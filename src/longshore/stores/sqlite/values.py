"""How values go into queries and come out of rows."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from longshore.core.operations import Facts, Operation, Record

Row = tuple[Any, ...]

OPERATION: Final = ", ".join(f"operations.{name}" for name in Operation._fields)
FACTS: Final = ", ".join(f"operations.{name}" for name in Facts._fields)

#: Tells whether an operation is still to be found. The `+` keeps the planner off the indexes
#: by wake time: nearly every operation satisfies it.
KEPT: Final = "(+operations.state < 4 OR +operations.wake_time IS NOT NULL)"

_FIELDS: Final = len(Operation._fields)
_FACTS_END: Final = _FIELDS + len(Facts._fields)

# A list of any length is asked for in lists of these lengths, so that few statements are
# compiled and kept.
_LENGTHS: Final = (1, 8, 64, 512)


#: What records share that were read without documents. Nobody writes to it.
NO_DOCUMENTS: Final[dict[int, bytes]] = {}


def record_of(row: Row, queue: str, documents: dict[int, bytes]) -> Record:
    """Return the record of a row that begins with the columns `OPERATION` and `FACTS`."""
    return Record(
        Operation._make(row[:_FIELDS]),
        Facts._make(row[_FIELDS:_FACTS_END]),
        queue,
        documents,
    )


@functools.lru_cache(maxsize=256)
def _with_list(sql: str, length: int) -> str:
    return sql.replace("(:list)", f"({', '.join('?' * length)})")


def select_listed(
    connection: sqlite3.Connection, sql: str, listed: Sequence[Any], *before: Any
) -> list[Row]:
    """Return the rows of a query that ends in `IN (:list)`, for a list of any length.

    `before` are the parameters in front of the list.
    """
    rows: list[Row] = []
    start = 0
    while start < len(listed):
        rest = len(listed) - start
        length = next((one for one in _LENGTHS if one >= rest), _LENGTHS[-1])
        part = listed[start : start + length]
        padding = [part[-1]] * (length - len(part))
        rows += connection.execute(_with_list(sql, length), [*before, *part, *padding])
        start += length
    return rows

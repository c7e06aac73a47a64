"""Point reads: operations by id or number, and how many stand before one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from longshore.core.changes import Target
from longshore.core.operations import Operation, Record
from longshore.stores.sqlite.lists import documents_of
from longshore.stores.sqlite.values import KEPT, RECORD, Row, record_of, select_listed

_SELECT: Final = (
    f"SELECT {RECORD} FROM operations CROSS JOIN lanes ON lanes.number = operations.lane "
    f"WHERE operations.tenant = ? AND {KEPT}"
)
_BY_NUMBER: Final = f"{_SELECT} AND operations.number IN (:list)"
_BY_ID: Final = f"{_SELECT} AND operations.id IN (:list)"

#: Two ranges of one lane's index: higher priorities, then earlier places of the same one.
_AHEAD: Final = """
    SELECT count(*) FROM (
        SELECT 1 FROM operations
        WHERE lane = ?1 AND state = 2 AND wake_time IS NULL AND priority > ?2
        UNION ALL
        SELECT 1 FROM operations
        WHERE lane = ?1 AND state = 2 AND wake_time IS NULL AND priority = ?2 AND position < ?3
        LIMIT ?4
    )
"""
_LANES_OF_QUEUE: Final = """
    SELECT number FROM lanes WHERE (tenant, queue) = (
        SELECT tenant, queue FROM lanes WHERE number = ?
    )
"""


def get(
    tenant: str,
    targets: Sequence[Target],
    parts: Sequence[int],
    connection: sqlite3.Connection,
) -> list[Record | None]:
    """Return records in the order asked for; the connection is in a snapshot."""
    numbers = [target for target in targets if isinstance(target, int)]
    ids = [target for target in targets if not isinstance(target, int)]
    rows: list[Row] = [
        *select_listed(connection, _BY_NUMBER, numbers, tenant),
        *select_listed(connection, _BY_ID, ids, tenant),
    ]
    documents = documents_of([row[0] for row in rows], parts, connection)
    found: dict[Target, Record] = {}
    for row in rows:
        record = record_of(row, documents.get(row[0], {}))
        found[row[0]] = found[row[1]] = record
    return [found.get(target) for target in targets]


def ahead(operation: Operation, most: int, connection: sqlite3.Connection) -> int:
    """Return how many waiting operations of its queue start before it, counting to `most`."""
    count = 0
    for (lane,) in connection.execute(_LANES_OF_QUEUE, (operation.lane,)).fetchall():
        place = (lane, operation.priority, operation.position, most - count)
        count += connection.execute(_AHEAD, place).fetchone()[0]
    return count

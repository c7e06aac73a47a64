"""Point reads: operations by id or number, and how many stand before one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from longshore.core.changes import Target
from longshore.core.operations import Glance, Operation, Record
from longshore.stores.sqlite.lists import documents_of
from longshore.stores.sqlite.values import (
    FACTS,
    KEPT,
    NO_DOCUMENTS,
    OPERATION,
    record_of,
    select_listed,
)

_SELECT: Final = f"SELECT {OPERATION}, {FACTS} FROM operations WHERE tenant = ? AND {KEPT}"
_BY_NUMBER: Final = f"{_SELECT} AND number IN (:list)"
_BY_ID: Final = f"{_SELECT} AND id IN (:list)"

_GLANCE: Final = (
    f"SELECT {', '.join(Glance._fields)} FROM operations WHERE tenant = ? AND {KEPT}"
)
_GLANCE_BY_NUMBER: Final = f"{_GLANCE} AND number IN (:list)"
_GLANCE_BY_ID: Final = f"{_GLANCE} AND id IN (:list)"

_LANE: Final = Operation._fields.index("lane")

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


class Points:
    """Reads on one connection, within snapshots that the caller makes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._queues = _Queues(connection)

    def get(
        self, tenant: str, targets: Sequence[Target], parts: Sequence[int]
    ) -> list[Record | None]:
        """Return records in the order asked for."""
        numbers, ids = _by_kind(targets)
        rows = [
            *select_listed(self.connection, _BY_NUMBER, numbers, tenant),
            *select_listed(self.connection, _BY_ID, ids, tenant),
        ]
        documents = documents_of([row[0] for row in rows], parts, self.connection)
        records = [
            record_of(row, self._queues[row[_LANE]], documents.get(row[0], NO_DOCUMENTS))
            for row in rows
        ]
        found: dict[Target, Record] = {}
        if numbers:
            found = {record.operation.number: record for record in records}
        if ids:
            found.update({record.operation.id: record for record in records})
        return list(map(found.get, targets))

    def glance(self, tenant: str, targets: Sequence[Target]) -> list[Glance | None]:
        """Return how operations stand, in the order asked for."""
        numbers, ids = _by_kind(targets)
        found: dict[Target, Glance] = {}
        for row in select_listed(self.connection, _GLANCE_BY_NUMBER, numbers, tenant):
            found[row[0]] = Glance._make(row)
        for row in select_listed(self.connection, _GLANCE_BY_ID, ids, tenant):
            found[row[1]] = Glance._make(row)
        return list(map(found.get, targets))

    def ahead(self, operation: Operation, most: int) -> int:
        """Return how many waiting operations of its queue start before it, to `most`."""
        count = 0
        lanes = self.connection.execute(_LANES_OF_QUEUE, (operation.lane,)).fetchall()
        for (lane,) in lanes:
            place = (lane, operation.priority, operation.position, most - count)
            count += self.connection.execute(_AHEAD, place).fetchone()[0]
        return count


def _by_kind(targets: Sequence[Target]) -> tuple[list[int], list[bytes]]:
    """Return the numbers and the ids among what was asked for."""
    numbers = [target for target in targets if isinstance(target, int)]
    return numbers, [target for target in targets if not isinstance(target, int)]


class _Queues(dict[int, str]):
    """The queue of every lane seen so far; a lane never changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, lane: int) -> str:
        sql = "SELECT queue FROM lanes WHERE number = ?"
        (queue,) = self._connection.execute(sql, (lane,)).fetchone()
        self[lane] = queue
        return str(queue)

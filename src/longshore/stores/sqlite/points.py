"""Point reads: operations by id or number, and how many stand before one."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

from longshore.core.callers import Target
from longshore.core.installation import RULESETS_QUEUE
from longshore.core.operations import Glance, Operation, Record
from longshore.core.store import Attendance, Standing
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
        WHERE lane = ?1 AND state = 2 AND wake_time IS NULL AND priority = ?2
            AND position <= ?3 AND (position < ?3 OR number < ?4)
        LIMIT ?5
    )
"""
_LANES_NAMED: Final = "SELECT number FROM lanes WHERE queue = ?"
_LANES_OF_QUEUE: Final = """
    SELECT number FROM lanes WHERE (tenant, queue) = (
        SELECT tenant, queue FROM lanes WHERE number = ?
    )
"""
_RUNNING_IN: Final = "SELECT sum(count) FROM counts WHERE state = 3 AND lane IN (:list)"
_HELD: Final = "SELECT session FROM operations INDEXED BY held WHERE session IN (:list)"
#: What runs is found by its sessions, however long the history is.
_HOLDERS: Final = """
    SELECT id FROM operations INDEXED BY held
    WHERE session IS NOT NULL AND tenant = ? AND lane IN (:list) LIMIT 10
"""
_KEY_RUNNING: Final = """
    SELECT count(*) FROM operations INDEXED BY holding
    WHERE tenant = ? AND concurrency_key = ? AND session IS NOT NULL
"""
_KEY_HOLDERS: Final = """
    SELECT id FROM operations INDEXED BY holding
    WHERE tenant = ? AND concurrency_key = ? AND session IS NOT NULL LIMIT 10
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

    def standing(self, operation: Operation, most: int) -> Standing:
        """Return what an operation waits for, counting those before it to `most`."""
        lanes = [
            lane for (lane,) in self.connection.execute(_LANES_OF_QUEUE, (operation.lane,))
        ]
        tenant, key = operation.tenant, (operation.tenant, operation.concurrency_key)
        return Standing(
            self._ahead(operation, lanes, most),
            self._running_in(operation, lanes),
            [id_ for (id_,) in select_listed(self.connection, _HOLDERS, lanes, tenant)],
            self.connection.execute(_KEY_RUNNING, key).fetchone()[0],
            [id_ for (id_,) in self.connection.execute(_KEY_HOLDERS, key)],
        )

    def attendance(self, sessions: Sequence[int]) -> dict[int, Attendance]:
        """Return by session how many leases it holds."""
        held = Counter(
            session for (session,) in select_listed(self.connection, _HELD, sessions)
        )
        return {session: Attendance(held[session]) for session in sessions}

    def _ahead(self, operation: Operation, lanes: Sequence[int], most: int) -> int:
        count = 0
        for lane in lanes:
            place = (lane, operation.priority, operation.position, operation.number)
            count += self.connection.execute(_AHEAD, (*place, most - count)).fetchone()[0]
        return count

    def _running_in(self, operation: Operation, lanes: Sequence[int]) -> int:
        if self._queues[operation.lane] == RULESETS_QUEUE:
            # All tenants share its limit.
            lanes = [
                lane for (lane,) in self.connection.execute(_LANES_NAMED, (RULESETS_QUEUE,))
            ]
        rows = select_listed(self.connection, _RUNNING_IN, lanes)
        return sum(count or 0 for (count,) in rows)


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

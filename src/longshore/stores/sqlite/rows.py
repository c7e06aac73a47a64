"""What a batch reads of the store while it is decided."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from longshore.core.batch import Keyed
from longshore.core.changes import Change
from longshore.core.decide import wanted
from longshore.core.operations import Facts, Operation, Part
from longshore.stores.sqlite.values import FACTS, OPERATION, select_listed

_BY_NUMBER: Final = f"SELECT {OPERATION} FROM operations WHERE number = ?"
_BY_NUMBERS: Final = f"SELECT {OPERATION} FROM operations WHERE number IN (:list)"
_BY_IDS: Final = f"SELECT {OPERATION} FROM operations WHERE id IN (:list)"
_NUMBER_OF: Final = "SELECT number FROM operations WHERE id = ?"
_FACTS_OF: Final = f"SELECT {FACTS} FROM operations WHERE number = ?"
_KEYED: Final = (
    "SELECT request_id, number, digest FROM keys "
    "WHERE tenant = ? AND submitter = ? AND request_id IN (:list)"
)
_DOCUMENT: Final = "SELECT data FROM documents WHERE number = ? AND part = ?"
_REQUESTS: Final = f"""
    SELECT number, data, traceparent FROM documents CROSS JOIN operations USING (number)
    WHERE part = {Part.REQUEST:d} AND documents.number IN (:list)
"""
_HEADS: Final = f"""
    SELECT {OPERATION} FROM operations
    WHERE lane = ? AND state = 2 AND wake_time IS NULL
    ORDER BY priority DESC, position LIMIT ?
"""
_HELD: Final = f"SELECT {OPERATION} FROM operations WHERE session = ? ORDER BY token"
_DUE: Final = f"""
    SELECT {OPERATION} FROM operations WHERE wake_time <= ? ORDER BY wake_time LIMIT ?
"""
_NEXT_WAKE: Final = "SELECT min(wake_time) FROM operations WHERE wake_time > ?"
_SERVICE: Final = "SELECT document FROM services WHERE tenant = ? AND slug = ?"
_REMOVABLE: Final = """
    SELECT number FROM operations
    WHERE state >= 4 AND wake_time IS NULL AND revision <= ? ORDER BY revision LIMIT ?
"""

_Identity = tuple[str, str, str]


class SqliteRows:
    """`core.batch.Rows` on the writing connection; made anew for every batch."""

    def __init__(
        self, connection: sqlite3.Connection, running: Mapping[int, Operation]
    ) -> None:
        self._connection = connection
        self._running = running  # Some of what is leased, so that it need not be read.
        self._numbers: dict[bytes, int] = {}
        self._keyed: dict[_Identity, Keyed | None] = {}

    def preload(self, changes: Iterable[Change]) -> list[Operation]:
        """Read in bulk what the changes name; return the operations."""
        needed = wanted(changes)
        self._preload_keys(needed.keys)
        known = self._running
        unknown = [number for number in needed.numbers if number not in known]
        loaded = [known[number] for number in needed.numbers if number in known]
        loaded += map(Operation._make, select_listed(self._connection, _BY_NUMBERS, unknown))
        loaded += map(Operation._make, select_listed(self._connection, _BY_IDS, needed.ids))
        self._numbers = {one.id: one.number for one in loaded}
        return loaded

    def _preload_keys(self, identities: Iterable[_Identity]) -> None:
        by_submitter: dict[tuple[str, str], list[str]] = {}
        for identity in identities:
            tenant, submitter, request_id = identity
            self._keyed[identity] = None
            by_submitter.setdefault((tenant, submitter), []).append(request_id)
        for (tenant, submitter), request_ids in by_submitter.items():
            found = select_listed(self._connection, _KEYED, request_ids, tenant, submitter)
            for request_id, number, digest in found:
                self._keyed[tenant, submitter, request_id] = Keyed(number, digest)

    def _one(self, sql: str, *parameters: Any) -> Any:
        """Return the first row of a query, or None."""
        return self._connection.execute(sql, parameters).fetchone()

    def _operations(self, sql: str, *parameters: Any) -> list[Operation]:
        return [Operation._make(row) for row in self._connection.execute(sql, parameters)]

    def operation(self, number: int) -> Operation | None:
        row = self._one(_BY_NUMBER, number)
        return None if row is None else Operation._make(row)

    def number_of(self, operation_id: bytes) -> int | None:
        known = self._numbers.get(operation_id)
        if known is not None:
            return known
        row = self._one(_NUMBER_OF, operation_id)
        return None if row is None else row[0]

    def facts(self, number: int) -> Facts:
        return Facts._make(self._one(_FACTS_OF, number))

    def keyed(self, tenant: str, submitter: str, request_id: str) -> Keyed | None:
        identity = (tenant, submitter, request_id)
        if identity not in self._keyed:
            self._preload_keys([identity])
        return self._keyed[identity]

    def document(self, number: int, part: int) -> bytes | None:
        row = self._one(_DOCUMENT, number, int(part))
        return None if row is None else row[0]

    def requests(self, numbers: Sequence[int]) -> dict[int, tuple[bytes, str | None]]:
        found = select_listed(self._connection, _REQUESTS, numbers)
        return {number: (data, traceparent) for number, data, traceparent in found}

    def heads(self, lane: int, limit: int) -> list[Operation]:
        return self._operations(_HEADS, lane, limit)

    def held_by(self, session: int) -> list[Operation]:
        return self._operations(_HELD, session)

    def due(self, now: int, limit: int) -> list[Operation]:
        return self._operations(_DUE, now, limit)

    def next_wake(self, *, after: int) -> int | None:
        found: int | None = self._one(_NEXT_WAKE, after)[0]
        return found

    def service(self, tenant: str, slug: str) -> bytes | None:
        row = self._one(_SERVICE, tenant, slug)
        return None if row is None else row[0]

    def first_revision_since(self, time: int) -> int | None:
        # Above the compacted revision the log has no gaps, and time rises with it but for
        # jumps of the clock, after which an event nearby is as good an answer.
        compacted, newest = self._one("SELECT compacted, revision FROM head")
        low, high = compacted + 1, newest + 1
        while low < high:
            middle = (low + high) // 2
            (seen,) = self._one("SELECT time FROM events WHERE revision = ?", middle)
            if seen < time:
                low = middle + 1
            else:
                high = middle
        return None if low > newest else low

    def removable(self, revision: int, limit: int) -> list[int]:
        rows = self._connection.execute(_REMOVABLE, (revision, limit))
        return [number for (number,) in rows]

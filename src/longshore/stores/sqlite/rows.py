"""What a batch reads of the store while it is decided."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from longshore.core.callers import Account
from longshore.core.changes import Change
from longshore.core.decide import wanted
from longshore.core.installation import Contract, Schedule
from longshore.core.operations import PARKED, Facts, Operation
from longshore.core.rows import Keyed
from longshore.stores.sqlite.files import FileRows
from longshore.stores.sqlite.installation import read_contract
from longshore.stores.sqlite.values import FACTS, OPERATION, select_listed

_BY_NUMBER: Final = f"SELECT {OPERATION} FROM operations WHERE number = ?"
_BY_NUMBERS: Final = f"SELECT {OPERATION} FROM operations WHERE number IN (:list)"
_BY_IDS: Final = f"SELECT {OPERATION} FROM operations WHERE id IN (:list)"
_NUMBER_OF: Final = "SELECT number FROM operations WHERE id = ?"
_FACTS_OF: Final = f"SELECT {FACTS} FROM operations WHERE number = ?"
_KEYED: Final = (
    "SELECT key, number, digest FROM keys WHERE tenant = ? AND submitter = ? AND key IN (:list)"
)
_DOCUMENT: Final = "SELECT data FROM documents WHERE number = ? AND part = ?"
_DOCUMENTS: Final = "SELECT number, data FROM documents WHERE part = ? AND number IN (:list)"
_REQUESTS: Final = """
    SELECT number, data, traceparent FROM documents CROSS JOIN operations USING (number)
    WHERE part = ? AND documents.number IN (:list)
"""
_HEADS: Final = f"""
    SELECT {OPERATION} FROM operations
    WHERE lane = ? AND state = 2 AND wake_time IS NULL
    ORDER BY priority DESC, position LIMIT ?
"""
_RUNNING_IN: Final = "SELECT sum(count) FROM counts WHERE state = 3 AND lane IN (:list)"
_LEASES: Final = """
    SELECT count(*) FROM operations INDEXED BY holding
    WHERE tenant = ? AND concurrency_key = ? AND session IS NOT NULL
"""
_LIMIT: Final = "json_extract(policy, '$.concurrency_limit')"
_KEY_PARKED: Final = f"""
    operations INDEXED BY parked
    WHERE tenant = ? AND concurrency_key = ? AND wake_time = {PARKED}
"""
_NEXT_PARKED_LANE: Final = f"SELECT min(lane) FROM {_KEY_PARKED} AND lane > ?"
_NEXT_PARKED_LIMIT: Final = f"""
    SELECT {_LIMIT} FROM {_KEY_PARKED} AND lane = ? AND {_LIMIT} > ?
    ORDER BY {_LIMIT} LIMIT 1
"""
_PARKED: Final = f"""
    SELECT {OPERATION} FROM {_KEY_PARKED} AND lane = ? AND {_LIMIT} = ?
    ORDER BY priority DESC, position LIMIT ?
"""
#: One probe of each end of the index per lane.
_SPANS: Final = """
    SELECT number, (
        SELECT min(position) FROM operations INDEXED BY waiting
        WHERE lane = lanes.number AND priority = ?1 AND state = 2 AND wake_time IS NULL
    ), (
        SELECT max(position) FROM operations INDEXED BY waiting
        WHERE lane = lanes.number AND priority = ?1 AND state = 2 AND wake_time IS NULL
    ) FROM lanes WHERE number IN (:list)
"""
_LAST_TURN: Final = f"""
    SELECT (
        SELECT max(position) FROM operations INDEXED BY turns
        WHERE lane = lanes.number AND fairness_key = ? AND priority = ? AND state = 2
            AND (wake_time IS NULL OR wake_time = {PARKED})
    ) FROM lanes WHERE number IN (:list)
"""
_WAITING_LAUNCHES: Final = f"""
    SELECT {OPERATION} FROM operations INDEXED BY launches
    WHERE tenant = ? AND kind = 3 AND state <= 3 AND state < 3
"""
_LAST_LAUNCH: Final = """
    SELECT max(position) FROM operations INDEXED BY launches
    WHERE tenant = ? AND priority = ? AND kind = 3 AND state <= 3
"""
_HELD: Final = f"SELECT {OPERATION} FROM operations WHERE session = ? ORDER BY token"
_DUE: Final = f"""
    SELECT {OPERATION} FROM operations WHERE wake_time <= ? AND state < 4
    ORDER BY wake_time LIMIT ?
"""
_EXPIRING: Final = f"""
    SELECT {OPERATION} FROM operations WHERE wake_time <= ? AND state >= 4
    ORDER BY wake_time LIMIT ?
"""
#: Asked for what comes after a time.
NEXT_WAKE: Final = f"""
    SELECT min(first) FROM (
        SELECT min(wake_time) AS first FROM operations
        WHERE wake_time > ?1 AND wake_time < {PARKED} AND state < 4
        UNION ALL SELECT min(wake_time) FROM operations WHERE wake_time > ?1 AND state >= 4
    )
"""
_SERVICE: Final = "SELECT document FROM services WHERE tenant = ? AND slug = ?"
_CONTRACT: Final = "SELECT document, templates FROM contracts WHERE tenant = ? AND name = ?"
_SCHEDULE: Final = f"""
    SELECT {", ".join(Schedule._fields)} FROM schedules WHERE tenant = ? AND name = ?
"""
_ACCOUNT: Final = """
    SELECT create_time FROM accounts
    WHERE tenant = ? AND principal = ? AND service = ? AND username = ?
"""
_REMOVABLE: Final = """
    SELECT number FROM operations
    WHERE state >= 4 AND wake_time IS NULL AND revision <= ? ORDER BY revision LIMIT ?
"""

_Identity = tuple[str, str, str]


class SqliteRows(FileRows):
    """`core.batch.Rows` on the writing connection; made anew for every batch."""

    def __init__(
        self, connection: sqlite3.Connection, running: Mapping[int, Operation]
    ) -> None:
        super().__init__(connection)
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

    def documents(self, numbers: Sequence[int], part: int) -> dict[int, bytes]:
        return dict(select_listed(self._connection, _DOCUMENTS, numbers, int(part)))

    def requests(
        self, numbers: Sequence[int], part: int
    ) -> dict[int, tuple[bytes, str | None]]:
        found = select_listed(self._connection, _REQUESTS, numbers, part)
        return {number: (data, traceparent) for number, data, traceparent in found}

    def heads(self, lane: int, limit: int) -> list[Operation]:
        return self._operations(_HEADS, lane, limit)

    def running_in(self, lanes: Sequence[int]) -> int:
        rows = select_listed(self._connection, _RUNNING_IN, lanes)
        return sum(count or 0 for (count,) in rows)

    def leases(self, tenant: str, concurrency_key: str) -> int:
        return int(self._one(_LEASES, tenant, concurrency_key)[0])

    def parked_groups(
        self, tenant: str, concurrency_key: str, leases: int
    ) -> list[tuple[int, int]]:
        groups: list[tuple[int, int]] = []
        key = (tenant, concurrency_key)
        lane = self._one(_NEXT_PARKED_LANE, *key, -1)[0]
        while lane is not None:
            found = self._one(_NEXT_PARKED_LIMIT, *key, lane, leases)
            while found is not None:
                groups.append((lane, found[0]))
                found = self._one(_NEXT_PARKED_LIMIT, *key, lane, found[0])
            lane = self._one(_NEXT_PARKED_LANE, *key, lane)[0]
        return groups

    def parked(
        self, tenant: str, concurrency_key: str, lane: int, limit: int, count: int
    ) -> list[Operation]:
        return self._operations(_PARKED, tenant, concurrency_key, lane, limit, count)

    def spans(self, lanes: Sequence[int], priority: int) -> dict[int, tuple[int, int]]:
        found = select_listed(self._connection, _SPANS, lanes, priority)
        return {lane: (first, last) for lane, first, last in found if first is not None}

    def last_turn(self, lanes: Sequence[int], priority: int, fairness_key: str) -> int | None:
        found = select_listed(self._connection, _LAST_TURN, lanes, fairness_key, priority)
        return max((turn for (turn,) in found if turn is not None), default=None)

    def waiting_launches(self, tenant: str) -> list[Operation]:
        return self._operations(_WAITING_LAUNCHES, tenant)

    def last_launch(self, tenant: str, priority: int) -> int | None:
        found: int | None = self._one(_LAST_LAUNCH, tenant, priority)[0]
        return found

    def held_by(self, session: int) -> list[Operation]:
        return self._operations(_HELD, session)

    def due(self, now: int, limit: int) -> list[Operation]:
        return self._operations(_DUE, now, limit)

    def expiring(self, now: int, limit: int) -> list[Operation]:
        return self._operations(_EXPIRING, now, limit)

    def next_wake(self, *, after: int) -> int | None:
        found: int | None = self._one(NEXT_WAKE, after)[0]
        return found

    def service(self, tenant: str, slug: str) -> bytes | None:
        row = self._one(_SERVICE, tenant, slug)
        return None if row is None else row[0]

    def contract(self, tenant: str, name: str) -> Contract | None:
        row = self._one(_CONTRACT, tenant, name)
        return None if row is None else read_contract(*row)

    def schedule(self, tenant: str, name: str) -> Schedule | None:
        row = self._one(_SCHEDULE, tenant, name)
        return None if row is None else Schedule._make(row)

    def account(self, tenant: str, principal: str, account: Account) -> int | None:
        row = self._one(_ACCOUNT, tenant, principal, *account)
        return None if row is None else int(row[0])

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

"""What a batch reads of the store while it is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from longshore.core.operations import PARKED, Facts, Operation
from longshore.core.rows import Keyed
from longshore.stores.postgres.connections import Connection, Row
from longshore.stores.postgres.contention import ContentionRows
from longshore.stores.postgres.files import FileRows
from longshore.stores.postgres.installation import InstallationRows
from longshore.stores.postgres.values import (
    FACTS,
    OPERATION,
    facts_of,
    kept_text,
    operation_of,
    told_text,
)

_BY_NUMBERS: Final = f"SELECT {OPERATION} FROM operations WHERE number = ANY($1::bigint[])"
_BY_IDS: Final = f"SELECT {OPERATION} FROM operations WHERE id = ANY($1::bytea[])"
_FACTS_OF: Final = f"SELECT number, {FACTS} FROM operations WHERE number = ANY($1::bigint[])"
_KEYED: Final = f"""
    SELECT {OPERATION}, {FACTS}, keys.tenant, keys.submitter, keys.key, keys.digest
    FROM unnest($1::text[], $2::text[], $3::text[]) AS named (tenant, submitter, key)
    JOIN keys USING (tenant, submitter, key)
    JOIN operations ON operations.number = keys.number
"""
_DOCUMENT: Final = "SELECT data FROM documents WHERE number = $1 AND part = $2"
_DOCUMENTS: Final = """
    SELECT number, data FROM documents WHERE part = $1 AND number = ANY($2::bigint[])
"""
_REQUESTS: Final = """
    SELECT number, data, traceparent FROM documents JOIN operations USING (number)
    WHERE part = $1 AND documents.number = ANY($2::bigint[])
"""
_HEADS: Final = f"""
    SELECT {OPERATION} FROM unnest($1::integer[]) AS named (lane) CROSS JOIN LATERAL (
        SELECT * FROM operations
        WHERE lane = named.lane AND state = 2 AND wake_time IS NULL
        ORDER BY priority DESC, position LIMIT $2
    ) AS operations
"""
_RUNNING_IN: Final = """
    SELECT coalesce(sum(count), 0)::bigint FROM counts
    WHERE state = 3 AND lane = ANY($1::integer[])
"""
_WAITING_LAUNCHES: Final = f"""
    SELECT {OPERATION} FROM operations
    WHERE tenant = $1 AND kind = 3 AND state <= 3 AND state < 3
"""
_LAST_LAUNCH: Final = """
    SELECT max(position) FROM operations
    WHERE tenant = $1 AND priority = $2 AND kind = 3 AND state <= 3
"""
_HELD: Final = f"SELECT {OPERATION} FROM operations WHERE session = $1 ORDER BY token"
_DUE: Final = f"""
    SELECT {OPERATION} FROM operations WHERE wake_time <= $1 AND state < 4
    ORDER BY wake_time LIMIT $2
"""
_EXPIRING: Final = f"""
    SELECT {OPERATION} FROM operations WHERE wake_time <= $1 AND state >= 4
    ORDER BY wake_time LIMIT $2
"""
_NEXT_WAKE: Final = f"""
    SELECT least(
        (SELECT min(wake_time) FROM operations
        WHERE wake_time > $1 AND wake_time < {PARKED} AND state < 4),
        (SELECT min(wake_time) FROM operations WHERE wake_time > $1 AND state >= 4)
    )
"""
_HEAD: Final = "SELECT compacted, revision FROM head"
_TIME_OF: Final = "SELECT time FROM events WHERE revision = $1"
_REMOVABLE: Final = """
    SELECT number FROM operations
    WHERE state >= 4 AND wake_time IS NULL AND revision <= $1 ORDER BY revision LIMIT $2
"""

_FIELDS: Final = len(Operation._fields)
_FACTS_END: Final = _FIELDS + len(Facts._fields)

Identity = tuple[str, str, str]  #: Of a key: tenant, submitter and request id.


class PostgresRows(ContentionRows, FileRows, InstallationRows):
    """`core.batch.Rows` on the writing connection; made anew for every batch.

    What is read in bulk beforehand is answered from memory, all else is asked for.
    """

    def __init__(self, connection: Connection, running: Mapping[int, Operation]) -> None:
        super().__init__(connection)
        self._running = running  # Some of what is leased, so that it need not be read.
        self._operations: dict[int, Operation | None] = {}
        self._numbers: dict[bytes, int | None] = {}
        self._facts: dict[int, Facts] = {}
        self._keyed: dict[Identity, Keyed | None] = {}
        self._requests: dict[tuple[int, int], tuple[bytes, str | None]] = {}
        self._heads: dict[int, tuple[int, list[Operation]]] = {}

    # In bulk.

    def read_operations(self, numbers: Sequence[int], ids: Sequence[bytes]) -> list[Operation]:
        """Read operations by number or id; return those that there are."""
        known = self._running
        loaded = [known[number] for number in numbers if number in known]
        unknown = [number for number in numbers if number not in known]
        if unknown:
            self._operations.update(dict.fromkeys(unknown))
            loaded += self.fetch_operations(_BY_NUMBERS, unknown)
        if ids:
            self._numbers.update(dict.fromkeys(ids))
            loaded += self.fetch_operations(_BY_IDS, ids)
            self._numbers.update((one.id, one.number) for one in loaded)
        self._operations.update((one.number, one) for one in loaded)
        return loaded

    def read_keys(self, identities: Sequence[Identity]) -> list[Operation]:
        """Read what keys stand for; return the operations."""
        if not identities:
            return []
        self._keyed.update(dict.fromkeys(identities))
        kept = [tuple(map(kept_text, identity)) for identity in identities]
        return [self._note_keyed(row) for row in self.fetch(_KEYED, *zip(*kept, strict=True))]

    def _note_keyed(self, row: Row) -> Operation:
        operation = operation_of(row)
        tenant, submitter, key, digest = row[_FACTS_END:]
        identity = told_text(tenant), told_text(submitter), told_text(key)
        self._keyed[identity] = Keyed(operation.number, digest)
        self._facts[operation.number] = facts_of(row)
        return operation

    def read_facts(self, numbers: Sequence[int]) -> None:
        """Read what is fixed about operations."""
        for row in self.fetch(_FACTS_OF, numbers):
            self._facts[row[0]] = facts_of(row, start=1)

    def read_requests(self, numbers: Sequence[int], part: int) -> None:
        """Read what workers run of operations."""
        for number, data, traceparent in self.fetch(_REQUESTS, part, numbers):
            self._requests[number, part] = (data, traceparent)

    def read_heads(self, lanes: Sequence[int], limit: int) -> list[Operation]:
        """Read the first waiting operations of lanes."""
        self._heads.update((lane, (limit, [])) for lane in lanes)
        found = self.fetch_operations(_HEADS, lanes, limit)
        for operation in found:
            self._heads[operation.lane][1].append(operation)
        return found

    # As `Rows` has it.

    def operation(self, number: int) -> Operation | None:
        if number not in self._operations:
            found = self.fetch_operations(_BY_NUMBERS, [number])
            self._operations[number] = found[0] if found else None
        return self._operations[number]

    def number_of(self, operation_id: bytes) -> int | None:
        if operation_id not in self._numbers:
            self.read_operations((), [operation_id])
        return self._numbers[operation_id]

    def facts(self, number: int) -> Facts:
        if number not in self._facts:
            self.read_facts([number])
        return self._facts[number]

    def keyed(self, tenant: str, submitter: str, request_id: str) -> Keyed | None:
        identity = (tenant, submitter, request_id)
        if identity not in self._keyed:
            self.read_keys([identity])
        return self._keyed[identity]

    def document(self, number: int, part: int) -> bytes | None:
        row = self.fetch_one(_DOCUMENT, number, part)
        return None if row is None else row[0]

    def documents(self, numbers: Sequence[int], part: int) -> dict[int, bytes]:
        found = self.fetch(_DOCUMENTS, part, numbers) if numbers else []
        return {row[0]: row[1] for row in found}

    def requests(
        self, numbers: Sequence[int], part: int
    ) -> dict[int, tuple[bytes, str | None]]:
        unread = [number for number in numbers if (number, part) not in self._requests]
        if unread:
            self.read_requests(unread, part)
        return {number: self._requests[number, part] for number in numbers}

    def heads(self, lane: int, limit: int) -> list[Operation]:
        asked, known = self._heads.get(lane, (0, []))
        if limit > asked and len(known) == asked:
            self.read_heads([lane], limit)
            known = self._heads[lane][1]
        return known[:limit]

    def running_in(self, lanes: Sequence[int]) -> int:
        return int(self.fetch_one(_RUNNING_IN, lanes)[0])

    def waiting_launches(self, tenant: str) -> list[Operation]:
        return self.fetch_operations(_WAITING_LAUNCHES, tenant)

    def last_launch(self, tenant: str, priority: int) -> int | None:
        found: int | None = self.fetch_one(_LAST_LAUNCH, tenant, priority)[0]
        return found

    def held_by(self, session: int) -> list[Operation]:
        return self.fetch_operations(_HELD, session)

    def due(self, now: int, limit: int) -> list[Operation]:
        return self.fetch_operations(_DUE, now, limit)

    def expiring(self, now: int, limit: int) -> list[Operation]:
        return self.fetch_operations(_EXPIRING, now, limit)

    def next_wake(self, *, after: int) -> int | None:
        found: int | None = self.fetch_one(_NEXT_WAKE, after)[0]
        return found

    def first_revision_since(self, time: int) -> int | None:
        # Above the compacted revision the log has no gaps, and time rises with it but for
        # jumps of the clock, after which an event nearby is as good an answer.
        compacted, newest = self.fetch_one(_HEAD)
        low, high = compacted + 1, newest + 1
        while low < high:
            middle = (low + high) // 2
            (seen,) = self.fetch_one(_TIME_OF, middle)
            if seen < time:
                low = middle + 1
            else:
                high = middle
        return None if low > newest else low

    def removable(self, revision: int, limit: int) -> list[int]:
        return [number for (number,) in self.fetch(_REMOVABLE, revision, limit)]

"""A batch: the rows that one transaction is about, as the changes decided so far leave them.

A store loads what is needed through `Rows`, the decisions read and write here in memory, and
the store then writes everything at once. A decision raises before it writes, so a refusal
costs nothing and disturbs nobody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from longshore.core.callers import Caller, Target
from longshore.core.events import Event, EventKind
from longshore.core.file_ledger import FileLedger
from longshore.core.installation_ledger import InstallationLedger
from longshore.core.lanes import LaneLedger, Session
from longshore.core.ledgers import LeaseLedger, TurnLedger
from longshore.core.operations import (
    PARKED,
    Facts,
    Kind,
    Operation,
    Part,
    Record,
    State,
    plan_part,
    start_order,
)
from longshore.core.plans import Codec
from longshore.core.rows import Arrival, Head, Keyed, Rows

_QUEUED: Final = int(State.QUEUED)
_REQUEST: Final = int(Part.REQUEST)  # Enums take longer to be hashed.


class Batch:
    """One transaction in the making. Times are milliseconds since 1970."""

    def __init__(self, head: Head, rows: Rows, codec: Codec, now: int) -> None:
        self.head = head
        self.rows = rows
        self.codec = codec
        self.now = now
        self.revision = head.revision
        self.compacted = head.compacted
        self.last_number = head.last_number
        self.last_session = head.last_session
        self.last_template = head.last_template
        self.mode = head.mode
        self.resume_on_restart = head.resume_on_restart
        self.next_wake = head.next_wake
        self.operations: dict[int, Operation] = {}  #: Touched, as they are now.
        self.before: dict[int, Operation] = {}  #: Read, as they were before the batch.
        self.created: dict[int, Facts] = {}
        self.documents: dict[tuple[int, int], bytes] = {}
        self.dropped: set[tuple[int, int]] = set()  #: Documents that are removed.
        #: Documents that were read in bulk; None: there was none.
        self._read: dict[tuple[int, int], bytes | None] = {}
        self.events: list[Event] = []
        self.origins: list[Caller | None] = []  #: Who brought each of the events about.
        self.caller: Caller | None = None  #: Of the change being decided; None: the server.
        self.keys: dict[tuple[str, str, str], Keyed] = {}
        self.sessions: dict[int, Session | None] = {}  #: None: ended.
        #: By number: what has come into a channel; None: it was acknowledged.
        self.arrivals: dict[int, Arrival | None] = {}
        self.freed: Counter[int] = Counter()  #: Slots freed by session.
        self.expired: list[int] = []
        self.removed: list[int] = []
        self._created_ids: dict[bytes, int] = {}
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)
        self.lanes = LaneLedger(head.lanes)
        self.installation = InstallationLedger(rows, head.queues)
        self.leases = LeaseLedger(rows, self.operations, self.before)
        self.files = FileLedger(rows, self.operations)
        self.turns = TurnLedger(rows, head.circles, self.operations, self._waiting)
        self._departed = 0  #: Rows that wait on disk and were touched.
        #: Lanes of which every row that waits on disk was read, with those rows.
        self._exhausted: dict[int, list[int]] = {}

    # Reading.

    def operation(self, number: int) -> Operation | None:
        """Return an operation as the batch leaves it; expired ones are not found."""
        found = self.operations.get(number)
        if found is None:
            found = self.before.get(number)
            if found is None:
                found = self.rows.operation(number)
                if found is None:
                    return None
                self.before[number] = found
        return None if found.expired else found

    def find(self, target: Target, tenant: str, kind: int | None) -> Operation | None:
        """Return a tenant's operation by id or number, if it is of the kind asked for."""
        number = target if isinstance(target, int) else self._number_of(target)
        found = None if number is None else self.operation(number)
        if found is None or found.tenant != tenant or kind not in (None, found.kind):
            return None
        return found

    def _number_of(self, operation_id: bytes) -> int | None:
        return self._created_ids.get(operation_id) or self.rows.number_of(operation_id)

    def remember(self, loaded: Iterable[Operation]) -> None:
        """Take rows that were read in bulk, so that they are not read one by one."""
        for operation in loaded:
            self.before.setdefault(operation.number, operation)

    def facts(self, number: int) -> Facts:
        return self.created.get(number) or self.rows.facts(number)

    def document(self, number: int, part: int) -> bytes | None:
        place = (number, part)
        found = self.documents.get(place)
        if found is None and number not in self.created and place not in self.dropped:
            found = self._read[place] if place in self._read else self.rows.document(*place)
        return found

    def read_documents(self, numbers: Iterable[int], part: int) -> None:
        """Read documents in bulk, so that they are not read one by one."""
        unread = [one for one in numbers if (one, part) not in self._read]
        self._read.update(((number, part), None) for number in unread)
        for number, document in self.rows.documents(unread, part).items():
            self._read[number, part] = document

    def requests(self, operations: Sequence[Operation]) -> dict[int, tuple[bytes, str | None]]:
        """Return by number what workers run, as a document, and the traceparent."""
        found: dict[int, tuple[bytes, str | None]] = {}
        stored: dict[int, list[int]] = {}
        for operation in operations:
            number, part = operation.number, int(plan_part(operation.kind))
            if number in self.created:
                facts = self.created[number]
                found[number] = (self.documents[number, part], facts.traceparent)
            else:
                stored.setdefault(part, []).append(number)
        for part, numbers in stored.items():
            found.update(self.rows.requests(numbers, part))
        return found

    def keyed(self, tenant: str, submitter: str, request_id: str) -> Keyed | None:
        return self.keys.get((tenant, submitter, request_id)) or self.rows.keyed(
            tenant, submitter, request_id
        )

    def session(self, number: int) -> Session | None:
        if number in self.sessions:
            return self.sessions[number]
        return self.head.sessions.get(number)

    def all_sessions(self) -> list[Session]:
        merged = {**self.head.sessions, **self.sessions}
        return [session for session in merged.values() if session is not None]

    def heads(self, lane: int, limit: int) -> list[Operation]:
        """Return the first waiting operations of a lane, in the order of their leases."""
        found: list[Operation] = []
        if lane in self.head.open_lanes:
            asked = limit + self._departed
            stored = self.rows.heads(lane, asked)
            self.remember(stored)
            found = [one for one in stored if one.number not in self.operations]
            if len(stored) < asked:
                self._exhausted[lane] = [one.number for one in stored]
        touched = self._waiting.get(lane)
        if touched:
            own = {number: self.operations[number] for number in touched}
            found += [one for one in own.values() if one.waiting and one.lane == lane]
            found.sort(key=start_order)
        return found[:limit]

    def held_by(self, session: int) -> list[Operation]:
        """Return the operations that a session holds a lease of, in the order of the leases."""
        self.remember(self.rows.held_by(session))
        merged = {**self.before, **self.operations}
        held = [one for one in merged.values() if one.session == session]
        return sorted(held, key=lambda one: one.token)

    def running_in(self, tenant: str, queue: str) -> int:
        """Return how many operations of a queue run; of "" those of all tenants."""
        lanes = set(self.lanes.in_queue(tenant, queue))
        count = self.rows.running_in(sorted(lanes))
        for number, operation in self.operations.items():
            count += operation.state == State.RUNNING and operation.lane in lanes
            before = self.before.get(number)
            if before is not None:
                count -= before.state == State.RUNNING and before.lane in lanes
        return count

    def waiting_launches(self, tenant: str) -> list[Operation]:
        """Return a tenant's launches that wait, in the order in which they start."""
        self.remember(self.rows.waiting_launches(tenant))
        merged = {**self.before, **self.operations}
        found = [
            one
            for one in merged.values()
            if one.kind == Kind.LAUNCH and one.tenant == tenant and one.state < State.RUNNING
        ]
        return sorted(found, key=start_order)

    def last_launch(self, tenant: str, priority: int) -> int:
        """Return the greatest position among a tenant's launches that have not ended, or 0."""
        found = self.rows.last_launch(tenant, priority) or 0
        own = (
            one.position
            for one in self.operations.values()
            if one.kind == Kind.LAUNCH and (one.tenant, one.priority) == (tenant, priority)
        )
        return max(found, *own, 0)

    def busy_lanes(self) -> set[int]:
        """Return the lanes that may hold waiting work."""
        return self.head.open_lanes | self._waiting.keys()

    @property
    def writes(self) -> bool:
        """Whether anything is to be written at all."""
        return bool(
            self.operations
            or self.events
            or self.removed
            or self.files.touched
            or self.compacted != self.head.compacted
        )

    def records(self) -> dict[int, Record]:
        """Return the operations that were created, without documents."""
        records: dict[int, Record] = {}
        for number, facts in self.created.items():
            operation = self.operations[number]
            records[number] = Record(operation, facts, self.lanes.of(operation.lane).queue, {})
        return records

    # Writing.

    def create(
        self, operation: Operation, facts: Facts, request: bytes, plan: bytes | None = None
    ) -> None:
        number = operation.number
        self.last_number = number
        self.created[number] = facts
        self._created_ids[operation.id] = number
        self.documents[number, _REQUEST] = request
        if plan is not None:
            self.documents[number, Part.PLAN] = plan
        self.put(operation)

    def put(self, operation: Operation) -> None:
        number = operation.number
        if number in self.before and number not in self.operations:
            self._departed += self.before[number].waiting
        if operation.concurrency_key is not None:
            self.leases.note(operation, operation.concurrency_key)
        self.operations[number] = operation
        wake = operation.wake_time
        if wake is not None:
            if wake != PARKED and (self.next_wake is None or wake < self.next_wake):
                self.next_wake = wake
        elif operation.state == _QUEUED:
            self._waiting[operation.lane].append(number)

    def forget(self, number: int) -> None:
        """Free what an operation holds that is to be found no more."""
        self.expired.append(number)
        self.arrivals.pop(number, None)
        self.files.uses.pop(number, None)
        if number in self.created:
            others = ((at, keyed) for at, keyed in self.keys.items() if keyed.number != number)
            self.keys = dict(others)

    def drop(self, number: int, part: int) -> None:
        """Remove a document, if there is one."""
        self.documents.pop((number, int(part)), None)
        self.dropped.add((number, int(part)))

    def emit(
        self,
        operation: Operation,
        kind: int,
        state: int,
        detail: str | None = None,
        caller: Caller | None = None,
    ) -> int:
        """Append an event of an operation and return its revision.

        It is brought about by who asked for the change, or else by the caller that is named.
        """
        self.revision = revision = self.revision + 1
        self.origins.append(caller or self.caller)
        self.events.append(
            Event(
                revision,
                operation.number,
                kind,
                state,
                self.now,
                detail,
                operation.id,
                operation.tenant,
                operation.kind,
            )
        )
        return revision

    def announce(self, kind: EventKind, tenant: str, detail: str | None) -> int:
        """Append an event that belongs to no operation and return its revision."""
        self.revision += 1
        self.origins.append(None)
        self.events.append(Event(self.revision, 0, kind, 0, self.now, detail, b"", tenant, 0))
        return self.revision

    def commit_to_head(self) -> None:
        """Make the head what this batch leaves behind; called after the commit only."""
        head = self.head
        head.revision, head.compacted = self.revision, self.compacted
        head.last_number, head.last_session = self.last_number, self.last_session
        head.last_template = self.last_template
        head.mode, head.resume_on_restart = self.mode, self.resume_on_restart
        head.next_wake = self.next_wake
        for lane in self.lanes.new:
            head.lanes.add(lane)
        for number, session in self.sessions.items():
            earlier = head.sessions.pop(number, None)
            if earlier is not None:
                head.lanes.forget(earlier)
            if session is not None:
                head.sessions[number] = session
        head.queues.update(self.installation.queues)
        head.circles.update(self.turns.circles)
        waiting = {lane for lane, numbers in self._waiting.items() if self._any_waits(numbers)}
        empty = {
            lane
            for lane, numbers in self._exhausted.items()
            if all(number in self.operations for number in numbers)
        }
        head.open_lanes = (head.open_lanes - empty) | waiting

    def _any_waits(self, numbers: list[int]) -> bool:
        return any(self.operations[number].waiting for number in numbers)

"""A batch: the rows that one transaction is about, as the changes decided so far leave them.

A store loads what is needed through `Rows`, the decisions read and write here in memory, and
the store then writes everything at once. A decision raises before it writes, so a refusal
costs nothing and disturbs nobody.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from longshore.core.changes import Mode, Target
from longshore.core.events import Event, EventKind
from longshore.core.lanes import Lane, LaneBook, Session
from longshore.core.operations import Facts, Operation, Part
from longshore.core.plans import Codec


class Keyed(NamedTuple):
    """What an idempotency key stands for."""

    number: int
    digest: bytes


class Rows(Protocol):
    """What a batch reads of the store, as it was before the batch."""

    def operation(self, number: int) -> Operation | None: ...
    def number_of(self, operation_id: bytes) -> int | None: ...
    def facts(self, number: int) -> Facts: ...
    def keyed(self, tenant: str, submitter: str, request_id: str) -> Keyed | None: ...
    def document(self, number: int, part: int) -> bytes | None: ...
    def requests(self, numbers: Sequence[int]) -> dict[int, tuple[bytes, str | None]]:
        """Return request and traceparent by number, in one read."""
        ...

    def heads(self, lane: int, limit: int) -> list[Operation]:
        """Return the first waiting operations of a lane: priority falling, position rising."""
        ...

    def held_by(self, session: int) -> list[Operation]: ...
    def due(self, now: int, limit: int) -> list[Operation]: ...
    def next_wake(self, *, after: int) -> int | None: ...
    def service(self, tenant: str, slug: str) -> bytes | None: ...
    def first_revision_since(self, time: int) -> int | None:
        """Return the revision of the first event at or after a time, if there is one."""
        ...

    def removable(self, revision: int, limit: int) -> list[int]:
        """Return numbers of operations that expired at or before a revision."""
        ...


@dataclass(slots=True)
class Head:
    """The small state that every batch starts from; it changes only when one is committed."""

    revision: int = 0
    compacted: int = 0  #: Watches after this revision can be served.
    last_number: int = 0
    last_session: int = 0
    mode: Mode = Mode.ACTIVE
    resume_on_restart: bool = True
    next_wake: int | None = None
    lanes: LaneBook = field(default_factory=LaneBook)
    sessions: dict[int, Session] = field(default_factory=dict[int, Session])
    queues: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    #: Lanes that may hold waiting work: all others surely hold none.
    open_lanes: set[int] = field(default_factory=set[int])


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
        self.mode = head.mode
        self.resume_on_restart = head.resume_on_restart
        self.next_wake = head.next_wake
        self.operations: dict[int, Operation] = {}  #: Touched, as they are now.
        self.before: dict[int, Operation] = {}  #: Read, as they were before the batch.
        self.created: dict[int, Facts] = {}
        self.documents: dict[tuple[int, int], bytes] = {}
        self.events: list[Event] = []
        self.keys: dict[tuple[str, str, str], Keyed] = {}
        self.sessions: dict[int, Session | None] = {}  #: None: ended.
        self.lanes: list[Lane] = []
        self.queues: set[tuple[str, str]] = set()
        self.services: dict[tuple[str, str], bytes] = {}
        self.freed: Counter[int] = Counter()  #: Slots freed by session.
        self.expired: list[int] = []
        self.removed: list[int] = []
        self._created_ids: dict[bytes, int] = {}
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)
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
        found = self.documents.get((number, part))
        if found is None and number not in self.created:
            found = self.rows.document(number, part)
        return found

    def requests(self, numbers: Sequence[int]) -> dict[int, tuple[bytes, str | None]]:
        """Return request and traceparent by number."""
        stored = [number for number in numbers if number not in self.created]
        found = self.rows.requests(stored) if stored else {}
        for number in numbers:
            if number in self.created:
                request = self.documents[number, Part.REQUEST]
                found[number] = (request, self.created[number].traceparent)
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
            found.sort(key=lambda one: (-one.priority, one.position))
        return found[:limit]

    def held_by(self, session: int) -> list[Operation]:
        """Return the operations that a session holds a lease of, in the order of the leases."""
        self.remember(self.rows.held_by(session))
        merged = {**self.before, **self.operations}
        held = [one for one in merged.values() if one.session == session]
        return sorted(held, key=lambda one: one.token)

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
            or self.compacted != self.head.compacted
        )

    # Writing.

    def create(self, operation: Operation, facts: Facts, request: bytes) -> None:
        number = operation.number
        self.last_number = number
        self.created[number] = facts
        self._created_ids[operation.id] = number
        self.documents[number, Part.REQUEST] = request
        self.put(operation)

    def put(self, operation: Operation) -> None:
        number = operation.number
        if number not in self.operations:
            stored = self.before.get(number)
            if stored is not None and stored.waiting:
                self._departed += 1
        self.operations[number] = operation
        wake = operation.wake_time
        if wake is not None and (self.next_wake is None or wake < self.next_wake):
            self.next_wake = wake
        if operation.waiting:
            self._waiting[operation.lane].append(number)

    def emit(
        self, operation: Operation, kind: int, state: int, detail: str | None = None
    ) -> int:
        """Append an event of an operation and return its revision."""
        self.revision = revision = self.revision + 1
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
        self.events.append(Event(self.revision, 0, kind, 0, self.now, detail, b"", tenant, 0))
        return self.revision

    def lane(self, tenant: str, queue: str, actions: tuple[str, ...]) -> int:
        """Return the number of a lane, making it if it is new."""
        found = self.head.lanes.find(tenant, queue, actions)
        if found is not None:
            return found.number
        for lane in self.lanes:
            if (lane.tenant, lane.queue, lane.actions) == (tenant, queue, actions):
                return lane.number
        number = len(self.head.lanes.by_number) + len(self.lanes) + 1
        self.lanes.append(Lane(number, tenant, queue, actions))
        return number

    def lane_of(self, number: int) -> Lane:
        """Return a lane by its number."""
        known = self.head.lanes.by_number.get(number)
        return known or next(lane for lane in self.lanes if lane.number == number)

    def lanes_of(self, session: Session) -> list[int]:
        new = [lane.number for lane in self.lanes if session.serves(lane)]
        return self.head.lanes.served(session) + new

    def commit_to_head(self) -> None:
        """Make the head what this batch leaves behind; called after the commit only."""
        head = self.head
        head.revision, head.compacted = self.revision, self.compacted
        head.last_number, head.last_session = self.last_number, self.last_session
        head.mode, head.resume_on_restart = self.mode, self.resume_on_restart
        head.next_wake = self.next_wake
        for lane in self.lanes:
            head.lanes.add(lane)
        for number, session in self.sessions.items():
            earlier = head.sessions.pop(number, None)
            if earlier is not None:
                head.lanes.forget(earlier)
            if session is not None:
                head.sessions[number] = session
        head.queues |= self.queues
        waiting = {lane for lane, numbers in self._waiting.items() if self._any_waits(numbers)}
        empty = {
            lane
            for lane, numbers in self._exhausted.items()
            if all(number in self.operations for number in numbers)
        }
        head.open_lanes = (head.open_lanes - empty) | waiting

    def _any_waits(self, numbers: list[int]) -> bool:
        return any(self.operations[number].waiting for number in numbers)

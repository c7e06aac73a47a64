"""What a batch starts from: the rows that it may read, and the small state beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from longshore.core.callers import Account
from longshore.core.changes import Mode
from longshore.core.files import File
from longshore.core.installation import Contract, Queue, Schedule
from longshore.core.lanes import LaneBook, Session
from longshore.core.operations import Facts, Operation


class Keyed(NamedTuple):
    """What an idempotency key stands for."""

    number: int
    digest: bytes


class Arrival(NamedTuple):
    """An operation that has ended, in a channel until its result is acknowledged."""

    tenant: str
    stream: str
    revision: int  #: Of its end.
    end_time: int  #: Milliseconds since 1970.


#: Tenant, queue and priority: among what has these in common leases go round.
Circle: TypeAlias = tuple[str, str, int]


class Rows(Protocol):
    """What a batch reads of the store, as it was before the batch."""

    def operation(self, number: int) -> Operation | None: ...
    def number_of(self, operation_id: bytes) -> int | None: ...
    def facts(self, number: int) -> Facts: ...
    def keyed(self, tenant: str, submitter: str, request_id: str) -> Keyed | None: ...
    def document(self, number: int, part: int) -> bytes | None: ...
    def documents(self, numbers: Sequence[int], part: int) -> dict[int, bytes]:
        """Return a document of each operation that has one, in one read."""
        ...

    def requests(
        self, numbers: Sequence[int], part: int
    ) -> dict[int, tuple[bytes, str | None]]:
        """Return a document of each operation and its traceparent, in one read."""
        ...

    def heads(self, lane: int, limit: int) -> list[Operation]:
        """Return the first waiting operations of a lane: priority falling, position rising."""
        ...

    def running_in(self, lanes: Sequence[int]) -> int:
        """Return how many operations of these lanes run."""
        ...

    def leases(self, tenant: str, concurrency_key: str) -> int:
        """Return how many operations with the key run."""
        ...

    def parked_groups(
        self, tenant: str, concurrency_key: str, leases: int
    ) -> list[tuple[int, int]]:
        """Return the lanes and limits above `leases` of what waits for its key."""
        ...

    def parked(
        self, tenant: str, concurrency_key: str, lane: int, limit: int, count: int
    ) -> list[Operation]:
        """Return the first of a lane and limit that wait for their key, in their order."""
        ...

    def spans(self, lanes: Sequence[int], priority: int) -> dict[int, tuple[int, int]]:
        """Return the least and the greatest position of what may be leased, by lane."""
        ...

    def last_turn(self, lanes: Sequence[int], priority: int, fairness_key: str) -> int | None:
        """Return the greatest position of what waits with the key, parked or not."""
        ...

    def waiting_launches(self, tenant: str) -> list[Operation]:
        """Return the launches that are queued or suspended, in any order."""
        ...

    def last_launch(self, tenant: str, priority: int) -> int | None:
        """Return the greatest position among launches that have not ended."""
        ...

    def held_by(self, session: int) -> list[Operation]: ...
    def due(self, now: int, limit: int) -> list[Operation]:
        """Return unfinished operations whose wake time has come, the earliest first."""
        ...

    def expiring(self, now: int, limit: int) -> list[Operation]:
        """Return ended operations whose wake time has come, the earliest first."""
        ...

    def next_wake(self, *, after: int) -> int | None: ...
    def service(self, tenant: str, slug: str) -> bytes | None: ...
    def contract(self, tenant: str, name: str) -> Contract | None: ...
    def schedule(self, tenant: str, name: str) -> Schedule | None: ...
    def account(self, tenant: str, principal: str, account: Account) -> int | None:
        """Return when an account was registered, in milliseconds since 1970."""
        ...

    def file(self, file_id: bytes) -> File | None: ...
    def files_of(self, numbers: Sequence[int]) -> list[File]:
        """Return the files that operations have made, in one read."""
        ...

    def takers(self, file_id: bytes) -> list[int]:
        """Return the numbers of operations that take a file and have not ended."""
        ...

    def uses_of(self, number: int) -> list[bytes]:
        """Return the files that an operation takes, whether or not they are still kept."""
        ...

    def blob(self, blob: bytes) -> int | None:
        """Return the time from which a blob that no file has is removed."""
        ...

    def due_files(self, now: int, limit: int) -> list[File]:
        """Return uploaded files that have expired and that no unfinished operation takes."""
        ...

    def due_blobs(self, now: int, limit: int) -> list[bytes]:
        """Return blobs whose time has come to be removed."""
        ...

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
    last_template: int = 0
    mode: Mode = Mode.ACTIVE
    resume_on_restart: bool = True
    next_wake: int | None = None
    lanes: LaneBook = field(default_factory=LaneBook)
    sessions: dict[int, Session] = field(default_factory=dict[int, Session])
    queues: dict[tuple[str, str], Queue] = field(default_factory=dict[tuple[str, str], Queue])
    #: Where fairness keys are in use, with the last position of what waited there before.
    circles: dict[Circle, int] = field(default_factory=dict[Circle, int])
    #: Lanes that may hold waiting work: all others surely hold none.
    open_lanes: set[int] = field(default_factory=set[int])

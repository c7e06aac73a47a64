"""The operation: its states, its small hot row, and what is told about it.

An operation is kept in three parts. `Operation` is the row that decisions read and write.
`Facts` is what is fixed at submit and what lists filter by. Documents are the large opaque
parts (`Part`), read only on demand.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class State(enum.IntEnum):
    """Where an operation stands; the numbers are the order of lists by state."""

    SUSPENDED = 1  #: Held: will not start until resumed.
    QUEUED = 2  #: Waits for a worker, for its start time, or for its next attempt.
    RUNNING = 3  #: Leased to one session.
    FAILED = 4  #: Over, with an error.
    SUCCEEDED = 5  #: Over, with a result.
    CANCELED = 6  #: Over, because somebody asked.


class Kind(enum.IntEnum):
    """The face under which an operation was asked for."""

    TASK = 1
    JOB = 2
    LAUNCH = 3


class Cancel(enum.IntEnum):
    """How far the cancelling of an operation has come."""

    NO = 0
    REQUESTED = 1


class Part(enum.IntEnum):
    """The documents of an operation; a plan's ended step n is kept as `STEPS + n`."""

    REQUEST = 1  #: Spec and options as they were sent.
    CONTEXT = 2  #: A plan's context as the steps so far left it.
    RESULT = 3  #: What the work gave; absent if it gave nothing.
    ERROR = 4  #: Why it failed.
    ACTIVITY = 5  #: JSON: progress, when it was last told, log lines of this attempt.
    PROPERTIES = 6  #: JSON: name to value.
    PLAN = 7  #: What workers run, where the request only names it: of jobs and launches.
    FILES = 8  #: JSON: the files it has made; see `files.described`.
    DELIVERY = 9  #: JSON: how far its result is on its way; see `deliveries`.
    STEPS = 16


_QUEUED: Final = int(State.QUEUED)

#: The `wake_time` of what waits for others with its concurrency key; no clock gets there.
PARKED: Final = 2**62

#: The `wake_time` of what is due whatever the clock says, also after it was set back.
AT_ONCE: Final = 1

#: The session of what has been done and is being delivered: the server itself.
PUBLISHER: Final = -1

FIRST_TERMINAL: Final = State.FAILED  #: States from here on are never left.


class Operation(NamedTuple):
    """What decisions need to know of one operation. Times are milliseconds since 1970."""

    number: int
    id: bytes  #: 16 bytes, UUIDv7.
    tenant: str
    kind: int
    state: int
    lane: int  #: Interned queue and set of actions; see `lanes`.
    priority: int
    position: int  #: Place among waiting work of equal priority; the number, until moved.
    attempt: int  #: Leases granted so far.
    step: int  #: Index of the plan's action that is next or under way.
    steps: int  #: Actions of the plan; 0 for a single action with literal arguments.
    session: int | None  #: The session that holds the lease, or `PUBLISHER`.
    worker: str | None  #: Name of the latest worker.
    token: int  #: Revision of the latest lease event; 0 before the first.
    reports: int  #: Sequence of the latest report applied under this lease.
    cancel: int
    wake_time: int | None  #: When the writer must look at it again; see below.
    revision: int  #: Of its latest event.
    start_time: int | None  #: Of the latest attempt.
    update_time: int
    end_time: int | None
    policy: str | None  #: JSON of the options that differ from the defaults; see `policies`.
    message: str | None
    concurrency_key: str | None  #: Shares a limit of leases; the limit is in the policy.
    fairness_key: str | None  #: Whose turn it uses; "": no key, among others that have one.

    # wake_time is, by state: QUEUED the time before which it may not be leased (None: it may
    # be leased now; `PARKED`: not before a lease with its key ends); SUSPENDED the same, for
    # when it is resumed; RUNNING the end of the attempt or of the cancel's grace (`AT_ONCE` if
    # it is being delivered); ended the time of expiry (None: expired, and to be found no more).

    @property
    def waiting(self) -> bool:
        """Whether it may be leased now."""
        return self.wake_time is None and self.state == _QUEUED

    @property
    def parked(self) -> bool:
        """Whether it waits for a lease with its concurrency key to end."""
        return self.wake_time == PARKED and self.state == _QUEUED

    @property
    def publishing(self) -> bool:
        """Whether the work is done, and its result on the way to where it is held."""
        return self.session == PUBLISHER

    @property
    def place(self) -> tuple[int, int, int]:
        """Return where it waits: lane, priority and position."""
        return self.lane, self.priority, self.position

    @property
    def ended(self) -> bool:
        return self.state >= FIRST_TERMINAL

    @property
    def expired(self) -> bool:
        return self.wake_time is None and self.state >= FIRST_TERMINAL

    # What happens to every operation is written out: `_replace` takes three times as long.

    def leased(
        self, session: int, worker: str, token: int, attempt_end: int | None, now: int
    ) -> Operation:
        """Return it as the next attempt begins; the token is the revision of the lease."""
        return Operation(
            self.number,
            self.id,
            self.tenant,
            self.kind,
            State.RUNNING,
            self.lane,
            self.priority,
            self.position,
            self.attempt + 1,
            self.step,
            self.steps,
            session,
            worker,
            token,
            0,  # reports
            self.cancel,
            attempt_end,
            token,  # revision
            now,  # start_time
            now,  # update_time
            self.end_time,
            self.policy,
            None,  # message
            self.concurrency_key,
            self.fairness_key,
        )

    def over(
        self,
        state: int,
        reports: int,
        expire_time: int,
        revision: int,
        now: int,
        message: str | None,
    ) -> Operation:
        """Return it in the state that it never leaves."""
        return Operation(
            self.number,
            self.id,
            self.tenant,
            self.kind,
            state,
            self.lane,
            self.priority,
            self.position,
            self.attempt,
            self.step,
            self.steps,
            None,  # session
            self.worker,
            self.token,
            reports,
            self.cancel,
            expire_time,
            revision,
            self.start_time,
            now,  # update_time
            now,  # end_time
            self.policy,
            message,
            self.concurrency_key,
            self.fairness_key,
        )


def start_order(operation: Operation) -> tuple[int, int, int]:
    """Return what sorts waiting work in the order of its leases."""
    return -operation.priority, operation.position, operation.number


def plan_part(kind: int) -> Part:
    """Return the document that says what workers run for an operation of this kind."""
    return Part.REQUEST if kind == Kind.TASK else Part.PLAN


class Facts(NamedTuple):
    """What is fixed at submit and read by lists and watches, not by decisions."""

    submitter: str
    request_id: str
    create_time: int  #: Milliseconds since 1970.
    traceparent: str | None
    attributes: str | None  #: JSON object of the non-empty ones: name, service, labels, …


class Glance(NamedTuple):
    """How an operation stands, for look-ups of thousands. Times are milliseconds since 1970."""

    number: int
    id: bytes
    kind: int
    state: int
    cancel: int
    create_time: int
    update_time: int
    start_time: int | None
    end_time: int | None
    wake_time: int | None
    policy: str | None


class Record(NamedTuple):
    """An operation with everything a reader asked for."""

    operation: Operation
    facts: Facts
    queue: str
    documents: dict[int, bytes]  #: By `Part`; only those asked for, and only those it has.

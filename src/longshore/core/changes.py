"""Changes: everything that anybody can ask to be written. There is no other way to write."""

from __future__ import annotations

import enum
from typing import NamedTuple, TypeAlias

from longshore.core.callers import Account, Caller, Target
from longshore.core.catalog_changes import (
    ApplyContract,
    ApplySchedule,
    DeleteContract,
    DeleteSchedule,
    DeregisterAccount,
    RegisterAccount,
    UpdateQueue,
)
from longshore.core.file_changes import (
    DeleteFile,
    ForgetBlobs,
    KeepFile,
    OpenBlob,
    SweepFiles,
)
from longshore.core.operations import Facts, Operation
from longshore.core.reports import Assignment, Report


class Key(NamedTuple):
    """What makes a repeated submit find the first: the request id and a digest of the body."""

    request_id: str
    digest: bytes


class Submit(NamedTuple):
    """Accept a new operation, or find the one that the same key submitted before.

    Outcome: `Submitted`. Raises `AccountNotFound`, `FileNotFound`, `Maintenance`,
    `RequestIdReused`.
    """

    caller: Caller
    kind: int
    id: bytes
    queue: str
    actions: tuple[str, ...]  #: Action keys, sorted, without repeats.
    steps: int  #: Of a plan; 0 for a single action with literal arguments.
    request: bytes  #: Spec and options, as they are to be shown.
    priority: int = 0
    suspended: bool = False
    policy: str | None = None
    not_before: int | None = None  #: Milliseconds since 1970.
    facts_request_id: str = ""
    traceparent: str | None = None
    attributes: str | None = None
    key: Key | None = None
    plan: bytes | None = None  #: What workers run; of jobs and launches, see `plan_part`.
    external_key: str | None = None  #: Finds the first with it, whatever its body.
    account: Account | None = None  #: One that the caller must have registered.
    concurrency_key: str | None = None
    fairness_key: str | None = None
    files: tuple[bytes, ...] = ()  #: Uploaded or made, that its arguments name.


class Recall(NamedTuple):
    """Find what a submit with one of these keys made, where a repeat would be refused.

    What a spec names may be gone, or no longer fit, when a lost answer is asked for again.
    Outcome: `Submitted`, or None. Raises `RequestIdReused`.
    """

    caller: Caller
    key: Key | None
    external_key: str | None


class Submitted(NamedTuple):
    """The operation as submitted, or the one found (then `created` is false)."""

    operation: Operation
    facts: Facts
    created: bool


class Cancel(NamedTuple):
    """End an operation, or ask its worker to. Outcome: `Operation`. Raises `WrongState`."""

    caller: Caller
    target: Target
    kind: int | None = None
    message: str | None = None
    force: bool = False


class Suspend(NamedTuple):
    """Hold a queued operation. Outcome: `Operation`. Raises `WrongState`."""

    caller: Caller
    target: Target
    kind: int | None = None


class Resume(NamedTuple):
    """Let a suspended operation go on. Outcome: `Operation`. Raises `WrongState`."""

    caller: Caller
    target: Target
    kind: int | None = None


class Resubmit(NamedTuple):
    """Run what has ended as a new operation.

    Outcome: `Submitted`. Raises `WrongState`, and `FileNotFound` if what it takes is gone.
    """

    caller: Caller
    target: Target
    id: bytes
    kind: int | None = None
    from_failed: bool = False


class Move(NamedTuple):
    """Let an operation wait in another queue; what runs goes on.

    Outcome: `Operation`. Raises `WrongState` if it has ended.
    """

    caller: Caller
    target: Target
    queue: str
    kind: int | None = None


class Delete(NamedTuple):
    """Let what has ended expire now. Outcome: None. Raises `WrongState`."""

    caller: Caller
    target: Target
    kind: int | None = None


class Acknowledge(NamedTuple):
    """Remove results of tasks that have arrived; a repeat changes nothing. Outcome: None.

    Raises `OperationNotFound`, and `WrongState` for what cannot be fetched yet.
    """

    caller: Caller
    targets: tuple[Target, ...]


class OpenStream(NamedTuple):
    """Take a stream of results over. Outcome: the revision that tells listeners apart."""

    caller: Caller
    stream: str


class Direction(enum.IntEnum):
    """Where launches are moved to, among those that wait."""

    TOP = 1
    UP = 2
    DOWN = 3
    BOTTOM = 4


class MoveLaunches(NamedTuple):
    """Change the order in which a tenant's launches start.

    Outcome: list of the `Operation`s that were named and wait, in their new order. Raises
    `OperationNotFound`, and `WrongState` if none of them waits.
    """

    caller: Caller
    targets: tuple[Target, ...]
    direction: Direction


class FireSchedule(NamedTuple):
    """Submit what a schedule is due to, unless another server did or it has changed.

    Outcome: list of `Submitted`, or None if it was not due any more. Raises as `Submit`.
    """

    caller: Caller
    name: str
    document: bytes  #: As it was when the submits were made.
    due_time: int  #: Its `next_time` then.
    submits: tuple[Submit, ...]
    next_time: int | None


class Publication(NamedTuple):
    """A service as a worker offers it; the document is opaque here."""

    slug: str
    document: bytes


class OpenSession(NamedTuple):
    """Begin a worker's session, or take one up again by its secret.

    Outcome: `Opened`. An unknown or ended secret begins a new session.
    """

    caller: Caller
    secret: bytes  #: Of the session to take up, else of the new one.
    worker: str
    queues: tuple[str, ...]
    offers: tuple[str, ...]
    slots: int
    services: tuple[Publication, ...] = ()


class CloseSession(NamedTuple):
    """End a session whose worker has said goodbye. Outcome: None."""

    caller: Caller
    session: int
    epoch: int


class ExpireSessions(NamedTuple):
    """End sessions that were silent for too long; their attempts are lost. Outcome: None."""

    sessions: tuple[tuple[int, int], ...]  #: Number and epoch as they were when last heard of.


class Grant(NamedTuple):
    """A session's free slots."""

    session: int
    epoch: int
    free: int


class Lease(NamedTuple):
    """Give waiting work to free slots. Outcome: list of `Assignment`."""

    grants: tuple[Grant, ...]


class Wake(NamedTuple):
    """Do what is due: admit, time out, deliver, end the grace of cancels, expire.

    Outcome: None.
    """


class Mode(enum.IntEnum):
    """What the whole installation does with work."""

    ACTIVE = 1
    SUSPENDED = 2  #: Accepts work but starts none.
    MAINTENANCE = 3  #: Starts none and refuses new work.


class SetMode(NamedTuple):
    """Change the mode. Outcome: None."""

    caller: Caller
    mode: Mode
    resume_on_restart: bool = True


class Compact(NamedTuple):
    """Forget old events and the rows of expired operations, a few at a time.

    Raises the oldest watchable revision to that of the first event at or after `before`.
    Outcome: the number of operations removed; fewer than `limit` means that no more remain.
    """

    before: int  #: Milliseconds since 1970.
    limit: int = 500


Change: TypeAlias = (
    Submit
    | Recall
    | Cancel
    | Suspend
    | Resume
    | Resubmit
    | Move
    | MoveLaunches
    | Delete
    | Acknowledge
    | OpenStream
    | OpenBlob
    | KeepFile
    | DeleteFile
    | SweepFiles
    | ForgetBlobs
    | UpdateQueue
    | ApplyContract
    | DeleteContract
    | ApplySchedule
    | DeleteSchedule
    | FireSchedule
    | RegisterAccount
    | DeregisterAccount
    | OpenSession
    | CloseSession
    | ExpireSessions
    | Report
    | Lease
    | Wake
    | SetMode
    | Compact
)


class Opened(NamedTuple):
    """A session as it is after its opening, with the attempts that it holds."""

    session: int
    epoch: int
    resumed: bool
    held: list[Assignment]

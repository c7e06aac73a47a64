"""The store: where operations live, and what every store promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from longshore.core.callers import Target
from longshore.core.changes import Change, Mode
from longshore.core.events import Event
from longshore.core.files import File
from longshore.core.filters import Filter
from longshore.core.installation import Contract, Queue, Registered, Schedule
from longshore.core.lanes import Lane, Session
from longshore.core.operations import Glance, Operation, Record
from longshore.core.orders import Order
from longshore.core.origins import Origin


class Applied(NamedTuple):
    """What a batch did."""

    outcomes: list[object]  #: Per change what its kind says, or the exception that refused it.
    events: list[Event]  #: Of these changes, in the order of their revisions, without a gap.
    #: Returns by number what was created, without documents; made when somebody asks for it.
    created: Callable[[], Mapping[int, Record]]
    revision: int  #: Of the newest event of the store.
    next_wake: int | None  #: Milliseconds since 1970; when a batch with `Wake` is due.
    time: int  #: When it was decided, by the clock of the store; milliseconds since 1970.
    #: What other servers have committed since the last time, in order, all before `events`.
    foreign: Sequence[Event] = ()
    #: Whether others have committed more than is told: `foreign` then has only those events
    #: that belong to no operation. Everything else is to be read anew.
    missed: bool = False

    @property
    def history(self) -> Sequence[Event]:
        """All events that it tells, in order."""
        return [*self.foreign, *self.events] if self.foreign else self.events


class Renewal(NamedTuple):
    """What a server learns when it says that it is alive."""

    time: int  #: By the clock of the store; milliseconds since 1970.
    others: int  #: Other servers that were heard of lately.
    silent: Sequence[tuple[int, int]]  #: Numbers and epochs of sessions that nobody renews.


class Query(NamedTuple):
    """Which operations to list. Expired operations are never listed."""

    tenant: str
    kind: int | None
    filter: Filter | None
    order: Order
    after: tuple[object, ...] | None  #: Keyset position: the last record's values of the order.
    limit: int
    parts: Sequence[int] = ()  #: Documents to read with each record; `STEPS` stands for all.
    reserved: bool = False  #: Whether operations in queues named `longshore.…` are listed.
    with_total: bool = False


class Page(NamedTuple):
    """One page, read in one snapshot."""

    records: list[Record]
    revision: int  #: Of the snapshot.
    after: tuple[object, ...] | None  #: Where the next page starts; None on the last.
    total: int | None  #: Exact, or None when not asked for or counting would take long.


class Replay(NamedTuple):
    """Which events to read again: after one revision and up to another."""

    tenant: str
    after: int
    until: int | None = None
    numbers: frozenset[int] | None = None  #: Of these operations only.
    kind: int | None = None  #: Of operations of this kind only.
    filter: Filter | None = None  #: Of operations that match; fields that do not change.
    kinds: frozenset[int] | None = None  #: Events of these kinds only.
    reserved: bool = False  #: Whether those in queues `longshore.…` are told without `numbers`.
    limit: int = 1_000
    origins: bool = False  #: Whether to tell who brought the events about.


class Events(NamedTuple):
    """Events in order; everything up to `revision` has been looked at."""

    events: list[Event]
    revision: int
    #: Per event, if they were asked for; None: the server did it by itself.
    origins: Sequence[Origin | None] = ()


class Catalog(NamedTuple):
    """The small state of the installation, read in one snapshot."""

    revision: int
    compacted: int  #: Watches after this revision can be served, from before it they cannot.
    mode: Mode
    resume_on_restart: bool
    services: Mapping[tuple[str, str], bytes]  #: Documents by tenant and slug.
    queues: Mapping[tuple[str, str], Queue]  #: By tenant and name: every one ever named.
    contracts: Mapping[tuple[str, str], Contract]  #: By tenant and name.
    schedules: Mapping[tuple[str, str], Schedule]  #: By tenant and name.
    sessions: Mapping[int, Session]
    lanes: Mapping[int, Lane]


class Counts(NamedTuple):
    """How many operations a tenant has, as lists show them; reserved queues are left out."""

    operations: Mapping[tuple[str, int, int], int]  #: By queue, kind and state.
    oldest: Mapping[str, int]  #: When the first to start was submitted, by queue.


class Channel(NamedTuple):
    """Which results of a channel to read, in the order in which their tasks ended."""

    tenant: str
    stream: str
    after: int  #: The revision of the end of the last one that is known.
    limit: int
    since: int = 0  #: Those that ended before are left out; milliseconds since 1970.
    newest: int = 0  #: So many of the newest are looked at, older ones left out; 0: all are.
    room: int | None = None  #: Bytes of their documents together; the first may have more.


class Standing(NamedTuple):
    """What an operation waits for. Holders are ids of its tenant's, the first few."""

    ahead: int  #: Waiting operations of its queue that start before it.
    queue_running: int  #: How many of its queue run, as its limit counts them.
    queue_holders: Sequence[bytes]
    key_running: int  #: How many with its concurrency key run.
    key_holders: Sequence[bytes]


class Attendance(NamedTuple):
    """What is known of a worker whose stream ends elsewhere; milliseconds since 1970."""

    running: int  #: Leases that its session holds.
    connect_time: int | None = None  #: When its latest stream began; None: unknown.
    heard_time: int | None = None  #: When a server last said that it is alive.


class Store(Protocol):
    """Where operations live.

    Every change to the store gets revisions greater than all before it, without a gap, in the
    order of commits. Whatever `apply` has answered survives the death of the process and of
    the machine. Every method may raise `StoreUnavailable`.

    Several servers may share a store. Then their batches are applied one after the other, each
    decided on what all before it have left, by the one clock of the store. A server hears of
    what others have committed from `apply` and `news`: of every event exactly once, in order,
    also of those that an `apply` whose outcome was unknown has committed after all. What a
    call has learned that then raises is told by the next one. `listen` only says when to ask.
    What is read may be newer than what was heard of, never older.
    """

    #: Whether it may be back after a `StoreUnavailable` without being opened again, in itself
    #: and with all that was committed; else whoever writes has to end.
    recovers: bool

    async def open(self) -> None:
        """Create or migrate the schema and take the store into use.

        Raises `StoreUnavailable` if another server has it, or if its schema is newer.
        """
        ...

    async def close(self) -> None:
        """Release everything; nothing that was applied is lost without it."""
        ...

    async def apply(self, changes: Sequence[Change]) -> Applied:
        """Decide the changes in order, write them in one transaction, and commit.

        A refused change has the `LongshoreError` as its outcome and leaves no trace. Any
        other exception, of a decision or of the write, fails the guilty change alone. Raises
        `StoreUnavailable` if nothing at all could be written, `OutcomeUnknown` if the commit
        was lost. Never called twice at once, nor while `news` runs.
        """
        ...

    async def news(self) -> Applied | None:
        """Return what others have committed since the last time, without changing anything.

        At most `NEWS_EVENTS` events at once: ask again until it is None, which says that
        everything has been told. Also the way to find out whether the store is back.
        """
        ...

    def listen(self, callback: Callable[[], None]) -> None:
        """Call back on the event loop, until `close`, when others may have committed.

        Called once, after `open`. It may be called back for nothing and a little late, never
        not at all. It must not block.
        """
        ...

    async def renew(self, live: Sequence[int], silent_ms: int) -> Renewal | None:
        """Say that this server is alive and so are the workers of these sessions.

        Opening a session, or taking it up, renews it as well. Returns what no server has
        renewed for so long, and how many others have renewed anything within that time; a
        server that has closed the store is gone at once. Nobody is silent after an outage of
        the store that was as long, until it has been back for as long. None: no other server
        can have the store at the same time, and no time is kept.
        """
        ...

    async def get(
        self, tenant: str, targets: Sequence[Target], parts: Sequence[int] = ()
    ) -> list[Record | None]:
        """Return records in the order asked for; None for what does not exist (any more)."""
        ...

    async def glance(self, tenant: str, targets: Sequence[Target]) -> list[Glance | None]:
        """Return how operations stand, otherwise as `get`; ten thousand take little time."""
        ...

    async def find(self, query: Query) -> Page:
        """Return one page of a list; it may be short, with `after` set, if it took long."""
        ...

    async def events(self, replay: Replay) -> Events:
        """Return events again, at most `limit`. Events without an operation are left out.

        Raises `RevisionCompacted` or `RevisionInFuture` if `numbers` is None or the revision
        is above the newest; the history of one operation is kept as long as it is.
        """
        ...

    async def catalog(self) -> Catalog:
        """Return the small state of the installation."""
        ...

    async def accounts(self, tenant: str, principal: str) -> Sequence[Registered]:
        """Return a principal's accounts, by service and username."""
        ...

    async def files(self, tenant: str, ids: Sequence[bytes], now: int) -> list[File | None]:
        """Return files in the order asked for; None for what is not there (any more).

        What has expired by `now`, in milliseconds since 1970, is there for as long as an
        operation that has not ended takes it.
        """
        ...

    async def channel(self, asked: Channel) -> Sequence[tuple[int, int]]:
        """Return revision and number of ends whose results were not acknowledged."""
        ...

    async def counts(self, tenant: str) -> Counts:
        """Return how many operations there are; expired ones are left out."""
        ...

    async def standing(self, operation: Operation, most: int) -> Standing:
        """Return what an operation waits for, counting those before it to `most`."""
        ...

    async def warnings(self) -> Sequence[str]:
        """Return what makes the store slower and slower, in sentences for who runs it."""
        ...

    async def attendance(self, sessions: Sequence[int]) -> Mapping[int, Attendance]:
        """Return by number what is known of sessions. Who is alone keeps no times."""
        ...

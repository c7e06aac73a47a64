"""What everybody saw of a time of troubles, as plain data for those who judge it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from longshore.v1.operation_pb2 import Event


class Submitted(NamedTuple):
    """One answer to a submit."""

    request_id: str
    operation_id: str
    number: int
    created: bool
    content: bytes  #: What never changes of the operation.


class Canceled(NamedTuple):
    """One answer to a cancel."""

    operation_id: str


class Assigned(NamedTuple):
    """One assignment that reached a worker."""

    worker: str
    operation_id: str
    number: int
    token: int  #: The revision of the event of its lease.
    attempt: int


class Settled(NamedTuple):
    """One acknowledgement of a worker's last report on a lease."""

    worker: str
    number: int
    token: int
    completed: bool  #: Whether it was reported as done; else as failed or stopped.
    refusal: str  #: Why the report changed nothing; empty: it is settled.


class Executed(NamedTuple):
    """One beginning of work."""

    worker: str
    operation_id: str
    attempt: int


class Sighting(NamedTuple):
    """One event as a watcher was told of it."""

    revision: int
    operation_id: str
    detail: str
    state: int


class Watched(NamedTuple):
    """All that one watcher was told, from the beginning on."""

    name: str
    colour: str  #: The label that it asked for; empty: everything.
    sightings: Sequence[Sighting]


class Kept(NamedTuple):
    """One operation as it is listed in the end."""

    operation_id: str
    number: int
    request_id: str
    colour: str
    state: int
    attempt: int
    not_before: int  #: Milliseconds since 1970; 0: at once.


class Span(NamedTuple):
    """A time, in milliseconds since 1970 by the clock of the tests."""

    begin: int
    end: int


class History(NamedTuple):
    """Everything together. `log` is read when all is over, `revisions` from the disk."""

    submits: Sequence[Submitted]
    cancels: Sequence[Canceled]
    assignments: Sequence[Assigned]
    settlements: Sequence[Settled]
    executions: Sequence[Executed]
    watches: Sequence[Watched]
    log: Sequence[Event]
    operations: Sequence[Kept]
    revisions: Sequence[tuple[int, bool]]  #: Of all events; whether they are an operation's.
    span: Span


def sighting(event: Event) -> Sighting:
    return Sighting(
        event.revision, event.operation_id, event.WhichOneof("detail") or "", event.state
    )

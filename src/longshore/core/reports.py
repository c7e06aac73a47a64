"""Reports: what a worker is given to do, and what it says of it."""

from __future__ import annotations

import enum
from typing import NamedTuple, TypeAlias

from longshore.core.callers import Caller
from longshore.core.failures import Failure
from longshore.core.operations import Operation


class Completed(NamedTuple):
    """The action is done; results are an encoded document."""

    results: bytes


class Failed(NamedTuple):
    """The action failed. Permanent failures are not retried."""

    failure: Failure
    permanent: bool
    wait: int = 0  #: Milliseconds that the next attempt waits at least.
    bare: bool = False  #: Whether the worker gave no reason for programs.


class Progressed(NamedTuple):
    """How far the action is, as the JSON of an event's detail."""

    detail: str


class LogKind(enum.IntEnum):
    """The kind of a log entry."""

    PROGRESS = 1
    OUTPUT = 2
    WARNING = 3
    ERROR = 4


class Logged(NamedTuple):
    """One line of the action's log."""

    kind: int
    message: str


class PropertySet(NamedTuple):
    """A status property set by the action."""

    name: str
    value: str


class Released(NamedTuple):
    """The attempt was handed back before it began; it does not count."""


class Stopped(NamedTuple):
    """The worker has obeyed a stop order."""


Body: TypeAlias = Completed | Failed | Progressed | Logged | PropertySet | Released | Stopped


class Report(NamedTuple):
    """What a worker says under a lease. Outcome: `Reported`.

    Raises `SessionTakenOver`, `LeaseLost`. Applied once, however often it is sent.
    """

    caller: Caller
    session: int
    epoch: int
    number: int
    token: int
    sequence: int  #: From 1, per lease.
    body: Body


class Reported(NamedTuple):
    """Whether the lease is over, and the plan's next action under it if it is not."""

    ended: bool
    next: Assignment | None = None


class Assignment(NamedTuple):
    """One action to be run under a lease."""

    session: int
    operation: Operation
    traceparent: str | None
    service: str
    action: str
    arguments: bytes

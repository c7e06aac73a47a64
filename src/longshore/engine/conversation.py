"""What a worker and this server say to each other over a stream."""

from __future__ import annotations

import enum
from typing import NamedTuple

from longshore.core.callers import Caller
from longshore.core.changes import Publication
from longshore.core.errors import LongshoreError
from longshore.core.reports import Assignment, Body


class HeldLease(NamedTuple):
    """A lease that a worker says it holds."""

    number: int
    token: int


class Hello(NamedTuple):
    """How a worker introduces itself. `secret` of a session to take up, else a new one."""

    caller: Caller
    secret: bytes
    worker: str
    queues: tuple[str, ...]
    offers: tuple[str, ...]
    slots: int
    services: tuple[Publication, ...]
    leases: tuple[HeldLease, ...] = ()
    draining: bool = False  #: Whether it wants no more work.


class StopReason(enum.IntEnum):
    """Why a worker is to stop an attempt."""

    CANCEL_REQUESTED = 1
    LEASE_LOST = 2
    TIMED_OUT = 3


class Stop(NamedTuple):
    """An order to stop one attempt."""

    number: int
    token: int
    reason: StopReason
    message: str = ""  #: Why, for people.


class Acknowledgement(NamedTuple):
    """All reports of a lease up to a sequence are settled; `error` says why one was refused."""

    number: int
    token: int
    sequence: int
    error: LongshoreError | None


class WorkerReport(NamedTuple):
    """One report as it came from the stream."""

    number: int
    token: int
    sequence: int
    body: Body


class Outgoing(NamedTuple):
    """What a worker is to be told now. `end`: it is to reconnect, to any server."""

    assignments: list[Assignment]
    stops: list[Stop]
    acknowledgements: list[Acknowledgement]
    end: bool

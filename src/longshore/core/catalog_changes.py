"""Changes to what work is asked of: queues, contracts, schedules and accounts."""

from __future__ import annotations

from typing import NamedTuple

from longshore.core.callers import Account, Caller


class UpdateQueue(NamedTuple):
    """Make, pause, resume or limit a queue; what is None stays as it is. Outcome: `Queue`."""

    caller: Caller
    queue: str
    paused: bool | None = None
    limit: int | None = None  #: Of what runs at once; 0: none.


class ApplyContract(NamedTuple):
    """Make or change a contract. Outcome: `Contract`, with the revisions of its templates."""

    caller: Caller
    name: str
    document: bytes
    templates: tuple[tuple[str, bytes], ...]  #: Action and digest of its template.
    queues: tuple[str, ...] = ()


class DeleteContract(NamedTuple):
    """Forget a contract; its jobs go on. Outcome: None. Raises `ContractNotFound`."""

    caller: Caller
    name: str


class ApplySchedule(NamedTuple):
    """Make or change a schedule; the same document again changes nothing.

    Outcome: `Schedule`.
    """

    caller: Caller
    name: str
    document: bytes
    next_time: int | None  #: Milliseconds since 1970; None: paused, or never again.


class DeleteSchedule(NamedTuple):
    """Forget a schedule. Outcome: None. Raises `ScheduleNotFound`."""

    caller: Caller
    name: str


class RegisterAccount(NamedTuple):
    """Register an account of the caller's. Outcome: its time. Raises `AccountExists`."""

    caller: Caller
    account: Account


class DeregisterAccount(NamedTuple):
    """Forget an account of the caller's. Outcome: None. Raises `AccountNotFound`."""

    caller: Caller
    account: Account

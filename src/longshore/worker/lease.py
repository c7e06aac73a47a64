"""Leases: what the worker holds of one attempt, and what it still has to say about it."""

from __future__ import annotations

import enum
from typing import Any, Final

from grpc import StatusCode

from longshore.v1.worker_service_pb2 import (
    ActionCompleted,
    ActionFailed,
    ActionReleased,
    ActionStopped,
    Report,
    StopReason,
)
from longshore.worker.failures import Failure, fail
from longshore.worker.results import Outcome


class Stop(enum.IntEnum):
    """Why work is to end before its time, from the lightest to the gravest."""

    LEAVING = 1  #: The worker is about to leave; another is to try again.
    CANCELED = 2  #: Somebody asked; a result that comes all the same counts.
    LOST = 3  #: The attempt is no longer this worker's; nothing that comes of it counts.


_STOPPED: Final = ActionStopped()
_RELEASED: Final = ActionReleased()
_LEFT: Final = fail(
    StatusCode.UNAVAILABLE,
    "the worker was stopped before the work was done",
    "WORKER_STOPPED",
    {},
)

ORDERED: Final = {
    StopReason.STOP_REASON_CANCEL_REQUESTED: Stop.CANCELED,
    StopReason.STOP_REASON_LEASE_LOST: Stop.LOST,
    StopReason.STOP_REASON_TIMED_OUT: Stop.LOST,
}


class Lease:
    """One attempt of an operation. Its token is unique among all leases of all time."""

    __slots__ = ("logs", "number", "over", "sequence", "step", "stop", "token", "unsettled")

    def __init__(self, number: int, token: int) -> None:
        self.number = number
        self.token = token
        self.step = -1  #: The step that was begun last.
        self.over = True  #: Whether the outcome of that step has been reported.
        self.sequence = 0  #: The number of the latest report.
        self.unsettled: list[Report] = []  #: Reports that the server has not acknowledged.
        self.stop: Stop | None = None
        self.logs = 0

    def report(self, **detail: Any) -> Report:
        """Number a report, and keep it until it is settled."""
        self.sequence += 1
        report = Report(
            number=self.number, lease_token=self.token, sequence=self.sequence, **detail
        )
        self.unsettled.append(report)
        return report

    def settle(self, sequence: int) -> None:
        """Forget the reports up to a number."""
        if sequence >= self.sequence:
            self.unsettled.clear()
        else:
            self.unsettled = [one for one in self.unsettled if one.sequence > sequence]


def released() -> dict[str, Any]:
    """Return the detail of a report that hands an action back."""
    return {"released": _RELEASED}


def stopped() -> dict[str, Any]:
    """Return the detail of a report that obeys a stop order."""
    return {"stopped": _STOPPED}


def verdict(stop: Stop | None, outcome: Outcome) -> dict[str, Any]:
    """Return the detail of the report that ends a step, given what was ordered meanwhile."""
    if stop is Stop.LOST or (stop is Stop.CANCELED and isinstance(outcome, Failure)):
        return stopped()
    if isinstance(outcome, Failure):
        outcome = _LEFT if stop is Stop.LEAVING else outcome
        return {"failed": ActionFailed(error=outcome.error, permanent=outcome.permanent)}
    return {"completed": ActionCompleted(results=outcome)}

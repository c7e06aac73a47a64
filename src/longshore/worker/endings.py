"""Endings: what becomes of calls that gave no outcome of their own."""

from __future__ import annotations

import socket
from concurrent.futures import BrokenExecutor, CancelledError, Future

from grpc import StatusCode

from longshore.v1.worker_service_pb2 import WorkAssignment
from longshore.worker.failures import Failure, fail, failure_of
from longshore.worker.results import Outcome


def outcome_elsewhere(action: str, future: Future[Outcome]) -> Outcome:
    """Return what came of a call elsewhere."""
    try:
        return future.result()
    except CancelledError:
        return cancelled(action)
    except BrokenExecutor as error:
        return _broken(action, error)
    except Exception as error:  # noqa: BLE001  # what cannot be pickled, for one
        return failure_of(error, action)


def cancelled(action: str) -> Failure:
    return fail(StatusCode.CANCELLED, f"action {action!r} was stopped", "ACTION_FAILED", {})


def lost(action: str) -> Failure:
    message = f"the process that ran action {action!r} was lost, or cut off"
    return fail(StatusCode.UNAVAILABLE, message, "ACTION_FAILED", {"action": action})


def unreachable(action: str, host: str, error: OSError) -> Failure:
    message = (
        f"{socket.gethostname()} was given action {action!r} but does not reach its worker at "
        f"{host}: {error}; the worker's `reachable_at` says where that is"
    )
    return fail(StatusCode.UNAVAILABLE, message, "ACTION_FAILED", {"action": action})


def unloadable(action: str, error: Exception) -> Failure:
    message = f"{socket.gethostname()} cannot load action {action!r}: {error}"
    return fail(
        StatusCode.FAILED_PRECONDITION,
        message,
        "ACTION_FAILED",
        {"action": action, "type": type(error).__name__},
    )


def unknown(assignment: WorkAssignment) -> Failure:
    names = {"action": assignment.action, "service": assignment.service}
    message = f"this worker offers no action {assignment.action!r}"
    return fail(StatusCode.NOT_FOUND, message, "ACTION_NOT_FOUND", names)


def _broken(action: str, error: BrokenExecutor) -> Failure:
    return fail(
        StatusCode.UNAVAILABLE,
        f"the pool of processes broke while action {action!r} ran: {error}",
        "ACTION_FAILED",
        {"action": action, "type": type(error).__name__},
    )

"""Shapes: what the contract shows of tasks and of the server, made of what Longshore knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final
from urllib.parse import quote

from google.protobuf.message import Message

from longshore.client.errors import read_failure
from longshore.gateway.vitam.errors import TYPE, body_of, of_work
from longshore.v1.operation_pb2 import State, Status
from longshore.v1.server_service_pb2 import GetStatusResponse, ServerStatus
from longshore.v1.task_service_pb2 import Task

#: The state of execution.
_STATES: Final = {
    State.STATE_SUSPENDED: "pending",
    State.STATE_QUEUED: "pending",
    State.STATE_RUNNING: "running",
    State.STATE_SUCCEEDED: "done",
    State.STATE_FAILED: "failed",
    State.STATE_CANCELED: "canceled",
}

_ENDED: Final = (State.STATE_SUCCEEDED, State.STATE_FAILED, State.STATE_CANCELED)

_SERVER: Final = {
    ServerStatus.SERVER_STATUS_ACTIVE: "Active",
    ServerStatus.SERVER_STATUS_INACTIVE: "Inactive",
    ServerStatus.SERVER_STATUS_SHUTDOWN_IN_PROGRESS: "ShutdownInProgress",
    ServerStatus.SERVER_STATUS_UNREACHABLE: "Unreachable",
}


def async_status(task: Task, base: str) -> dict[str, Any]:
    """Return the async status of a task; what is unset is left out.

    `base` is the URL under which the contract's paths stand, without a last slash.
    """
    status = task.status
    failed = status.state == State.STATE_FAILED and status.HasField("error")
    shown = {
        "id": task.metadata.id,
        "type": TYPE,
        "state": _STATES[status.state],
        "task_status": task_status(status),
        "start_date": _date(status, "start_time"),
        "end_date": _date(status, "end_time"),
        "expiration_date": _date(status, "expire_time"),
        "result_link": f"{task_link(task, base)}/result" if _has_result(status) else None,
        "error": body_of(of_work(read_failure(status.error))) if failed else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def task_status(status: Status) -> str:
    """Return what its client wants of a task: to hold it, to go on, or to give it up."""
    if status.state == State.STATE_SUSPENDED:
        return "pending"
    given_up = status.state == State.STATE_RUNNING and status.cancel_requested
    return "cancel" if given_up or status.state == State.STATE_CANCELED else "commit"


def has_ended(status: Status) -> bool:
    return status.state in _ENDED


def task_link(task: Task, base: str) -> str:
    """Return the URL of a task."""
    return f"{base}/tasks/{task.metadata.id}"


def callback_uri(uri: str, task: Task) -> str:
    """Return where a callback goes: `{id}` and `{status}` are those of its task.

    The status is the `state` that the async status shows.
    """
    for name, value in (("id", task.metadata.id), ("status", _STATES[task.status.state])):
        uri = uri.replace(f"{{{name}}}", quote(value, safe=""))
    return uri


def collection_list(
    ids: Sequence[str],
    *,
    query: str,
    total: int,
    offset: int,
    limit: int,
    time_out: bool,
    following: str | None,
) -> dict[str, Any]:
    """Return a part of a list of tasks; `following` gets the next one."""
    hits: dict[str, Any] = {
        "total": total,
        "size": len(ids),
        "offset": offset,
        "limit": limit,
        "time_out": time_out,
    }
    if following is not None:
        hits["next"] = following
    return {"hits": hits, "context": {"query": query}, "results": list(ids)}


def service_status(told: GetStatusResponse) -> dict[str, Any]:
    """Return how the service is."""
    return {
        "id": told.id,
        "service": told.service,
        "startDate": _date(told, "start_time"),
        "status": _SERVER.get(told.status, "Inactive"),
    }


def _has_result(status: Status) -> bool:
    """Whether a result can be fetched: there is one until its consumer has acknowledged it."""
    consumed = status.delivery.HasField("retrieve_time")
    return status.state == State.STATE_SUCCEEDED and not consumed


def _date(message: Message, field: str) -> str | None:
    """Return a time in milliseconds as the contract writes it; None if it is unset."""
    if not message.HasField(field):
        return None
    time = getattr(message, field).ToDatetime(tzinfo=UTC)
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"

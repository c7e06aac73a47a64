"""Instructions: what a client may tell a task that it has submitted, and whom it means."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from longshore.client import FailedPrecondition, NotFound, Relayed
from longshore.gateway.dialects import is_id
from longshore.gateway.vitam.errors import Absent, Conflict, NotMet
from longshore.gateway.vitam.query import request_filter
from longshore.gateway.vitam.shapes import has_ended, task_status
from longshore.v1.operation_pb2 import View
from longshore.v1.task_service_pb2 import (
    GetTaskRequest,
    GetTaskResponse,
    ListTasksRequest,
    ListTasksResponse,
    Task,
)

_STATUSES: Final = ("cancel", "commit", "pending")

#: The generic object, with which the contract has a client cancel.
_GENERIC: Final = {
    "X-RequestId": str,
    "code": int,
    "vitamCode": int,
    "timestamp": str,
    "message": str,
}
_WHICH: Final = ("id", "id_async")

_LONGEST_REQUEST_ID: Final = 64  #: Characters of those that can be submitted with.


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is to become of a task."""

    task_status: str  #: To give it up (cancel), let it go on (commit) or hold it (pending).
    message: str  #: Why, for people.


def instruction_of(body: Mapping[str, Any]) -> Instruction:
    """Return what a body tells to do. Raises `NotMet` if it tells nothing.

    It has a `task_status`, or is such an object as the contract shows, which cancels.
    """
    message = body.get("message")
    message = message if isinstance(message, str) else ""
    if "task_status" not in body:
        if not _is_generic(body):
            raise NotMet(f"one of {', '.join(_STATUSES)} is needed", "task_status")
        return Instruction("cancel", message)
    if body["task_status"] not in _STATUSES:
        raise NotMet(f"expected one of {', '.join(_STATUSES)}", "task_status")
    if body.get("callback") is not None:
        raise NotMet("a callback is given when the task is submitted", "callback")
    return Instruction(body["task_status"], message)


async def found(task_id: str, asker: Relayed) -> Task:
    """Return a task by its id. Raises `Absent` and `CallError`."""
    if not is_id(task_id):
        raise Absent(f"no task {task_id[:64]!r}")
    request = GetTaskRequest(id=task_id, view=View.VIEW_BASIC)
    return (await asker.ask(request, GetTaskResponse)).task


async def meant(body: Mapping[str, Any], asker: Relayed) -> Task:
    """Return the one task that a body names, by its id or the id of a request.

    Raises `Absent`, `Conflict`, `NotMet` and `CallError`.
    """
    ids = _named(body)
    if len(ids) > 1:
        raise NotMet("id and id_async name different tasks", "id")
    if ids:
        return await found(ids.pop(), asker)
    request_id = _text(body, "X-RequestId")
    if not request_id:
        raise NotMet("one of id, id_async and X-RequestId is needed", "id")
    with suppress(Absent, NotFound):
        return await found(request_id, asker)
    return await _submitted_by(request_id, asker)


def named(body: Mapping[str, Any], task_id: str) -> str:
    """Return the id of a task that a path names. Raises `NotMet` if a body names another one."""
    if any(one.lower() != task_id.lower() for one in _named(body)):
        raise NotMet("the path names another task", "id")
    return task_id


async def followed(task: Task, instruction: Instruction, asker: Relayed) -> Task:
    """Return a task that has been told what to do; it may do so already.

    Raises `FailedPrecondition` if it has ended, or can do so no more.
    """
    task_id = task.metadata.id
    try:
        match instruction.task_status:
            case "cancel":
                handle = await asker.tasks.cancel(task_id, instruction.message)
            case "commit":
                handle = await asker.tasks.resume(task_id)
            case _:
                handle = await asker.tasks.suspend(task_id)
    except FailedPrecondition:
        task = await found(task_id, asker)
        if has_ended(task.status) or task_status(task.status) != instruction.task_status:
            raise
        return task
    return handle.message


async def _submitted_by(request_id: str, asker: Relayed) -> Task:
    """Return the one task that was submitted by a request. Raises `Absent`, `Conflict`."""
    if len(request_id) > _LONGEST_REQUEST_ID:
        raise Absent("no task was submitted by this request", "X-RequestId")
    request = ListTasksRequest(filter=request_filter(request_id), page_size=2)
    tasks: list[Task] = []
    while True:
        answer = await asker.ask(request, ListTasksResponse)
        tasks += answer.tasks
        request.page_token = answer.next_page_token
        if len(tasks) > 1:
            raise Conflict("several tasks were submitted by this request", "X-RequestId")
        if not request.page_token:
            break
    if not tasks:
        raise Absent("no task was submitted by this request", "X-RequestId")
    return tasks[0]


def _named(body: Mapping[str, Any]) -> set[str]:
    return {_text(body, name) for name in _WHICH if body.get(name) is not None}


def _is_generic(body: Mapping[str, Any]) -> bool:
    members: dict[str, object] = {
        name: type(value) for name, value in body.items() if name not in _WHICH
    }
    return members == _GENERIC


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise NotMet("expected a string", name)
    return value or ""

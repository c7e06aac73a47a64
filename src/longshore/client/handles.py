"""A handle on a task: what is known of it, and what can be done with it."""

from __future__ import annotations

import asyncio
from typing import Any

from longshore.client.errors import TaskCanceled, TaskFailed, WorkError
from longshore.client.tasks import Tasks
from longshore.client.values import from_struct
from longshore.client.watching import Watch
from longshore.v1.operation_pb2 import (
    STATE_CANCELED,
    STATE_FAILED,
    STATE_SUCCEEDED,
    Progress,
    State,
    Status,
)
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    ResubmitTaskRequest,
    ResumeTaskRequest,
    SuspendTaskRequest,
    Task,
    TaskChange,
    WatchTasksRequest,
)

_ENDED = frozenset({STATE_SUCCEEDED, STATE_FAILED, STATE_CANCELED})


class TaskHandle:
    """One task of a server. `task` is the task as a method of the handle last saw it."""

    def __init__(self, tasks: Tasks, task: Task, *, created: bool = False) -> None:
        self._tasks = tasks
        self.task = task
        #: Whether the submit that gave this handle made the task.
        self.created = created

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id} {self.state}>"

    @property
    def id(self) -> str:
        return self.task.metadata.id

    @property
    def number(self) -> int:
        """A short number for people; it stands for the id wherever one is taken."""
        return self.task.metadata.number

    @property
    def state(self) -> str:
        """The state when it was last seen: QUEUED, RUNNING, SUCCEEDED, …"""
        return state_name(self.task.status.state)

    @property
    def ended(self) -> bool:
        return has_ended(self.task)

    @property
    def progress(self) -> Progress:
        return self.task.status.progress

    @property
    def error(self) -> WorkError | None:
        """Why the work did not succeed; None if it did, or may still."""
        return work_error(self.task)

    async def status(self) -> Status:
        """Ask how the task stands now."""
        self.task = await self._tasks.get(self.id)
        return self.task.status

    async def result(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - asked for where one waits
    ) -> dict[str, Any]:
        """Wait for the end and return the result, through any number of lost connections.

        Raises `TaskFailed` or `TaskCanceled` if the work did not succeed, and `TimeoutError`
        if it takes more than `timeout` seconds (None: as long as it takes).
        """
        async with asyncio.timeout(timeout):
            async with self.watch() as changes:
                async for change in changes:
                    if change.HasField("task"):
                        self.task = change.task
        return result_of(self.task)

    def watch(self, *, include_logs: bool = False) -> Watch[TaskChange]:
        """Watch the task, from how it stands now to its end."""
        request = WatchTasksRequest(ids=[self.id], include_logs=include_logs)
        return self._tasks.watch(request, patient=True)

    async def cancel(self, message: str = "", *, force: bool = False) -> None:
        """Ask to cancel the task; with `force` its attempt is ended at once."""
        request = CancelTaskRequest(id=self.id, message=message, force=force)
        self.task = await self._tasks.cancel(request)

    async def suspend(self) -> None:
        """Hold the task, which must be QUEUED."""
        self.task = await self._tasks.suspend(SuspendTaskRequest(id=self.id))

    async def resume(self) -> None:
        """Let the task go on, which must be SUSPENDED."""
        self.task = await self._tasks.resume(ResumeTaskRequest(id=self.id))

    async def resubmit(self, *, from_failed: bool = False) -> TaskHandle:
        """Run what has ended once more, as a new task."""
        request = ResubmitTaskRequest(id=self.id, from_failed=from_failed)
        return TaskHandle(self._tasks, await self._tasks.resubmit(request), created=True)


def state_name(state: State.ValueType) -> str:
    """Return a state as people write it: `QUEUED`."""
    return State.Name(state).removeprefix("STATE_")


def has_ended(task: Task) -> bool:
    return task.status.state in _ENDED


def work_error(task: Task) -> WorkError | None:
    """Return why the work did not succeed; None if it did, or may still."""
    match task.status.state:
        case State.STATE_FAILED:
            return TaskFailed(task)
        case State.STATE_CANCELED:
            return TaskCanceled(task)
        case _:
            return None


def result_of(task: Task) -> dict[str, Any]:
    """Return the result of a task that has ended, or raise why there is none."""
    error = work_error(task)
    if error:
        raise error
    return from_struct(task.status.result)

"""Handles on operations: what is known of one, and what can be done with it."""

from __future__ import annotations

import asyncio
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Self, cast

from google.protobuf.struct_pb2 import Struct

from longshore.client.acknowledging import acknowledge
from longshore.client.calls import Calls
from longshore.client.connection import retrying
from longshore.client.downloads import save_all
from longshore.client.errors import WorkCanceled, WorkError, WorkFailed
from longshore.client.fetching import fetched
from longshore.client.kinds import C, O, Operation, shown
from longshore.client.reopening import is_broken
from longshore.client.uploads import Tell
from longshore.client.values import from_struct
from longshore.client.watching import Watch
from longshore.v1.job_service_pb2 import Job, JobChange
from longshore.v1.launch_service_pb2 import Launch, LaunchChange
from longshore.v1.operation_pb2 import (
    DELIVERY_MODE_CHANNEL,
    DELIVERY_MODE_STORE,
    STATE_CANCELED,
    STATE_FAILED,
    STATE_SUCCEEDED,
    File,
    Progress,
    State,
    Status,
)
from longshore.v1.task_service_pb2 import Task, TaskChange

_ENDED = frozenset({STATE_SUCCEEDED, STATE_FAILED, STATE_CANCELED})
_DELIVERED = frozenset({DELIVERY_MODE_STORE, DELIVERY_MODE_CHANNEL})


class Handle(Generic[O, C]):
    """One operation of a server."""

    #: The operation as a method of the handle last saw it: a `Task`, a `Job` or a `Launch`.
    message: O

    #: Whether the submit that gave this handle made the operation.
    created: bool

    def __init__(self, calls: Calls[O, C], message: O, *, created: bool = False) -> None:
        self._calls = calls
        self.message = message
        self.created = created

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state}>"

    @property
    def id(self) -> str:
        return self.message.metadata.id

    @property
    def number(self) -> int:
        """A short number for people; it stands for the id wherever one is taken."""
        return self.message.metadata.number

    @property
    def state(self) -> str:
        """The state when it was last seen: QUEUED, RUNNING, SUCCEEDED, …"""
        return state_name(self.message.status.state)

    @property
    def ended(self) -> bool:
        return has_ended(self.message)

    @property
    def progress(self) -> Progress:
        return self.message.status.progress

    @property
    def error(self) -> WorkError | None:
        """Why the work did not succeed; None if it did, or may still."""
        return work_error(self.message)

    async def status(self) -> Status:
        """Ask how the operation stands now."""
        self.message = await self._calls.one(self._calls.kind.get(id=self.id))
        return self.message.status

    async def result(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - asked for where one waits
    ) -> dict[str, Any]:
        """Wait for the end and return the result, through any number of lost connections.

        Raises `WorkFailed` or `WorkCanceled` if the work did not succeed, and `TimeoutError`
        if it takes more than `timeout` seconds (None: as long as it takes).
        """
        async with asyncio.timeout(timeout):
            async with self.watch() as changes:
                async for change in changes:
                    self.message = cast("O", shown(change) or self.message)
            return await self._result()

    async def files(self) -> list[File]:
        """Ask which files the operation has made so far."""
        return list((await self.status()).files)

    async def download(
        self, folder: str | PathLike[str], *, told: Tell | None = None
    ) -> list[Path]:
        """Download all files that the operation has made, and return where they are.

        Each is written below the folder under its path there, in the place of any other, as a
        whole or not at all. `told` is called with the number of bytes of all files together
        that have arrived. Raises `UnsafePath`, before anything is written, if a path is none,
        `Damaged` if what arrived is not what was stored, and `OSError`.
        """
        return await save_all(self._calls.connection, await self.files(), Path(folder), told)

    def watch(self, *, include_logs: bool = False) -> Watch[C]:
        """Watch the operation, from how it stands now to its end."""
        request = self._calls.kind.watch(ids=[self.id], include_logs=include_logs)
        return self._calls.watch(request, patient=True)

    async def cancel(self, message: str = "", *, force: bool = False) -> None:
        """Ask to cancel the operation; with `force` its attempt is ended at once."""
        request = self._calls.kind.cancel(id=self.id, message=message, force=force)
        self.message = await self._calls.one(request)

    async def suspend(self) -> None:
        """Hold the operation, which must be QUEUED."""
        self.message = await self._calls.one(self._calls.kind.suspend(id=self.id))

    async def resume(self) -> None:
        """Let the operation go on, which must be SUSPENDED."""
        self.message = await self._calls.one(self._calls.kind.resume(id=self.id))

    async def resubmit(self, *, from_failed: bool = False) -> Self:
        """Run what has ended once more, as a new operation."""
        request = self._calls.kind.resubmit(id=self.id, from_failed=from_failed)
        return type(self)(self._calls, await self._calls.one(request), created=True)

    async def _result(self) -> dict[str, Any]:
        """Return the result of what has ended, or raise why there is none."""
        return result_of(self.message)


class TaskHandle(Handle[Task, TaskChange]):
    """One task of a server.

    `result` of a task with a delivery fetches the result and acknowledges it, which removes it:
    further results are asked of this handle only. It is not acknowledged if the task has made
    files, as those would be removed as well: `tasks.acknowledge` does it when they are here.
    """

    _fetched: Struct | None = None

    async def _result(self) -> dict[str, Any]:
        status = self.message.status
        if status.state != STATE_SUCCEEDED or status.delivery.mode not in _DELIVERED:
            return await super()._result()
        if self._fetched is None:
            self._fetched = await self._fetch()
        return from_struct(self._fetched)

    async def _fetch(self) -> Struct:
        """Fetch the result, and acknowledge it, through any number of lost connections."""
        connection = self._calls.connection
        found: Struct = await retrying(is_broken, None)(fetched, connection, self.id)
        if not self.message.status.files:
            await retrying(is_broken, None)(acknowledge, connection, [self.id])
        return found


class JobHandle(Handle[Job, JobChange]):
    """One job of a server."""


class LaunchHandle(Handle[Launch, LaunchChange]):
    """One launch of a server."""


def state_name(state: State.ValueType) -> str:
    """Return a state as people write it: `QUEUED`."""
    return State.Name(state).removeprefix("STATE_")


def has_ended(operation: Operation) -> bool:
    return operation.status.state in _ENDED


def work_error(operation: Operation) -> WorkError | None:
    """Return why the work did not succeed; None if it did, or may still."""
    match operation.status.state:
        case State.STATE_FAILED:
            return WorkFailed(operation)
        case State.STATE_CANCELED:
            return WorkCanceled(operation)
        case _:
            return None


def result_of(operation: Operation) -> dict[str, Any]:
    """Return the result of what has ended, or raise why there is none."""
    error = work_error(operation)
    if error:
        raise error
    return from_struct(operation.status.result)

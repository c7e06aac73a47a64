"""Tasks: actions that the caller names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Unpack

from longshore.client.acknowledging import acknowledge
from longshore.client.channels import Results
from longshore.client.connection import Connection
from longshore.client.errors import CallError, call_error
from longshore.client.fetching import Fetching
from longshore.client.handles import TaskHandle
from longshore.client.kinds import TASK
from longshore.client.requests import TaskFields, task
from longshore.client.rooms import Room
from longshore.client.watching import Watch
from longshore.v1.task_service_pb2 import (
    BatchGetTasksRequest,
    BatchGetTasksResponse,
    BatchSubmitTasksRequest,
    BatchSubmitTasksResponse,
    BatchSubmitTasksResult,
    SubmitTaskRequest,
    Task,
    TaskChange,
)

_BATCH_ITEMS: Final = 1_000

#: Of the 4 MiB of a message; the answer repeats what was asked and adds to it.
_BATCH_BYTES: Final = 2 * 1024 * 1024


class Tasks(Room[Task, TaskChange, TaskHandle]):
    """Actions that the caller names."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, TASK, TaskHandle)

    async def submit(
        self,
        action: str | SubmitTaskRequest = "",
        arguments: Mapping[str, Any] | None = None,
        **fields: Unpack[TaskFields],
    ) -> TaskHandle:
        """Submit a task: one action with its arguments, a `plan` of calls, or a request that
        `task` made of these.

        When this returns, the task is on the server's disk.
        """
        return await self._submit(_request(action, arguments, fields))

    async def submit_many(
        self, requests: Iterable[SubmitTaskRequest]
    ) -> Sequence[TaskHandle | CallError]:
        """Submit any number of tasks, as `task(…)` returns them, in as few calls as possible.

        The answer has one outcome for each, in their order: its handle, or why it was refused.
        """
        return [
            self._outcome(result)
            for chunk in _chunks(requests)
            for result in await self._submit_batch(chunk)
        ]

    async def get_many(self, ids: Sequence[str]) -> Sequence[TaskHandle]:
        """Look up how up to 10,000 tasks stand, in one call and the order of their ids.

        What is unknown is left out, and so is what may be long: payload, progress, results.
        """
        request = BatchGetTasksRequest(ids=ids)
        answer = await self._calls.connection.ask(request, BatchGetTasksResponse)
        return [TaskHandle(self._calls, one) for one in answer.tasks]

    def run(
        self,
        action: str | SubmitTaskRequest = "",
        arguments: Mapping[str, Any] | None = None,
        *,
        include_logs: bool = False,
        **fields: Unpack[TaskFields],
    ) -> Watch[TaskChange]:
        """Submit a task, as `submit` does, and watch it to its end.

        The first change shows the task. `result_of` reads the last one's.
        """
        request = _request(action, arguments, fields)
        return self._calls.run(request, include_logs=include_logs)

    def fetch(
        self,
        id: str,  # noqa: A002 - the contract's word
        *,
        acknowledge: bool = True,
    ) -> Fetching:
        """Fetch the result of a task that has ended: JSON, or the file that it made, of several
        a zip.

        If the task has a delivery, the result is acknowledged when all of it has been handed
        out or saved. That removes it, with the files that the task has made.
        """
        return Fetching(self._calls.connection, id, acknowledge=acknowledge)

    async def acknowledge(self, *ids: str) -> None:
        """Acknowledge the results of up to 10,000 tasks, all or none: they are removed.

        Repeating it changes nothing, so while no server is available it is repeated.
        """
        await acknowledge(self._calls.connection, ids)

    def results(
        self,
        stream: str = "",
        *,
        after_revision: int | None = None,
        acknowledge: bool = True,
    ) -> Results:
        """Listen to a channel, by default the caller's own, in place of whoever did so.

        First comes what has not been acknowledged or, with an `after_revision`, what follows
        it. Unless `acknowledge`, results stay, to be acknowledged by hand.
        """
        return Results(self._calls.connection, stream, after_revision, acknowledge=acknowledge)

    async def _submit_batch(
        self, requests: Sequence[SubmitTaskRequest]
    ) -> Sequence[BatchSubmitTasksResult]:
        connection = self._calls.connection
        safe = all(one.request_id for one in requests)
        ask = connection.ask_safely if safe else connection.ask
        request = BatchSubmitTasksRequest(requests=requests)
        return (await ask(request, BatchSubmitTasksResponse)).results

    def _outcome(self, result: BatchSubmitTasksResult) -> TaskHandle | CallError:
        if result.HasField("error"):
            return call_error(result.error)
        made = result.submitted
        return TaskHandle(self._calls, made.task, created=made.created)


def _request(
    action: str | SubmitTaskRequest, arguments: Mapping[str, Any] | None, fields: TaskFields
) -> SubmitTaskRequest:
    return (
        action if isinstance(action, SubmitTaskRequest) else task(action, arguments, **fields)
    )


def _chunks(requests: Iterable[SubmitTaskRequest]) -> Iterator[Sequence[SubmitTaskRequest]]:
    """Yield the requests in as few lists as one call each can carry."""
    chunk: list[SubmitTaskRequest] = []
    size = 0
    for request in requests:
        grown = size + request.ByteSize()
        if chunk and (len(chunk) == _BATCH_ITEMS or grown > _BATCH_BYTES):
            yield chunk
            chunk, grown = [], request.ByteSize()
        chunk.append(request)
        size = grown
    if chunk:
        yield chunk

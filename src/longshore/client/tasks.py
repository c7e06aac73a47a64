"""TaskService, call by call: messages in, messages out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from longshore.client.connection import Connection
from longshore.client.errors import CallError, call_error
from longshore.client.paging import Page
from longshore.client.watching import Stream, Watch
from longshore.v1.task_service_pb2 import (
    BatchSubmitTasksRequest,
    BatchSubmitTasksResult,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    ResubmitTaskRequest,
    ResumeTaskRequest,
    RunTaskRequest,
    RunTaskResponse,
    SubmitTaskRequest,
    SubmitTaskResponse,
    SuspendTaskRequest,
    Task,
    TaskChange,
    WatchTasksRequest,
)
from longshore.v1.task_service_pb2_grpc import TaskServiceStub

_BATCH_ITEMS: Final = 1_000

#: Of the 4 MiB of a message; the answer repeats what was asked and adds to it.
_BATCH_BYTES: Final = 2 * 1024 * 1024


class Tasks:
    """Asks for tasks over a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._calls = TaskServiceStub(connection.calls)
        self._streams = TaskServiceStub(connection.streams)

    async def submit(self, request: SubmitTaskRequest) -> SubmitTaskResponse:
        if request.request_id:
            return await self._connection.ask_safely(self._calls.SubmitTask, request)
        return await self._connection.ask(self._calls.SubmitTask, request)

    async def submit_batch(
        self, requests: Sequence[SubmitTaskRequest]
    ) -> Sequence[BatchSubmitTasksResult]:
        """Submit at most 1,000 tasks in one call."""
        request = BatchSubmitTasksRequest(requests=requests)
        safe = all(one.request_id for one in requests)
        ask = self._connection.ask_safely if safe else self._connection.ask
        return (await ask(self._calls.BatchSubmitTasks, request)).results

    async def get(self, task_id: str) -> Task:
        return (
            await self._connection.ask(self._calls.GetTask, GetTaskRequest(id=task_id))
        ).task

    async def list(self, request: ListTasksRequest) -> Page[Task]:
        answer = await self._connection.ask(self._calls.ListTasks, request)
        total = answer.total_size if answer.HasField("total_size") else None
        return Page(answer.tasks, answer.next_page_token, answer.revision, total)

    async def cancel(self, request: CancelTaskRequest) -> Task:
        return (await self._connection.ask(self._calls.CancelTask, request)).task

    async def suspend(self, request: SuspendTaskRequest) -> Task:
        return (await self._connection.ask(self._calls.SuspendTask, request)).task

    async def resume(self, request: ResumeTaskRequest) -> Task:
        return (await self._connection.ask(self._calls.ResumeTask, request)).task

    async def resubmit(self, request: ResubmitTaskRequest) -> Task:
        return (await self._connection.ask(self._calls.ResubmitTask, request)).task

    def watch(self, request: WatchTasksRequest, *, patient: bool = False) -> Watch[TaskChange]:
        """Watch tasks; a patient watch waits for a server even if it never met one."""
        after = request.after_revision if request.HasField("after_revision") else None
        patience = None if patient else self._connection.timeout
        return Watch(lambda revision, wait: self.open(request, revision, wait), after, patience)

    def run(self, request: SubmitTaskRequest, *, include_logs: bool) -> Watch[TaskChange]:
        """Submit a task and watch it in one call, which `WatchTasks` takes up if it breaks."""
        run = RunTaskRequest(
            spec=request.spec,
            options=request.options,
            request_id=request.request_id,
            include_logs=include_logs,
        )
        patience = self._connection.timeout if request.request_id else 0.0
        return Watch(_Run(self, run).open, None, patience)

    def open(self, request: WatchTasksRequest, revision: int | None, wait: bool) -> Stream:
        request.ClearField("after_revision")
        if revision is not None:
            request.after_revision = revision
        metadata = self._connection.metadata
        return self._streams.WatchTasks(request, metadata=metadata, wait_for_ready=wait)

    def open_run(self, request: RunTaskRequest) -> Stream:
        return self._streams.RunTask(request, metadata=self._connection.metadata)


class _Run:
    """The stream of a run: asked for again until the task is known, watched from then on."""

    def __init__(self, tasks: Tasks, request: RunTaskRequest) -> None:
        self._tasks = tasks
        self._request = request
        self._watch = WatchTasksRequest(include_logs=request.include_logs)
        self._call: Stream | None = None

    def open(self, revision: int | None, wait: bool) -> Stream:
        if self._watch.ids:
            return self._tasks.open(self._watch, revision, wait)
        self._call = self._tasks.open_run(self._request)
        return self

    async def read(self) -> object:
        assert self._call
        message = await self._call.read()
        if isinstance(message, RunTaskResponse) and not self._watch.ids:
            self._watch.ids.append(message.changes[0].task.metadata.id)
        return message

    def cancel(self) -> bool:
        return self._call is not None and self._call.cancel()


def chunks(requests: Iterable[SubmitTaskRequest]) -> Iterator[Sequence[SubmitTaskRequest]]:
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


def outcome(result: BatchSubmitTasksResult) -> SubmitTaskResponse | CallError:
    """Return what became of one submit of a batch."""
    return result.submitted if result.HasField("submitted") else call_error(result.error)

"""How tests speak with a server: by the contract's own stubs, without anybody's retries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from longshore.v1.file_service_pb2_grpc import FileServiceStub
from longshore.v1.operation_pb2 import ActionCall, Event, Options, RetryPolicy
from longshore.v1.operation_service_pb2 import (
    WatchOperationsRequest,
    WatchOperationsResponse,
)
from longshore.v1.operation_service_pb2_grpc import OperationServiceStub
from longshore.v1.task_service_pb2 import (
    BatchGetTasksRequest,
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SubmitTaskRequest,
    SubmitTaskResponse,
    Task,
    TaskSpec,
)
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from longshore.v1.worker_service_pb2 import ListWorkersRequest
from longshore.v1.worker_service_pb2_grpc import WorkerServiceStub
from tests.acceptance.checkers import TERMINAL
from tests.acceptance.waiting import eventually_answered, within

_CALL_SECONDS = 20.0

_OPTIONS = (
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Every office has connections of its own, which can be cut without harm to others.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_retries", 0),
)


def request(
    action: str,
    request_id: str = "",
    options: Options | None = None,
    **arguments: str | float,
) -> SubmitTaskRequest:
    """Return a submit of one action. Failures are tried again at once unless told otherwise."""
    call = ActionCall(action=action)
    call.arguments.update(arguments)
    chosen = Options(allow_unregistered=True)
    if options is not None:
        chosen.MergeFrom(options)
    if not chosen.retry.HasField("initial_backoff"):
        chosen.retry.initial_backoff.FromMilliseconds(1)
    return SubmitTaskRequest(
        spec=TaskSpec(actions=[call]), options=chosen, request_id=request_id
    )


def retry(max_attempts: int) -> Options:
    return Options(retry=RetryPolicy(max_attempts=max_attempts))


class Office:
    """A caller with a connection of its own."""

    def __init__(self, address: str, *options: tuple[str, int]) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=(*_OPTIONS, *options))
        self.tasks = TaskServiceStub(self.channel)
        self.operations = OperationServiceStub(self.channel)
        self.files = FileServiceStub(self.channel)
        self.workers = WorkerServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        await within(self.channel.channel_ready(), "a connection")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.channel.close()

    async def ask(self, sent: SubmitTaskRequest) -> SubmitTaskResponse:
        return await self.tasks.SubmitTask(sent, timeout=_CALL_SECONDS)

    async def submit(
        self,
        action: str,
        *,
        request_id: str = "",
        options: Options | None = None,
        **arguments: str | float,
    ) -> Task:
        answer = await self.ask(request(action, request_id, options, **arguments))
        return answer.task

    async def get(self, task_id: str) -> Task:
        response = await self.tasks.GetTask(GetTaskRequest(id=task_id), timeout=_CALL_SECONDS)
        return response.task

    async def cancel(self, task_id: str, *, force: bool = False) -> Task:
        sent = CancelTaskRequest(id=task_id, force=force)
        response = await self.tasks.CancelTask(sent, timeout=_CALL_SECONDS)
        return response.task

    async def ended(self, task_id: str) -> Task:
        """Wait until a task has ended and return it."""

        async def look() -> Task | None:
            task = await self.get(task_id)
            return task if task.status.state in TERMINAL else None

        found = await eventually_answered(look, f"the end of task {task_id}")
        assert found is not None
        return found

    async def revision(self) -> int:
        """Return the newest revision."""
        response = await self.tasks.ListTasks(
            ListTasksRequest(page_size=1), timeout=_CALL_SECONDS
        )
        return response.revision

    async def all_tasks(self) -> list[Task]:
        """Return every task, oldest first."""
        tasks: list[Task] = []
        sent = ListTasksRequest(page_size=1_000, order_by="number")
        while True:
            response = await self.tasks.ListTasks(sent, timeout=_CALL_SECONDS)
            tasks += response.tasks
            if not response.next_page_token:
                return tasks
            sent.page_token = response.next_page_token

    async def connected(self, count: int = 1) -> None:
        """Wait until so many workers have a stream."""

        async def look() -> bool:
            response = await self.workers.ListWorkers(
                ListWorkersRequest(), timeout=_CALL_SECONDS
            )
            return sum(worker.connected for worker in response.workers) >= count

        await eventually_answered(look, f"{count} workers")

    async def messages(
        self, after: int = 0, include_logs: bool = False
    ) -> AsyncIterator[WatchOperationsResponse]:
        """Watch all operations from a revision on, message by message."""
        sent = WatchOperationsRequest(after_revision=after, include_logs=include_logs)
        stream = self.operations.WatchOperations(sent)
        try:
            while True:
                message = await within(stream.read(), "the next message of a watch")
                if not isinstance(message, WatchOperationsResponse):
                    return
                yield message
        finally:
            stream.cancel()

    async def history(
        self,
        until: Callable[[Sequence[Event]], bool] | None = None,
        after: int = 0,
        include_logs: bool = False,
    ) -> list[Event]:
        """Return all events up to now, or until enough of them have been told."""
        newest = 0 if until else await self.revision()
        events: list[Event] = []
        seen = after
        async for message in self.messages(after, include_logs):
            events += events_of(message)
            seen = message.revision or seen
            if until(events) if until else seen >= newest:
                return events
        raise AssertionError("the watch ended early")


def events_of(message: WatchOperationsResponse) -> list[Event]:
    return [change.event for change in message.changes if change.HasField("event")]


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the `ErrorInfo.reason` of a refusal, empty if it has none."""
    return str(_info_of(error).reason)


def facts_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the facts of a refusal."""
    return dict(_info_of(error).metadata)


def _info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(info):
                    return info
    return info


async def all_ended(office: Office, ids: Sequence[str]) -> dict[str, Task]:
    """Wait until all tasks have ended and return them by id."""
    sent = BatchGetTasksRequest(ids=ids)

    async def look() -> bool:
        response = await office.tasks.BatchGetTasks(sent, timeout=_CALL_SECONDS)
        assert not response.unknown_ids
        return all(task.status.state in TERMINAL for task in response.tasks)

    await eventually_answered(look, f"the ends of {len(ids)} tasks")
    wanted = set(ids)
    tasks = await office.all_tasks()
    return {task.metadata.id: task for task in tasks if task.metadata.id in wanted}

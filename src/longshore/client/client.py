"""The client: one object per server, from which everything else is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, Unpack

from longshore.client.connection import DEFAULT_SERVER, Connection
from longshore.client.errors import CallError
from longshore.client.handles import TaskHandle
from longshore.client.paging import Page, Pages
from longshore.client.requests import TaskFields, task
from longshore.client.tasks import Tasks, chunks, outcome
from longshore.client.watching import Watch
from longshore.v1.catalog_service_pb2 import ListServicesRequest, Service
from longshore.v1.catalog_service_pb2_grpc import CatalogServiceStub
from longshore.v1.operation_pb2 import Event, View
from longshore.v1.operation_service_pb2 import (
    ExplainOperationRequest,
    ExplainOperationResponse,
    GetHistoryRequest,
)
from longshore.v1.operation_service_pb2_grpc import OperationServiceStub
from longshore.v1.server_service_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    ServerMode,
    SetModeRequest,
    SetModeResponse,
)
from longshore.v1.server_service_pb2_grpc import ServerServiceStub
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    ListTasksRequest,
    ResubmitTaskRequest,
    ResumeTaskRequest,
    SubmitTaskRequest,
    SuspendTaskRequest,
    TaskChange,
    WatchTasksRequest,
)
from longshore.v1.worker_service_pb2 import ListWorkersRequest, WorkerInfo
from longshore.v1.worker_service_pb2_grpc import WorkerServiceStub

_NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})


class Client:
    """Asks a Longshore server for work. Make it inside a coroutine; best by `async with`.

    Every call takes at most `timeout` seconds. Submits carry a request id and are repeated
    within that time while no server is available, watches are resumed for as long as it takes;
    nothing else is repeated. All methods raise `CallError` when the call fails. Messages are
    those of the contract, `longshore.v1`.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        tenant: str = "",
        metadata: Mapping[str, str] = _NO_METADATA,
        timeout: float = 30.0,
    ) -> None:
        tenancy = {"x-tenant-id": tenant} if tenant else {}
        self._connection = Connection(server, {**metadata, **tenancy}, timeout)
        self._tasks = Tasks(self._connection)
        self._catalog = CatalogServiceStub(self._connection.calls)
        self._operations = OperationServiceStub(self._connection.calls)
        self._server = ServerServiceStub(self._connection.calls)
        self._workers = WorkerServiceStub(self._connection.calls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and watches, and the connections."""
        await self._connection.close()

    async def connect(self) -> None:
        """Reach the server now, or raise `Unavailable` at the first failure."""
        await self._connection.reach()

    # Tasks

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
        answer = await self._tasks.submit(_request(action, arguments, fields))
        return TaskHandle(self._tasks, answer.task, created=answer.created)

    async def submit_many(
        self, requests: Iterable[SubmitTaskRequest]
    ) -> Sequence[TaskHandle | CallError]:
        """Submit any number of tasks, as `task(…)` returns them, in as few calls as possible.

        The answer has one outcome for each, in their order: its handle, or why it was refused.
        """
        handles: list[TaskHandle | CallError] = []
        for chunk in chunks(requests):
            for one in map(outcome, await self._tasks.submit_batch(chunk)):
                if isinstance(one, CallError):
                    handles.append(one)
                else:
                    handles.append(TaskHandle(self._tasks, one.task, created=one.created))
        return handles

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
        return self._tasks.run(request, include_logs=include_logs)

    async def get(self, task_id: str) -> TaskHandle:
        """Get a task by its id, or its number in decimal."""
        return TaskHandle(self._tasks, await self._tasks.get(task_id))

    def list(
        self,
        filter: str = "",  # noqa: A002 - the contract's word
        *,
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        with_total: bool = False,
        full: bool = False,
    ) -> Pages[TaskHandle]:
        """List tasks, the newest first; not `full`: without arguments, context and results."""
        request = ListTasksRequest(
            filter=filter,
            order_by=order_by,
            page_size=page_size,
            with_total=with_total,
            view=View.VIEW_FULL if full else View.VIEW_BASIC,
        )

        async def fetch(token: str) -> Page[TaskHandle]:
            request.page_token = token
            page = await self._tasks.list(request)
            handles = [TaskHandle(self._tasks, one) for one in page.items]
            return Page(handles, page.next_page_token, page.revision, page.total_size)

        return Pages(fetch, page_token)

    def watch(
        self,
        *ids: str,
        filter: str = "",  # noqa: A002 - the contract's word
        after_revision: int | None = None,
        include_logs: bool = False,
    ) -> Watch[TaskChange]:
        """Watch tasks by id, or by a filter over what does not change, or all.

        `after_revision` is the last revision known, 0 the beginning; None: how they stand
        comes first.
        """
        request = WatchTasksRequest(
            ids=ids, filter=filter, after_revision=after_revision, include_logs=include_logs
        )
        return self._tasks.watch(request)

    async def cancel(
        self, task_id: str, message: str = "", *, force: bool = False
    ) -> TaskHandle:
        """Ask to cancel a task; with `force` a running attempt is ended at once."""
        request = CancelTaskRequest(id=task_id, message=message, force=force)
        return TaskHandle(self._tasks, await self._tasks.cancel(request))

    async def suspend(self, task_id: str) -> TaskHandle:
        """Hold a task that is QUEUED."""
        request = SuspendTaskRequest(id=task_id)
        return TaskHandle(self._tasks, await self._tasks.suspend(request))

    async def resume(self, task_id: str) -> TaskHandle:
        """Let a task that is SUSPENDED go on."""
        request = ResumeTaskRequest(id=task_id)
        return TaskHandle(self._tasks, await self._tasks.resume(request))

    async def resubmit(self, task_id: str, *, from_failed: bool = False) -> TaskHandle:
        """Run what has ended once more, as a new task: from the start or the failed action."""
        request = ResubmitTaskRequest(id=task_id, from_failed=from_failed)
        return TaskHandle(self._tasks, await self._tasks.resubmit(request), created=True)

    # Operations of any kind

    async def explain(self, operation_id: str) -> ExplainOperationResponse:
        """Ask why an operation is not running: all reasons, the weightiest first."""
        request = ExplainOperationRequest(id=operation_id)
        return await self._connection.ask(self._operations.ExplainOperation, request)

    def history(self, operation_id: str, *details: str, page_size: int = 0) -> Pages[Event]:
        """List what happened to an operation, the oldest first; only these `details`, if any.

        Details are named like the fields of `Event.detail`: `state_changed`, `log`, ….
        """
        request = GetHistoryRequest(id=operation_id, details=details, page_size=page_size)

        async def fetch(token: str) -> Page[Event]:
            request.page_token = token
            answer = await self._connection.ask(self._operations.GetHistory, request)
            return Page(answer.events, answer.next_page_token)

        return Pages(fetch)

    # The server

    async def status(self) -> GetStatusResponse:
        """Ask how the server is."""
        return await self._connection.ask(self._server.GetStatus, GetStatusRequest())

    async def set_mode(
        self, mode: ServerMode.ValueType, *, resume_on_restart: bool = True
    ) -> SetModeResponse:
        """Say what the server shall do with work: SERVER_MODE_ACTIVE, _SUSPENDED, …"""
        request = SetModeRequest(mode=mode, resume_on_restart=resume_on_restart)
        return await self._connection.ask(self._server.SetMode, request)

    async def services(self) -> Sequence[Service]:
        """List what workers offer or have offered."""
        request = ListServicesRequest()
        return (await self._connection.ask(self._catalog.ListServices, request)).services

    def workers(self, *, page_size: int = 0) -> Pages[WorkerInfo]:
        """List the workers that have a session."""
        request = ListWorkersRequest(page_size=page_size)

        async def fetch(token: str) -> Page[WorkerInfo]:
            request.page_token = token
            answer = await self._connection.ask(self._workers.ListWorkers, request)
            return Page(answer.workers, answer.next_page_token)

        return Pages(fetch)


def _request(
    action: str | SubmitTaskRequest, arguments: Mapping[str, Any] | None, fields: TaskFields
) -> SubmitTaskRequest:
    return (
        action if isinstance(action, SubmitTaskRequest) else task(action, arguments, **fields)
    )

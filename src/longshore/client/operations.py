"""Operations of any kind."""

from __future__ import annotations

from longshore.client.calls import Calls
from longshore.client.connection import Connection
from longshore.client.handles import JobHandle, LaunchHandle, TaskHandle
from longshore.client.kinds import JOB, LAUNCH, TASK
from longshore.client.paging import Page, Pages, paged
from longshore.client.watching import Watch, watch
from longshore.v1.operation_pb2 import Event
from longshore.v1.operation_service_pb2 import (
    AnyChange,
    ExplainOperationRequest,
    ExplainOperationResponse,
    GetHistoryRequest,
    GetHistoryResponse,
    GetOperationRequest,
    GetOperationResponse,
    WatchOperationsRequest,
)


class Operations:
    """Tasks, jobs and launches alike."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = Calls(connection, TASK)
        self._jobs = Calls(connection, JOB)
        self._launches = Calls(connection, LAUNCH)

    async def get(
        self,
        id: str,  # noqa: A002 - the contract's word
    ) -> TaskHandle | JobHandle | LaunchHandle:
        """Get an operation by its id, or its number in decimal."""
        found = await self._connection.ask(GetOperationRequest(id=id), GetOperationResponse)
        if found.HasField("job"):
            return JobHandle(self._jobs, found.job)
        if found.HasField("launch"):
            return LaunchHandle(self._launches, found.launch)
        return TaskHandle(self._tasks, found.task)

    def watch(
        self,
        *ids: str,
        filter: str = "",  # noqa: A002 - the contract's word
        after_revision: int | None = None,
        include_logs: bool = False,
    ) -> Watch[AnyChange]:
        """Watch operations by id, or by a filter over what does not change, or all.

        `after_revision` is the last revision known, 0 the beginning; None: how they stand
        comes first. `shown` reads the operation of a change.
        """
        request = WatchOperationsRequest(
            ids=ids, filter=filter, after_revision=after_revision, include_logs=include_logs
        )
        return watch(self._connection, request, self._connection.timeout)

    def history(
        self,
        id: str,  # noqa: A002 - the contract's word
        *details: str,
        page_size: int = 0,
    ) -> Pages[Event]:
        """List what happened to an operation, the oldest first; only these `details`, if any.

        Details are named like the fields of `Event.detail`: `state_changed`, `log`, ….
        """
        request = GetHistoryRequest(id=id, details=details, page_size=page_size)
        return paged(
            self._connection,
            request,
            GetHistoryResponse,
            lambda told: Page(told.events, told.next_page_token),
        )

    async def explain(
        self,
        id: str,  # noqa: A002 - the contract's word
    ) -> ExplainOperationResponse:
        """Ask why an operation is not running: all reasons, the weightiest first."""
        request = ExplainOperationRequest(id=id)
        return await self._connection.ask(request, ExplainOperationResponse)

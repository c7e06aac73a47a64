"""The server itself, and who works for it."""

from __future__ import annotations

from longshore.client.connection import Connection
from longshore.client.paging import Page, Pages, paged
from longshore.v1.server_service_pb2 import (
    GetCallerRequest,
    GetCallerResponse,
    GetStatusRequest,
    GetStatusResponse,
    ServerMode,
    SetModeRequest,
    SetModeResponse,
)
from longshore.v1.worker_service_pb2 import ListWorkersRequest, ListWorkersResponse, WorkerInfo


class Server:
    """The server that is asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def status(self) -> GetStatusResponse:
        """Ask how the server is."""
        return await self._connection.ask(GetStatusRequest(), GetStatusResponse)

    async def set_mode(
        self, mode: ServerMode.ValueType, *, resume_on_restart: bool = True
    ) -> SetModeResponse:
        """Say what the installation shall do with work: SERVER_MODE_ACTIVE, _SUSPENDED, …"""
        request = SetModeRequest(mode=mode, resume_on_restart=resume_on_restart)
        return await self._connection.ask(request, SetModeResponse)

    async def caller(self) -> GetCallerResponse:
        """Ask who the server takes this client for."""
        return await self._connection.ask(GetCallerRequest(), GetCallerResponse)

    def workers(self, *, page_size: int = 0) -> Pages[WorkerInfo]:
        """List the workers that have a session."""
        return paged(
            self._connection,
            ListWorkersRequest(page_size=page_size),
            ListWorkersResponse,
            lambda told: Page(told.workers, told.next_page_token),
        )

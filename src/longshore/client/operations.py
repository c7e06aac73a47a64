"""Operations of any kind."""

from __future__ import annotations

from longshore.client.connection import Connection
from longshore.client.paging import Page, Pages
from longshore.v1.operation_pb2 import Event
from longshore.v1.operation_service_pb2 import (
    ExplainOperationRequest,
    ExplainOperationResponse,
    GetHistoryRequest,
    GetHistoryResponse,
)


class Operations:
    """Tasks, jobs and launches alike."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def explain(self, id: str) -> ExplainOperationResponse:  # noqa: A002 - the contract's word
        """Ask why an operation is not running: all reasons, the weightiest first."""
        request = ExplainOperationRequest(id=id)
        return await self._connection.ask(request, ExplainOperationResponse)

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

        async def fetch(token: str) -> Page[Event]:
            request.page_token = token
            answer = await self._connection.ask(request, GetHistoryResponse)
            return Page(answer.events, answer.next_page_token)

        return Pages(fetch)

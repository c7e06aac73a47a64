"""Queues: where operations wait."""

from __future__ import annotations

from longshore.client.connection import Connection
from longshore.client.paging import Page, Pages, paged
from longshore.v1.queue_service_pb2 import (
    ListQueuesRequest,
    ListQueuesResponse,
    Queue,
    UpdateQueueRequest,
    UpdateQueueResponse,
)


class Queues:
    """Where operations wait, how many do, and what holds or limits them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, page_size: int = 0) -> Pages[Queue]:
        """List the queues by name."""
        return paged(
            self._connection,
            ListQueuesRequest(page_size=page_size),
            ListQueuesResponse,
            lambda told: Page(told.queues, told.next_page_token),
        )

    async def update(
        self, name: str, *, paused: bool | None = None, concurrency_limit: int | None = None
    ) -> Queue:
        """Say how a queue shall be, and make it if there is none; None leaves it as it is."""
        request = UpdateQueueRequest(
            name=name, paused=paused, concurrency_limit=concurrency_limit
        )
        return (await self._connection.ask(request, UpdateQueueResponse)).queue

    async def pause(self, name: str) -> Queue:
        """Start nothing of a queue; what runs goes on."""
        return await self.update(name, paused=True)

    async def resume(self, name: str) -> Queue:
        """Start what waits in a queue again."""
        return await self.update(name, paused=False)

    async def limit(self, name: str, concurrency_limit: int) -> Queue:
        """Say how many operations of a queue may run at once; 0: any number."""
        return await self.update(name, concurrency_limit=concurrency_limit)

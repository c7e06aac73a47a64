"""Acknowledging: telling the server that results have arrived, which removes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import islice
from typing import Final

from longshore.client.connection import Connection, retrying
from longshore.client.errors import CallError, FailedPrecondition, NotFound
from longshore.client.reopening import is_broken
from longshore.v1.task_service_pb2 import (
    AcknowledgeResultsRequest,
    AcknowledgeResultsResponse,
)

log = logging.getLogger(__name__)

#: In one call, which is one transaction of the server.
_BATCH: Final = 1_000

#: So long an acknowledgement waits for others that go with it.
_GATHER_SECONDS: Final = 0.1

#: So many may wait, before whoever listens has to.
_MOST_WAITING: Final = 10_000


async def acknowledge(connection: Connection, ids: Sequence[str]) -> None:
    """Acknowledge results in one call; as it can be repeated, it is."""
    await connection.ask_safely(_request(ids), AcknowledgeResultsResponse)


def _request(ids: Sequence[str]) -> AcknowledgeResultsRequest:
    return AcknowledgeResultsRequest(ids=ids)


class Acknowledgements:
    """Acknowledgements that are sent in the background, many at once, and in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: dict[str, None] = {}
        self._sending: asyncio.Task[None] | None = None
        self._under_way = asyncio.Lock()

    async def add(self, task_id: str) -> None:
        """Acknowledge a result soon. Raises `CallError` if those before are refused."""
        self._waiting[task_id] = None
        if self._sending is not None and self._sending.done():
            sending, self._sending = self._sending, None
            sending.result()
        if self._sending is None:
            name = "longshore-acknowledgements"
            self._sending = asyncio.create_task(self._send_all(), name=name)
        if len(self._waiting) >= _MOST_WAITING:
            await asyncio.wait({self._sending})

    async def close(self) -> None:
        """Send what waits; if that fails, the results will be streamed once more."""
        if self._sending is not None:
            async with self._under_way:
                self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        try:
            while self._waiting:
                await self._send()
        except CallError as error:
            log.warning("%d results are not acknowledged: %r", len(self._waiting), error)

    async def _send_all(self) -> None:
        while self._waiting:
            if len(self._waiting) < _BATCH:
                await asyncio.sleep(_GATHER_SECONDS)
            await retrying(is_broken, None)(self._send)

    async def _send(self) -> None:
        async with self._under_way:
            batch = list(islice(self._waiting, _BATCH))
            try:
                await self._ask(batch)
            except (FailedPrecondition, NotFound):
                await self._send_singly(batch)
            for one in batch:
                del self._waiting[one]

    async def _send_singly(self, batch: Sequence[str]) -> None:
        """Acknowledge all but those of which there is nothing left to acknowledge."""
        for one in batch:
            try:
                await self._ask([one])
            except (FailedPrecondition, NotFound) as error:
                log.warning("the result of %s cannot be acknowledged: %r", one, error)

    async def _ask(self, ids: Sequence[str]) -> None:
        await self._connection.ask(_request(ids), AcknowledgeResultsResponse)

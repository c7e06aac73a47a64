"""A listener that speaks its channel by hand, and judges what it is sent."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import grpc.aio

from longshore.v1.task_service_pb2 import (
    AcknowledgeResultsRequest,
    StreamResultsRequest,
    StreamResultsResponse,
)
from tests.acceptance.office import Office

#: The channel of all who call without a credential.
STREAM = "anonymous"

_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_RECONNECT_SECONDS = 0.02


class Consignee:
    """Listens to the channel, through any number of broken streams, until it is cancelled.

    It acknowledges some of what it has now and then; `results` has what arrived, by the ids of
    the tasks and in the order in which they came for the first time.
    """

    def __init__(self, office: Office, rng: random.Random) -> None:
        self._office = office
        self._rng = rng
        self.results: dict[str, bytes] = {}
        self.revisions: dict[str, int] = {}
        self.acknowledged: set[str] = set()
        self.repeats = 0
        self.streams = 0
        self._parts: list[bytes] = []

    async def listen(self) -> None:
        while True:
            try:
                await self._stream()
            except grpc.aio.AioRpcError as error:
                if error.code() not in _LOST:
                    raise
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _stream(self) -> None:
        """Take what one stream sends: in order, nothing twice, nothing of what is settled."""
        self.streams += 1
        self._parts = []
        settled = frozenset(self.acknowledged)
        revision = 0
        stream = self._office.tasks.StreamResults(StreamResultsRequest(stream=STREAM))
        while isinstance(message := await stream.read(), StreamResultsResponse):
            if not message.HasField("task"):
                continue
            task_id = message.task.metadata.id
            assert task_id not in settled, f"{task_id} was acknowledged"
            if self._take(message):
                assert message.revision > revision, f"{message.revision} after {revision}"
                revision = message.revision
                if self._rng.random() < 0.1:
                    await self._acknowledge_some()

    def _take(self, message: StreamResultsResponse) -> bool:
        """Take one chunk; true if a result is complete with it."""
        assert message.chunk in (0, len(self._parts) + 1), message.chunk
        assert len(message.data) == message.chunk_size or message.chunk == message.total_chunks
        self._parts.append(message.data)
        if message.chunk < message.total_chunks:
            return False
        data, self._parts = b"".join(self._parts), []
        task_id = message.task.metadata.id
        self.repeats += task_id in self.results
        assert self.results.setdefault(task_id, data) == data
        assert self.revisions.setdefault(task_id, message.revision) == message.revision
        return True

    async def _acknowledge_some(self) -> None:
        left = [one for one in self.results if one not in self.acknowledged]
        some = self._rng.sample(left, self._rng.randint(0, len(left)))
        await self.acknowledge(some)

    async def acknowledge(self, ids: list[str]) -> None:
        await self._office.tasks.AcknowledgeResults(AcknowledgeResultsRequest(ids=ids))
        self.acknowledged.update(ids)

    def check_order(self) -> None:
        """What came for the first time came in the order of the ends of the work."""
        for one, other in pairwise(self.revisions.values()):
            assert one < other, f"{other} after {one}"

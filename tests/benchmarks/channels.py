"""A channel of results: how many reach one listener in a second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc

from longshore.v1 import operation_pb2 as operations
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.load import in_flight
from tests.benchmarks.messages import BATCH, submit_request
from tests.benchmarks.noop import STAMP
from tests.benchmarks.processes import longshore_worker
from tests.benchmarks.samples import Sample
from tests.benchmarks.workers import worker_is_connected

_STREAM: Final = "anonymous"
_WIDTH: Final = 4


async def measure(bench: Bench) -> list[Figure]:
    batches = bench.size(10, 1)
    async with (
        bench.server("channels") as server,
        connected(server.address) as channel,
        connected(server.address) as listening,
        longshore_worker("tests.benchmarks.noop", server.address),
    ):
        await worker_is_connected(channel)
        consumer = Consumer(channel, listening, batches)
        worked, kept = await bench.interleaved(consumer.live, consumer.again, rounds=3)
    count = f"{batches * BATCH:,}"
    return [
        Figure(
            name=f"a channel delivers {count} small results to one listener",
            unit="results/s",
            value=Sample.of(kept),
            target=Target(sign="≥", bound=5_000),
        ),
        Figure(
            name=f"submit → listener by a channel, {count} tasks, one worker",
            unit="results/s",
            value=Sample.of(worked),
        ),
    ]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Asks for work and listens to what comes of it."""

    channel: grpc.aio.Channel
    listening: grpc.aio.Channel  #: A connection of its own, as our client has it.
    batches: int

    async def live(self) -> float:
        """Return how many results a second arrive while the work is done."""
        request = tasks.BatchSubmitTasksRequest(requests=[_request()] * BATCH)
        submit = partial(TaskServiceStub(self.channel).BatchSubmitTasks, request)
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(in_flight(submit, self.batches, _WIDTH), name="submits")
            await self._listen()
        return self.batches * BATCH / (time.perf_counter() - start)

    async def again(self) -> float:
        """Return how many a second a new listener is told of what is there; acknowledge it."""
        start = time.perf_counter()
        ids = await self._listen()
        rate = len(ids) / (time.perf_counter() - start)
        stub = TaskServiceStub(self.channel)
        for first in range(0, len(ids), BATCH):
            some = ids[first : first + BATCH]
            await stub.AcknowledgeResults(tasks.AcknowledgeResultsRequest(ids=some))
        return rate

    async def _listen(self) -> list[str]:
        """Return the ids of the tasks whose results arrive, as many as were submitted."""
        call = TaskServiceStub(self.listening).StreamResults(
            tasks.StreamResultsRequest(stream=_STREAM)
        )
        ids: list[str] = []
        async for message in call:
            if message.HasField("task") and message.chunk == message.total_chunks:
                ids.append(message.task.metadata.id)
                if len(ids) == self.batches * BATCH:
                    break
        call.cancel()
        return ids


def _request() -> tasks.SubmitTaskRequest:
    request = submit_request(STAMP, sent=0)
    request.options.delivery = operations.DELIVERY_MODE_CHANNEL
    return request

"""Waiting for workers, and a worker of few lines that speaks the contract by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Final

import grpc

from longshore.v1 import worker_service_pb2 as work
from longshore.v1.worker_service_pb2_grpc import WorkerServiceStub
from tests.benchmarks.messages import hello

_CONNECT_SECONDS: Final = 30


async def worker_is_connected(channel: grpc.aio.Channel) -> None:
    """Return once a worker has a stream. Raises `TimeoutError` if none comes."""
    stub = WorkerServiceStub(channel)
    async with asyncio.timeout(_CONNECT_SECONDS):
        while True:
            found = await stub.ListWorkers(work.ListWorkersRequest())
            if any(worker.connected for worker in found.workers):
                return
            await asyncio.sleep(0.05)


async def run_raw(channel: grpc.aio.Channel, count: int, slots: int) -> float:
    """Take and complete `count` operations on one stream; return how many it did a second.

    Counts from the first assignment, so that what the hello costs is left out, and says
    goodbye at the end, so that no lease is left behind.
    """
    outgoing: asyncio.Queue[work.WorkRequest | None] = asyncio.Queue()
    outgoing.put_nowait(hello(slots))
    taken = settled = 0
    start = time.perf_counter()
    call = WorkerServiceStub(channel).Work(_until_none(outgoing))
    while (message := await call.read()) is not grpc.aio.EOF:
        assert isinstance(message, work.WorkResponse)
        if message.assignments:
            if not taken:
                start = time.perf_counter()
            taken += len(message.assignments)
            answer = work.WorkRequest(reports=_completed(message.assignments))
            answer.draining = taken >= count
            outgoing.put_nowait(answer)
        settled += len(message.acknowledgements)
        if settled == taken >= count:
            break
    seconds = time.perf_counter() - start
    outgoing.put_nowait(None)
    while await call.read() is not grpc.aio.EOF:
        pass
    return settled / seconds


def _completed(assignments: Iterable[work.WorkAssignment]) -> list[work.Report]:
    return [
        work.Report(
            number=one.number,
            lease_token=one.lease_token,
            sequence=1,
            completed=work.ActionCompleted(),
        )
        for one in assignments
    ]


async def _until_none(
    queue: asyncio.Queue[work.WorkRequest | None],
) -> AsyncGenerator[work.WorkRequest]:
    while (message := await queue.get()) is not None:
        yield message

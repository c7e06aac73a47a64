"""From submit to result: no-op operations submitted in batches and run by one worker process."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final

import grpc

from longshore.v1 import operation_pb2 as operations
from longshore.v1 import server_service_pb2 as server_pb
from longshore.v1.server_service_pb2_grpc import ServerServiceStub
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.load import in_flight
from tests.benchmarks.messages import BATCH, batch_request, submit_request
from tests.benchmarks.plain_sqlite import queue_rate
from tests.benchmarks.processes import longshore_worker
from tests.benchmarks.samples import Sample
from tests.benchmarks.workers import worker_is_connected

_WIDTH: Final = 4
_POLL_SECONDS: Final = 0.05


async def measure(bench: Bench) -> list[Figure]:
    """Ends are seen by asking the server for its counts twenty times a second.

    So up to 50 ms are counted too many; a watch would cost the server work of its own.
    """
    async with (
        bench.server("end_to_end") as server,
        connected(server.address) as channel,
        longshore_worker("tests.benchmarks.noop", server.address),
    ):
        await worker_is_connected(channel)
        spec = submit_request().SerializeToString()
        plain = bench.directory / "plain_queue.db"

        async def baseline() -> float:
            return queue_rate(plain, bench.size(3 * BATCH, BATCH), BATCH, spec)

        queued, run = await bench.interleaved(
            baseline, partial(_rate, channel, bench.size(20, 1)), rounds=3
        )
    return [
        Figure(
            name=f"submit → end, {bench.size(20, 1) * BATCH:,} no-ops, one worker",
            unit="operations/s",
            value=Sample.of(run),
            baseline=Sample.of(queued),
            baseline_name="bare SQLite queue",
            ratio=Sample.ratio(run, queued),
            target=Target(sign="≥", bound=8_000),
        )
    ]


async def _rate(channel: grpc.aio.Channel, batches: int) -> float:
    stub, request = TaskServiceStub(channel), batch_request()
    goal = await _succeeded(channel) + batches * BATCH
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            in_flight(lambda: stub.BatchSubmitTasks(request), batches, _WIDTH), name="submits"
        )
        while await _succeeded(channel) < goal:
            await asyncio.sleep(_POLL_SECONDS)
    return batches * BATCH / (time.perf_counter() - start)


async def _succeeded(channel: grpc.aio.Channel) -> int:
    """Return how many have succeeded. Raises `RuntimeError` if any ended otherwise."""
    status = await ServerServiceStub(channel).GetStatus(server_pb.GetStatusRequest())
    counts = {count.state: count.count for count in status.counts}
    if counts.get(operations.STATE_FAILED) or counts.get(operations.STATE_CANCELED):
        raise RuntimeError(f"no-ops failed: {counts}")
    return counts.get(operations.STATE_SUCCEEDED, 0)

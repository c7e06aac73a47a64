"""From submit to result: no-op operations submitted in batches and run by one worker process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from tests.benchmarks.processes import Running, longshore_worker
from tests.benchmarks.samples import Sample
from tests.benchmarks.workers import worker_is_connected

_WIDTH: Final = 4
POLL_SECONDS: Final = 0.05


async def measure(bench: Bench) -> list[Figure]:
    """Ends are seen by asking the server for its counts twenty times a second.

    So up to 50 ms are counted too many; a watch would cost the server work of its own.
    """
    async with (
        bench.server("end_to_end") as server,
        connected(server.address) as channel,
        longshore_worker("tests.benchmarks.noop", server.address) as worker,
    ):
        await worker_is_connected(channel)
        spec = submit_request().SerializeToString()
        plain = bench.directory / "plain_queue.db"

        async def baseline() -> float:
            return queue_rate(plain, bench.size(3 * BATCH, BATCH), BATCH, spec)

        run_all = Run(channel, bench.size(20, 1), (server, worker))
        queued, run = await bench.interleaved(baseline, run_all.rate, rounds=3)
    return [
        Figure(
            name=f"submit → end, {bench.size(20, 1) * BATCH:,} no-ops, one worker",
            unit="operations/s",
            value=Sample.of(run),
            baseline=Sample.of(queued),
            baseline_name="bare SQLite queue",
            ratio=Sample.ratio(run, queued),
            target=Target(sign="≥", bound=8_000),
        ),
        *map(
            _processor_time, ("server", "worker"), zip(*run_all.microseconds[1:], strict=True)
        ),
    ]


def _processor_time(process: str, microseconds: Sequence[float]) -> Figure:
    return Figure(
        name=f"submit → end: processor time in the {process}",
        unit="µs/operation",
        value=Sample.of(microseconds),
    )


@dataclass(frozen=True, slots=True)
class Run:
    """Submits batches and waits until all is done, again and again."""

    channel: grpc.aio.Channel
    batches: int
    processes: Sequence[Running]
    #: Processor time of each process for one operation, by round.
    microseconds: list[list[float]] = field(default_factory=list[list[float]])

    async def rate(self) -> float:
        """Return how many operations a second were submitted, run and ended."""
        count = self.batches * BATCH
        before = [process.cpu_seconds() for process in self.processes]
        start = time.perf_counter()
        await self._run(await _succeeded(self.channel) + count)
        seconds = time.perf_counter() - start
        after = [process.cpu_seconds() for process in self.processes]
        spent = [(end - begin) / count * 1e6 for begin, end in zip(before, after, strict=True)]
        self.microseconds.append(spent)
        return count / seconds

    async def _run(self, goal: int) -> None:
        submit = partial(TaskServiceStub(self.channel).BatchSubmitTasks, batch_request())
        async with asyncio.TaskGroup() as group:
            group.create_task(in_flight(submit, self.batches, _WIDTH), name="submits")
            while await _succeeded(self.channel) < goal:
                await asyncio.sleep(POLL_SECONDS)


async def _succeeded(channel: grpc.aio.Channel) -> int:
    """Return how many have succeeded. Raises `RuntimeError` if any ended otherwise."""
    status = await ServerServiceStub(channel).GetStatus(server_pb.GetStatusRequest())
    counts = {count.state: count.count for count in status.counts}
    if counts.get(operations.STATE_FAILED) or counts.get(operations.STATE_CANCELED):
        raise RuntimeError(f"no-ops failed: {counts}")
    return counts.get(operations.STATE_SUCCEEDED, 0)

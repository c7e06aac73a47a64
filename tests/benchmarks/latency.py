"""From submit to start at low load, against an echo at the same low load.

Both ends are read from the clock that all processes of a machine share: the submit carries the
moment at which its call begins, and the action returns how long ago that was when it begins.
"""

from __future__ import annotations

import asyncio
from functools import partial
from statistics import median
from typing import Final

from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.operation_pb2 import STATE_SUCCEEDED
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.load import paced
from tests.benchmarks.messages import submit_request
from tests.benchmarks.noop import STAMP, microseconds
from tests.benchmarks.processes import echo_server, longshore_worker
from tests.benchmarks.samples import Sample, percentile
from tests.benchmarks.workers import worker_is_connected

_PER_SECOND: Final = 50.0


async def measure(bench: Bench) -> list[Figure]:
    async with (
        bench.server("latency") as server,
        connected(server.address) as channel,
        longshore_worker("tests.benchmarks.noop", server.address),
    ):
        await worker_is_connected(channel)
        stub, ids = TaskServiceStub(channel), list[str]()
        await _stamp(stub, ids)
        answer = await stub.GetTask(tasks.GetTaskRequest(id=ids.pop()))
        async with (
            echo_server(answer.SerializeToString()) as echo,
            connected(echo.address) as bare,
        ):
            calls = bench.size(150, 20)
            tails: list[float] = []
            echoes, starts = await bench.interleaved(
                partial(_echo, TaskServiceStub(bare), calls),
                partial(_start, stub, calls, tails),
                rounds=5,
            )
    base = Sample.of(echoes)
    return [
        Figure(
            name=f"submit → start at {_PER_SECOND:.0f} a second, p50",
            unit="ms",
            value=Sample.of(starts),
            baseline=base,
            baseline_name="echo p50",
            ratio=Sample.ratio(starts, echoes),
            target=Target(sign="≤", bound=2, of_ratio=True),
        ),
        Figure(
            name=f"submit → start at {_PER_SECOND:.0f} a second, p95",
            unit="ms",
            value=Sample.of(tails[1:]),
        ),
    ]


async def _echo(stub: TaskServiceStub, calls: int) -> float:
    spent = await paced(lambda: _stamp(stub, []), calls, _PER_SECOND)
    return median(spent.latencies) * 1e3


async def _stamp(stub: TaskServiceStub, ids: list[str]) -> None:
    answer = await stub.SubmitTask(submit_request(STAMP, sent=microseconds()))
    ids.append(answer.task.metadata.id)


async def _start(stub: TaskServiceStub, calls: int, tails: list[float]) -> float:
    ids: list[str] = []
    await paced(lambda: _stamp(stub, ids), calls, _PER_SECOND)
    waits = [await _waited(stub, task_id) for task_id in ids]
    tails.append(percentile(waits, 0.95))
    return median(waits)


async def _waited(stub: TaskServiceStub, task_id: str) -> float:
    """Return the milliseconds from submit to start, once the action has told them."""
    async with asyncio.timeout(10):
        while True:
            answer = await stub.GetTask(tasks.GetTaskRequest(id=task_id))
            if answer.task.status.state == STATE_SUCCEEDED:
                return answer.task.status.result.fields["waited"].number_value / 1e3
            await asyncio.sleep(0.01)

"""Submits and look-ups of many operations in one call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import httpx

from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.load import in_flight
from tests.benchmarks.messages import BATCH, batch_request, publish
from tests.benchmarks.plain_sqlite import insert_rate
from tests.benchmarks.processes import echo_server
from tests.benchmarks.samples import Sample

_IDS: Final = 10_000
_WIDTH: Final = 4


async def measure_submit(bench: Bench) -> list[Figure]:
    """Batches of 1,000, four calls in flight, against rows written without a server."""
    async with (
        bench.server("batch") as server,
        connected(server.address) as channel,
    ):
        await publish(channel)
        stub, request = TaskServiceStub(channel), batch_request()
        batches = bench.size(20, 2)
        spec = request.requests[0].SerializeToString()

        async def baseline() -> float:
            return insert_rate(bench.directory / "plain.db", batches * BATCH, BATCH, spec)

        async def candidate() -> float:
            spent = await in_flight(partial(submit_batch, stub, request), batches, _WIDTH)
            return spent.rate * BATCH

        rows, submits = await bench.interleaved(baseline, candidate, rounds=5)
    return [
        Figure(
            name=f"batch submit, {BATCH} a call",
            unit="operations/s",
            value=Sample.of(submits),
            baseline=Sample.of(rows),
            baseline_name="bare SQLite rows",
            ratio=Sample.ratio(submits, rows),
            target=Target(sign="≥", bound=30_000),
        )
    ]


async def submit_batch(
    stub: TaskServiceStub, request: tasks.BatchSubmitTasksRequest
) -> list[str]:
    """Submit a batch and return the ids. Raises `RuntimeError` if one was refused."""
    answer = await stub.BatchSubmitTasks(request)
    for result in answer.results:
        if result.HasField("error"):
            raise RuntimeError(f"a submit was refused: {result.error.message}")
    return [result.submitted.task.metadata.id for result in answer.results]


async def measure_get(bench: Bench) -> list[Figure]:
    """A look-up of 10,000, against an echo that answers the same call with the same bytes; and
    by the HTTP API that has one.
    """
    async with (
        bench.server("get", "--http", "127.0.0.1:0") as server,
        connected(server.address) as channel,
        httpx.AsyncClient(base_url=server.url, timeout=60) as http,
    ):
        await publish(channel)
        stub = TaskServiceStub(channel)
        request = tasks.BatchGetTasksRequest()
        for _ in range(bench.size(_IDS, BATCH) // BATCH):
            request.ids.extend(await submit_batch(stub, batch_request()))
        answer = await stub.BatchGetTasks(request)
        assert len(answer.tasks) == len(request.ids)
        async with (
            echo_server(answer.SerializeToString()) as echo,
            connected(echo.address) as bare,
        ):
            echoes, gets, asked = await bench.interleaved(
                partial(_milliseconds, TaskServiceStub(bare), request),
                partial(_milliseconds, stub, request),
                partial(_by_asapi, http, request.ids),
                rounds=9,
            )
    return [
        Figure(
            name=f"status look-up of {len(request.ids):,} ids",
            unit="ms",
            value=Sample.of(gets),
            baseline=Sample.of(echoes),
            baseline_name="echo",
            ratio=Sample.ratio(gets, echoes),
            target=Target(sign="≤", bound=150),
        ),
        Figure(
            name=f"status look-up of {len(request.ids):,} ids by asapi",
            unit="ms",
            value=Sample.of(asked),
            target=Target(sign="≤", bound=1_000),
        ),
    ]


async def _by_asapi(http: httpx.AsyncClient, ids: Sequence[str]) -> float:
    start = time.perf_counter()
    answer = await http.post("/asapi/task-status/", data={"task_ids": ",".join(ids)})
    taken = (time.perf_counter() - start) * 1e3
    answer.raise_for_status()
    if len(answer.json()) != len(ids) + 1:
        raise RuntimeError("not every id was answered")
    return taken


async def _milliseconds(stub: TaskServiceStub, request: tasks.BatchGetTasksRequest) -> float:
    start = time.perf_counter()
    await stub.BatchGetTasks(request)
    return (time.perf_counter() - start) * 1e3

"""Submits on PostgreSQL: of one server process against SQLite, and of two against one.

Unary calls are made at next to no cost, so that what has two cores is the servers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc

from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.batches import submit_batch
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.frames import Callers, callers
from tests.benchmarks.load import in_flight
from tests.benchmarks.messages import BATCH, batch_request, publish, submit_request
from tests.benchmarks.postgres import postgres
from tests.benchmarks.samples import Sample

_METHOD: Final = "/longshore.v1.TaskService/SubmitTask"
#: A connection stays with the process that took it, so there are many of them.
_CONNECTIONS: Final = 16
_UNARY_WIDTH: Final = 256
_BATCH_WIDTH: Final = 4


async def measure(bench: Bench) -> list[Figure]:
    calls, batches = bench.size(3_000, 300), bench.size(10, 2)
    async with postgres() as cluster, AsyncExitStack() as stack:
        url, urls = await cluster.database(), await cluster.database()
        lone = await stack.enter_async_context(_crowd(bench, "lone-file"))
        one = await stack.enter_async_context(_crowd(bench, "one", url))
        two = await stack.enter_async_context(_crowd(bench, "two", urls, processes=2))
        unary = await bench.interleaved(
            *(partial(side.unary, calls) for side in (lone, one, two)), rounds=5
        )
        many = await bench.interleaved(
            *(partial(side.batches, batches) for side in (lone, one)), rounds=5
        )
    what = f"PostgreSQL: submit, {_UNARY_WIDTH} in flight on {_CONNECTIONS} connections"
    return [
        _figure(f"{what}, one process", "calls/s", unary[1], unary[0], "SQLite"),
        _figure(
            f"{what}, two processes",
            "calls/s",
            unary[2],
            unary[1],
            "one process",
            Target(sign="≥", bound=1.2, of_ratio=True),
        ),
        _figure(
            f"PostgreSQL: batch submit, {BATCH} a call",
            "operations/s",
            many[1],
            many[0],
            "SQLite",
        ),
    ]


def _figure(
    name: str,
    unit: str,
    rates: list[float],
    bases: list[float],
    base: str,
    target: Target | None = None,
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        value=Sample.of(rates),
        baseline=Sample.of(bases),
        baseline_name=base,
        ratio=Sample.ratio(rates, bases),
        target=target,
    )


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Those who call one server."""

    callers: Callers
    channel: grpc.aio.Channel

    async def unary(self, calls: int) -> float:
        """Return submits per second."""
        return await self.callers.rate(calls, _UNARY_WIDTH)

    async def batches(self, count: int) -> float:
        """Return operations per second."""
        submit = partial(submit_batch, TaskServiceStub(self.channel), batch_request())
        return (await in_flight(submit, count, _BATCH_WIDTH)).rate * BATCH


@asynccontextmanager
async def _crowd(
    bench: Bench, name: str, store: str | None = None, *, processes: int = 1
) -> AsyncGenerator[_Crowd]:
    many = ("--processes", str(processes)) if processes > 1 else ()
    message = submit_request().SerializeToString()
    async with (
        bench.server(name, *many, store=store) as server,
        connected(server.address) as channel,
        callers(server.address, _CONNECTIONS, _METHOD, message) as cheap,
    ):
        await publish(channel)
        yield _Crowd(cheap, channel)

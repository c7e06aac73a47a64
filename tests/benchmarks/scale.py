"""A long queue and a long history on PostgreSQL, against a database that is all but empty.

How long both are is said by `--waiting` and `--ended`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc

from longshore.core.filters import EVERYTHING
from longshore.core.operations import Kind, State
from longshore.core.orders import NEWEST_FIRST
from longshore.core.page_tokens import PageToken, list_question
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.history import history
from tests.benchmarks.load import in_flight
from tests.benchmarks.messages import BATCH, batch_request, submit_request
from tests.benchmarks.postgres import postgres
from tests.benchmarks.samples import Sample
from tests.benchmarks.watchers import crowd_of
from tests.benchmarks.workers import run_raw
from tests.tools.cluster import Cluster

_TARGET: Final = Target(sign="≤", bound=1.5, of_ratio=True)
_AT_ONCE: Final = 100
_WIDTH: Final = 64
_SUBMITS: Final = 1_000
_PAGES: Final = 10
_TURNS: Final = 20


@dataclass(frozen=True, slots=True)
class _Side:
    """A server over one of both databases; all that it measures is in milliseconds."""

    channel: grpc.aio.Channel
    middle: int  #: The number of an operation that was in the middle when it began.

    @property
    def stub(self) -> TaskServiceStub:
        return TaskServiceStub(self.channel)

    async def lease(self) -> float:
        """Let a worker that does nothing take and complete one; the queue keeps its length."""
        await self.stub.BatchSubmitTasks(batch_request())
        return 1e3 / await run_raw(self.channel, BATCH, slots=_AT_ONCE)

    async def submit(self) -> float:
        call = partial(self.stub.SubmitTask, submit_request())
        return 1e3 / (await in_flight(call, _SUBMITS, _WIDTH)).rate

    async def first_page(self) -> float:
        return await self._page("")

    async def deep_page(self) -> float:
        """Ask for the page in the middle of all that there is."""
        question = list_question("default", Kind.TASK, EVERYTHING, NEWEST_FIRST)
        return await self._page(PageToken(question, (self.middle,), 1).encode())

    async def _page(self, token: str) -> float:
        request = tasks.ListTasksRequest(page_token=token)
        start = time.perf_counter()
        for _ in range(_PAGES):
            answer = await self.stub.ListTasks(request)
            assert len(answer.tasks) == 100
        return (time.perf_counter() - start) / _PAGES * 1e3

    async def watch(self) -> float:
        """Return how long it takes until a watcher hears of a change that it asked for."""
        task_id = (await self.stub.SubmitTask(submit_request())).task.metadata.id
        async with crowd_of(self.channel, task_id) as crowd:
            await crowd.grow(1)
            turns = [await crowd.turn(task_id) for _ in range(_TURNS)]
        return sum(turns) / len(turns)


_MEASURES: Final[dict[str, Callable[[_Side], Awaitable[float]]]] = {
    f"lease, run and end one, {_AT_ONCE} slots": _Side.lease,
    f"submit, {_WIDTH} in flight, each": _Side.submit,
    "list the first 100": _Side.first_page,
    "list 100 in the middle": _Side.deep_page,
    "a change reaches a watcher": _Side.watch,
}


async def measure(bench: Bench) -> list[Figure]:
    waiting, ended = bench.size(bench.waiting, BATCH), bench.size(bench.ended, BATCH)
    async with (
        postgres() as cluster,
        _side(bench, cluster, "scale-empty", BATCH, 0) as empty,
        _side(bench, cluster, "scale-full", waiting, ended) as full,
    ):
        return [
            await _compare(
                bench, f"{waiting:,} wait, {ended:,} ended: {name}", one, empty, full
            )
            for name, one in _MEASURES.items()
        ]


async def _compare(
    bench: Bench,
    name: str,
    measured: Callable[[_Side], Awaitable[float]],
    empty: _Side,
    full: _Side,
) -> Figure:
    bases, taken = await bench.interleaved(
        partial(measured, empty), partial(measured, full), rounds=9
    )
    return Figure(
        name=name,
        unit="ms",
        value=Sample.of(taken),
        baseline=Sample.of(bases),
        baseline_name=f"{BATCH:,} wait, none ended",
        ratio=Sample.ratio(taken, bases),
        target=_TARGET,
    )


@asynccontextmanager
async def _side(
    bench: Bench, cluster: Cluster, name: str, waiting: int, ended: int
) -> AsyncGenerator[_Side]:
    async with history(bench, cluster, name) as (url, past):
        await past.grow(State.SUCCEEDED, ended)
        await past.grow(State.QUEUED, waiting)
        await past.settle()
    async with (
        bench.server(name, store=url) as server,
        connected(server.address) as channel,
    ):
        latest = await TaskServiceStub(channel).SubmitTask(submit_request())
        yield _Side(channel, latest.task.metadata.number // 2)

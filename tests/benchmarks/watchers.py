"""A thousand watchers: what they cost while nothing happens, and how soon all hear of a change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import grpc

from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.messages import publish, submit_request
from tests.benchmarks.processes import Running, echo_server
from tests.benchmarks.samples import Sample

#: Many more opened at once make the core cancel some.
_OPENED_AT_ONCE: Final = 100
_WARM_UP: Final = 50
_IDLE_SECONDS: Final = 12.0  # longer than the silence after which each is told a bookmark


if TYPE_CHECKING:
    Watch = grpc.aio.UnaryStreamCall[tasks.WatchTasksRequest, tasks.WatchTasksResponse]


@dataclass(slots=True)
class Crowd:
    """Many watches of one task, and how many of them have heard of the present change."""

    stub: TaskServiceStub
    request: tasks.WatchTasksRequest
    group: asyncio.TaskGroup  #: A watch that fails fails them all.
    heard: int = 0
    goal: int = 0
    all_heard: asyncio.Event = field(default_factory=asyncio.Event)
    readers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def grow(self, count: int) -> None:
        """Open watches, and return once each has been told how the task stands."""
        for start in range(0, count, _OPENED_AT_ONCE):
            opened = [self._open() for _ in range(min(_OPENED_AT_ONCE, count - start))]
            for call in await asyncio.gather(*opened):
                self.readers.append(self.group.create_task(self._read(call)))

    async def _open(self) -> Watch:
        call = self.stub.WatchTasks(self.request)
        await call.read()
        return call

    async def _read(self, call: Watch) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            assert isinstance(message, tasks.WatchTasksResponse)
            if message.changes:
                self.heard += 1
                if self.heard >= self.goal:
                    self.all_heard.set()

    async def hear(self, change: Awaitable[object]) -> float:
        """Return the milliseconds from a change's call to the last watcher's hearing of it."""
        self.heard, self.goal = 0, len(self.readers)
        self.all_heard.clear()
        start = time.perf_counter()
        await change
        await self.all_heard.wait()
        return (time.perf_counter() - start) * 1e3

    async def turn(self, task_id: str) -> float:
        """Suspend and resume the task; return how long hearing of it took, on average."""
        suspend = self.stub.SuspendTask(tasks.SuspendTaskRequest(id=task_id))
        milliseconds = await self.hear(suspend)
        resume = self.stub.ResumeTask(tasks.ResumeTaskRequest(id=task_id))
        return (milliseconds + await self.hear(resume)) / 2


@asynccontextmanager
async def crowd_of(channel: grpc.aio.Channel, task_id: str) -> AsyncGenerator[Crowd]:
    """Gather watchers of a task, who all leave at the end."""
    async with asyncio.TaskGroup() as group:
        request = tasks.WatchTasksRequest(ids=[task_id])
        crowd = Crowd(TaskServiceStub(channel), request, group)
        yield crowd
        for reader in crowd.readers:
            reader.cancel()


@asynccontextmanager
async def _crowd(server: Running, task_id: str) -> AsyncGenerator[Crowd]:
    async with connected(server.address) as channel, crowd_of(channel, task_id) as crowd:
        yield crowd


async def measure(bench: Bench) -> list[Figure]:
    async with bench.server("watch") as server:
        task_id, change = await _prepare(server)
        async with (
            _crowd(server, task_id) as ours,
            echo_server(change) as echo,
            _crowd(echo, task_id) as theirs,
        ):
            memory = [
                await _kibibytes(bench, *side) for side in ((echo, theirs), (server, ours))
            ]
            bare, told = await bench.interleaved(
                partial(theirs.turn, task_id), partial(ours.turn, task_id), rounds=15
            )
            watchers = len(ours.readers)
    return [
        Figure(
            name=f"memory of {watchers:,} idle watchers, each",
            unit="KiB",
            value=Sample.of(memory[1:]),
            baseline=Sample.of(memory[:1]),
            baseline_name="bare streams",
            ratio=Sample.ratio(memory[1:], memory[:1]),
            target=Target(sign="≤", bound=40),
        ),
        Figure(
            name=f"a change reaches {watchers:,} watchers",
            unit="ms",
            value=Sample.of(told),
            baseline=Sample.of(bare),
            baseline_name="bare streams",
            ratio=Sample.ratio(told, bare),
            target=Target(sign="≤", bound=1.5, of_ratio=True),
        ),
    ]


async def _prepare(server: Running) -> tuple[str, bytes]:
    """Submit the task to be watched; return its id, and what a watcher is told of a change."""
    async with connected(server.address) as channel:
        await publish(channel)
        stub = TaskServiceStub(channel)
        task_id = (await stub.SubmitTask(submit_request())).task.metadata.id
        call = stub.WatchTasks(tasks.WatchTasksRequest(ids=[task_id]))
        await call.read()
        await stub.SuspendTask(tasks.SuspendTaskRequest(id=task_id))
        change = await call.read()
        assert isinstance(change, tasks.WatchTasksResponse)
        await stub.ResumeTask(tasks.ResumeTaskRequest(id=task_id))
        call.cancel()
    return task_id, change.SerializeToString()


async def _kibibytes(bench: Bench, server: Running, crowd: Crowd) -> float:
    """Return by how much a server's resident memory grows for each watcher that it gains.

    A few are opened before, so that what the first one needs once is not counted.
    """
    await crowd.grow(_WARM_UP)
    before = server.resident_bytes()
    watchers = bench.size(1_000, 100)
    await crowd.grow(watchers - _WARM_UP)
    bench.say(f"{watchers:,} watchers are idle for a while")
    await asyncio.sleep(bench.size(_IDLE_SECONDS, 0.2))
    return (server.resident_bytes() - before) / (watchers - _WARM_UP) / 1024

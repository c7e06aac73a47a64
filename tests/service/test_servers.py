"""Two servers over one database, as callers, workers and probes see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from longshore.engine.clock import MovableClock
from longshore.engine.settings import EngineSettings
from longshore.v1 import catalog_service_pb2
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.server_service_pb2 import GetCallerRequest
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    ListTasksRequest,
    RunTaskRequest,
    StreamResultsRequest,
    TaskSpec,
    WatchTasksRequest,
)
from longshore.v1.worker_service_pb2 import ListWorkersRequest
from tests.service.harness import (
    PATIENCE_SECONDS,
    Watch,
    World,
    call,
    options,
    publish,
    refused,
    serving,
    stevedore,
    submission,
)
from tests.tools.postgres import databases

#: Silence is broken soon, and workers are given up late.
SETTINGS = EngineSettings(bookmark_seconds=0.2)


class Pair(NamedTuple):
    """Two servers over one database."""

    a: World
    b: World


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def pair(tmp_path: Path, clock: MovableClock) -> AsyncGenerator[Pair]:
    url = databases().url(tmp_path)
    place = tmp_path / "store"
    async with (
        serving(place, SETTINGS, clock, database=url) as a,
        serving(place, SETTINGS, clock, database=url) as b,
    ):
        await publish(a)
        # Whoever has written once has heard of all before.
        await refused(b.tasks.CancelTask(CancelTaskRequest(id="1")))
        yield Pair(a, b)
    databases().drop(tmp_path)


def states(changes: list[Any]) -> list[int]:
    return [one.task.status.state for one in changes]


async def test_a_task_that_is_run_here_by_a_worker_there_is_told_to_its_end(
    pair: Pair,
) -> None:
    async with stevedore(pair.b) as worker:
        stream = pair.a.tasks.RunTask(RunTaskRequest(spec=submission().spec))
        await worker.run_next(done=True)
        messages = await Watch(stream).rest()
    changes = [change for message in messages for change in message.changes]
    assert states(changes)[-1] == pb.STATE_SUCCEEDED
    assert messages[-1].end == pb.END_DONE


async def test_workers_are_listed_wherever_their_streams_end(pair: Pair) -> None:
    async with stevedore(pair.b, name="there", slots=3) as worker:
        await pair.b.submit(submission())
        await worker.hear()
        listed = await pair.a.workers.ListWorkers(ListWorkersRequest())
    (shown,) = (one for one in listed.workers if one.name == "there")
    assert (shown.connected, shown.running, shown.slots) == (True, 1, 3)
    assert shown.HasField("connect_time")
    assert shown.HasField("last_seen_time")


async def test_what_one_server_was_told_the_other_knows_at_once(pair: Pair) -> None:
    for turn in range(10):
        here, there = pair if turn % 2 else reversed(pair)
        offer = Service(slug=f"press{turn}", actions=[ServiceAction(slug="print")])
        async with stevedore(here, [offer], queues=["default"]) as worker:
            run = RunTaskRequest(spec=submission(call("print"), service=offer.slug).spec)
            stream = there.tasks.RunTask(run)
            await there.submit(submission(call("print"), service=offer.slug))
            await worker.run_next()
            await worker.run_next()
            await Watch(stream).rest()


async def test_a_schedule_submits_once_whoever_looks_at_the_clock(
    pair: Pair, clock: MovableClock
) -> None:
    schedule = catalog_service_pb2.Schedule(
        name="often", interval=Duration(seconds=3_600), task=TaskSpec(actions=[call("noop")])
    )
    request = catalog_service_pb2.ApplyScheduleRequest(schedule=schedule)
    await pair.a.catalog.ApplySchedule(request)
    watch = Watch(pair.b.tasks.WatchTasks(WatchTasksRequest(after_revision=0)))
    for _ in range(10):
        clock.move(3_600_000)
        await watch.until(bool)
    listed = await pair.a.tasks.ListTasks(ListTasksRequest(page_size=1_000))
    times = [one.metadata.request_id for one in listed.tasks]
    assert len(set(times)) == len(times) == 10


async def test_a_result_reaches_who_listens_at_another_server(pair: Pair) -> None:
    caller = await pair.a.servers.GetCaller(GetCallerRequest())
    results = pair.a.tasks.StreamResults(StreamResultsRequest(stream=caller.stream))
    channel = options(delivery=pb.DELIVERY_MODE_CHANNEL)
    async with stevedore(pair.b) as worker:
        task = await pair.b.submit(submission(options=channel))
        await worker.run_next(done=True)
        message = await result(results)
    assert message.task.metadata.id == task.metadata.id


async def result(stream: Any) -> Any:
    """Return the first message that is no heartbeat."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (message := await stream.read()) is not grpc.aio.EOF:
            if message.HasField("task"):
                return message
    raise AssertionError("the stream ended")


async def test_streams_go_on_after_an_outage_and_health_tells_of_it(
    pair: Pair, tmp_path: Path
) -> None:
    probes: list[Any] = []
    watches: list[Watch] = []
    for world in pair:
        stub: Any = health_pb2_grpc.HealthStub(world.channel)
        probes.append(stub.Watch(health_pb2.HealthCheckRequest()))
        watches.append(Watch(world.tasks.WatchTasks(WatchTasksRequest(after_revision=0))))
    caller = await pair.a.servers.GetCaller(GetCallerRequest())
    results = pair.a.tasks.StreamResults(StreamResultsRequest(stream=caller.stream))
    assert not (await results.read()).HasField("task")
    for probe in probes:
        assert (await probe.read()).status == health_pb2.HealthCheckResponse.SERVING
    with databases().gone(tmp_path):
        for world, probe in zip(pair, probes, strict=True):
            refusal = await refused(world.submit(submission()))
            assert refusal.code == StatusCode.UNAVAILABLE
            assert (await probe.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for watch in watches:
            for _ in range(2):  # A bookmark may have been on its way.
                assert not (await watch.message()).changes
    for probe in probes:
        assert (await probe.read()).status == health_pb2.HealthCheckResponse.SERVING
        probe.cancel()
    channel = options(delivery=pb.DELIVERY_MODE_CHANNEL)
    async with stevedore(pair.b) as worker:
        task = await pair.a.submit(submission(options=channel))
        await worker.run_next(done=True)
    assert (await result(results)).task.metadata.id == task.metadata.id
    for watch in watches:
        changes = await watch.until(
            lambda changes: bool(changes) and states(changes)[-1] == pb.STATE_SUCCEEDED
        )
        assert changes[-1].task.metadata.id == task.metadata.id


async def test_streams_are_told_to_go_elsewhere_when_the_store_is_gone_for_long(
    tmp_path: Path,
) -> None:
    url = databases().url(tmp_path)
    settings = EngineSettings(
        bookmark_seconds=0.2, beat_seconds=0.05, time_to_live_seconds=PATIENCE_SECONDS
    )
    async with serving(tmp_path / "store", settings, database=url) as world:
        task = await world.submit(submission(options=options(allow_unregistered=True)))
        watch = Watch(world.tasks.WatchTasks(WatchTasksRequest(after_revision=0)))
        caller = await world.servers.GetCaller(GetCallerRequest())
        results = world.tasks.StreamResults(StreamResultsRequest(stream=caller.stream))
        assert not (await results.read()).HasField("task")
        (change,) = await watch.until(bool)
        with databases().gone(tmp_path):
            messages = await watch.rest()
            last = await last_of(results)
    assert change.event.operation_id == task.metadata.id
    assert messages[-1].end == last.end == pb.END_RECONNECT
    assert messages[-1].revision >= change.event.revision
    databases().drop(tmp_path)


async def last_of(stream: Any) -> Any:
    """Return the last message of a stream."""
    last: Any = None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (message := await stream.read()) is not grpc.aio.EOF:
            last = message
    return last

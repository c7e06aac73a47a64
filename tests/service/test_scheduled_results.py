"""Schedules whose tasks take files, deliver their results, and call back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from longshore.core.callbacks import CALLBACKS_QUEUE
from longshore.engine.clock import MovableClock
from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import ListTasksRequest, Task, TaskSpec
from tests.service.harness import (
    World,
    call,
    options,
    publish,
    serving,
    stevedore,
    upload,
)
from tests.service.test_fetching import ended, fetched
from tests.service.test_file_arguments import OFFERED
from tests.service.test_schedules import apply, moved_on, schedule, submitted

MINUTE = 60_000  #: In milliseconds.
SPAN = Duration(seconds=60)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def world(tmp_path: Path, clock: MovableClock) -> AsyncIterator[World]:
    """A server by a clock that is moved, which knows of actions that read files."""
    async with serving(tmp_path / "longshore.db", clock=clock) as running:
        await publish(running, OFFERED)
        yield running


async def fired(world: World, clock: MovableClock, **asked: object) -> Task:
    """Return the task that a schedule has submitted after a minute."""
    spec = TaskSpec(actions=[call("find")])
    kept = await apply(world, schedule(interval=SPAN, task=spec, options=options(**asked)))
    clock.move(MINUTE)
    await moved_on(world, kept)
    answer = await world.tasks.ListTasks(ListTasksRequest())
    (task,) = answer.tasks
    assert isinstance(task, Task)
    return task


async def test_a_result_of_a_schedule_is_stored(world: World, clock: MovableClock) -> None:
    task = await fired(world, clock, delivery=pb.DELIVERY_MODE_STORE)
    async with stevedore(world, OFFERED) as worker:
        await worker.run_next(answer=42)
        status = await ended(world, task.metadata.id)
    assert status.delivery.state == pb.DELIVERY_STATE_COMPLETE
    assert (await fetched(world, task.metadata.id))[1] == b'{"answer":42}'


async def test_a_result_of_a_schedule_comes_into_the_channel_of_whoever_applied_it(
    world: World, clock: MovableClock
) -> None:
    task = await fired(world, clock, delivery=pb.DELIVERY_MODE_CHANNEL)
    assert task.status.delivery.stream == "anonymous"


async def test_the_end_of_a_scheduled_task_is_called_back(
    world: World, clock: MovableClock
) -> None:
    task = await fired(world, clock, callback=pb.Callback(url="https://example.org"))
    async with stevedore(world, OFFERED) as worker:
        await worker.run_next()
        await ended(world, task.metadata.id)
    asked = ListTasksRequest(filter=f'queue = "{CALLBACKS_QUEUE}"')
    assert len((await world.tasks.ListTasks(asked)).tasks) == 1


async def test_a_scheduled_task_takes_its_file_as_long_as_that_is_there(
    world: World, clock: MovableClock
) -> None:
    file = await upload(world, b"a", expire_after=timedelta(seconds=90))
    spec = TaskSpec(actions=[call("read", {"input": file.file_id})])
    kept = await apply(world, schedule(interval=SPAN, task=spec))
    async with stevedore(world, OFFERED) as worker:
        clock.move(MINUTE)
        kept = await moved_on(world, kept)
        await worker.run_next()
    before = await submitted(world)
    clock.move(MINUTE)
    kept = await moved_on(world, kept)
    assert await submitted(world) == before

"""Deliveries: how far a result is on its way, told at every stage and nowhere shown itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from longshore.core.limits import PAYLOAD_BYTES
from longshore.engine.clock import Alarm, SystemClock
from longshore.v1 import operation_pb2 as pb
from longshore.v1.operation_service_pb2 import GetHistoryRequest
from longshore.v1.task_service_pb2 import (
    AcknowledgeResultsRequest,
    BatchGetTasksRequest,
    CancelTaskRequest,
    FetchTaskResultRequest,
    ListTasksRequest,
    ResubmitTaskRequest,
    Task,
    WatchTasksRequest,
)
from tests.service.harness import (
    PATIENCE_SECONDS,
    World,
    call,
    options,
    publish,
    refused,
    serving,
    stevedore,
    submission,
)

MODES = {"STORE": pb.DELIVERY_MODE_STORE, "CHANNEL": pb.DELIVERY_MODE_CHANNEL}
STORE = options(delivery=pb.DELIVERY_MODE_STORE)

#: The seven statuses of a documented API, by the states that a task and its delivery are in.
STATUSES = {
    (pb.STATE_QUEUED, pb.DELIVERY_STATE_NONE): "Pending",
    (pb.STATE_RUNNING, pb.DELIVERY_STATE_NONE): "In progress",
    (pb.STATE_RUNNING, pb.DELIVERY_STATE_PENDING): "Work complete",
    (pb.STATE_RUNNING, pb.DELIVERY_STATE_ONGOING): "Publish ongoing, with result available",
    (pb.STATE_SUCCEEDED, pb.DELIVERY_STATE_COMPLETE): "Publish complete",
    (pb.STATE_FAILED, pb.DELIVERY_STATE_FAILED): "Publish failed",
    (pb.STATE_FAILED, pb.DELIVERY_STATE_NONE): "Task did not complete successfully.",
}


class HeldClock:
    """A clock whose alarms ring when they are told to, while it holds them."""

    def __init__(self) -> None:
        self.holds = True
        self._clock = SystemClock()
        self._held: list[HeldAlarm] = []

    def now(self) -> int:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def alarm(self, at: int, callback: Callable[[], object]) -> Alarm:
        if not self.holds:
            return self._clock.alarm(at, callback)
        self._held.append(HeldAlarm(callback))
        return self._held[-1]

    def ring(self) -> None:
        """Let what is held ring, and hold what follows from it."""
        held, self._held = self._held, []
        for alarm in held:
            if not alarm.canceled:
                alarm.callback()


class HeldAlarm:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
async def held(tmp_path: Path, clock: HeldClock) -> AsyncIterator[World]:
    """A server in which deliveries go on when the clock is told to ring."""
    async with serving(tmp_path / "longshore.db", clock=clock) as world:
        yield world


async def told(world: World, task_id: str) -> str:
    """Return the status of a task in the words of the other API, the same by every look-up."""
    found = await world.get(task_id)
    batch = await world.tasks.BatchGetTasks(BatchGetTasksRequest(ids=[task_id]))
    for status in (found.status, batch.tasks[0].status):
        assert (status.state, status.delivery.state) == (
            found.status.state,
            found.status.delivery.state,
        )
    assert batch.tasks[0].status.delivery.stream == ""
    return STATUSES[found.status.state, found.status.delivery.state]


async def next_stage(world: World, clock: HeldClock, task_id: str) -> str:
    """Let a delivery go on and return how it is told then."""
    before = (await world.get(task_id)).status.revision
    clock.ring()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await world.get(task_id)).status.revision == before:
            await asyncio.sleep(0)
    return await told(world, task_id)


async def ended(world: World, task_id: str) -> pb.Status:
    async for _ in world.tasks.WatchTasks(WatchTasksRequest(ids=[task_id])):
        pass
    return (await world.get(task_id)).status


async def fetched(world: World, task_id: str) -> bytes:
    request = FetchTaskResultRequest(id=task_id)
    return b"".join([one.data async for one in world.tasks.FetchTaskResult(request)])


async def submitted(world: World, mode: str = "STORE", *calls: Any, **fields: Any) -> str:
    wanted = options(delivery=MODES[mode])
    return (await world.submit(submission(*calls, options=wanted, **fields))).metadata.id


async def acknowledge(world: World, task_id: str) -> None:
    await world.tasks.AcknowledgeResults(AcknowledgeResultsRequest(ids=[task_id]))


async def history(world: World, task_id: str, *details: str) -> list[pb.Event]:
    request = GetHistoryRequest(id=task_id, details=details)
    return list((await world.operations.GetHistory(request)).events)


@pytest.mark.parametrize("mode", MODES)
async def test_seven_statuses_are_told_apart(held: World, clock: HeldClock, mode: str) -> None:
    await publish(held)
    task_id = await submitted(held, mode)
    seen = [await told(held, task_id)]
    async with stevedore(held) as worker:
        assignment = await worker.assigned()
        seen.append(await told(held, task_id))
        await worker.complete(assignment, sum=7)
        seen.append(await told(held, task_id))
        early = await refused(fetched(held, task_id))
        assert early.reason == "WRONG_STATE"
        seen.append(await next_stage(held, clock, task_id))
        assert await fetched(held, task_id) == b'{"sum":7}'
        seen.append(await next_stage(held, clock, task_id))
        assert await fetched(held, task_id) == b'{"sum":7}'
        large = await submitted(held, mode)
        await worker.run_next(text="x" * PAYLOAD_BYTES)
        seen.append(await told(held, large))
        failed = await submitted(held, mode)
        await worker.fail(await worker.assigned(), "the crane is broken")
        seen.append(await told(held, failed))
    assert seen == [
        "Pending",
        "In progress",
        "Work complete",
        "Publish ongoing, with result available",
        "Publish complete",
        "Publish failed",
        "Task did not complete successfully.",
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_history_tells_every_stage(world: World, mode: str) -> None:
    async with stevedore(world) as worker:
        task_id = await submitted(world, mode)
        await worker.run_next(sum=7)
    await ended(world, task_id)
    await acknowledge(world, task_id)
    events = await history(world, task_id, "delivery_changed")
    deliveries = [event.delivery_changed.delivery for event in events]
    assert [one.state for one in deliveries] == [
        pb.DELIVERY_STATE_PENDING,
        pb.DELIVERY_STATE_ONGOING,
        pb.DELIVERY_STATE_COMPLETE,
        pb.DELIVERY_STATE_COMPLETE,
    ]
    assert [one.HasField("retrieve_time") for one in deliveries] == [False, False, False, True]
    assert {one.mode for one in deliveries} == {MODES[mode]}
    assert {one.stream for one in deliveries} == {"anonymous" if mode == "CHANNEL" else ""}
    assert [event.state for event in events] == [
        pb.STATE_RUNNING,
        pb.STATE_RUNNING,
        pb.STATE_RUNNING,
        pb.STATE_SUCCEEDED,
    ]
    names = [one.WhichOneof("detail") for one in await history(world, task_id)]
    assert names == [
        "submitted",
        "state_changed",
        *["delivery_changed"] * 3,
        "state_changed",
        "delivery_changed",
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [1, 2])
async def test_a_result_is_shown_to_nobody_but_its_consumer(
    world: World, mode: str, steps: int
) -> None:
    secret = "what the work gave"
    calls = [call("noop")] * steps
    watch = world.tasks.WatchTasks(WatchTasksRequest(filter="", view=pb.VIEW_FULL))
    async with stevedore(world) as worker:
        task_id = await submitted(world, mode, *calls)
        for step in range(steps):
            last = step == steps - 1
            await worker.run_next(said=secret if last else "before")
    messages: list[Any] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(
            one.task.status.state == pb.STATE_SUCCEEDED
            for message in messages
            for one in message.changes
        ):
            messages.append(await watch.read())
    watch.cancel()
    listed = await world.tasks.ListTasks(ListTasksRequest(view=pb.VIEW_FULL))
    shown = [*messages, listed, await world.get(task_id), *await history(world, task_id)]
    assert not any(secret in str(one) for one in shown)
    if steps > 1:
        assert listed.tasks[0].status.actions[0].results["said"] == "before"
    assert await fetched(world, task_id) == f'{{"said":"{secret}"}}'.encode()


@pytest.mark.parametrize("mode", MODES)
async def test_an_acknowledged_result_is_gone_and_that_is_told(world: World, mode: str) -> None:
    async with stevedore(world) as worker:
        task_id = await submitted(world, mode)
        await worker.run_next(sum=7)
    await ended(world, task_id)
    await acknowledge(world, task_id)
    gone = await refused(fetched(world, task_id))
    assert (gone.code, gone.reason) == (StatusCode.NOT_FOUND, "RESULT_CONSUMED")
    shown = (await world.get(task_id)).status
    batch = await world.tasks.BatchGetTasks(BatchGetTasksRequest(ids=[task_id]))
    assert shown.delivery.HasField("retrieve_time")
    assert shown.delivery.retrieve_time == batch.tasks[0].status.delivery.retrieve_time
    assert shown.delivery.state == pb.DELIVERY_STATE_COMPLETE
    assert shown.state == pb.STATE_SUCCEEDED


async def test_what_can_be_fetched_can_be_acknowledged_before_it_has_succeeded(
    held: World, clock: HeldClock
) -> None:
    async with stevedore(held) as worker:
        task_id = await submitted(held, "CHANNEL")
        await worker.run_next(sum=7)
    early = await refused(acknowledge(held, task_id))
    assert early.reason == "WRONG_STATE"
    await next_stage(held, clock, task_id)
    await acknowledge(held, task_id)
    assert (await refused(fetched(held, task_id))).reason == "RESULT_CONSUMED"
    assert await told(held, task_id) == "Publish complete"
    assert (await held.get(task_id)).status.delivery.HasField("retrieve_time")


@pytest.mark.parametrize("stages", [0, 1])
async def test_who_cancels_with_force_ends_a_delivery_under_way(
    held: World, clock: HeldClock, stages: int
) -> None:
    async with stevedore(held) as worker:
        task_id = await submitted(held)
        await worker.run_next(sum=7)
    for _ in range(stages):
        await next_stage(held, clock, task_id)
    request = CancelTaskRequest(id=task_id, message="too late", force=True)
    status = (await held.tasks.CancelTask(request)).task.status
    assert (status.state, status.delivery.state) == (
        pb.STATE_CANCELED,
        pb.DELIVERY_STATE_FAILED,
    )
    assert status.message == "too late"
    assert (await refused(fetched(held, task_id))).reason == "WRONG_STATE"


async def test_who_cancels_what_is_done_is_too_late(held: World, clock: HeldClock) -> None:
    async with stevedore(held) as worker:
        task_id = await submitted(held)
        await worker.run_next(sum=7)
    status = (await held.tasks.CancelTask(CancelTaskRequest(id=task_id))).task.status
    assert status.cancel_requested
    clock.holds = False
    clock.ring()
    assert (await ended(held, task_id)).state == pb.STATE_SUCCEEDED
    assert await fetched(held, task_id) == b'{"sum":7}'


async def test_a_result_that_is_too_large_fails_its_delivery(world: World) -> None:
    async with stevedore(world) as worker:
        task_id = await submitted(world)
        await worker.run_next(text="x" * PAYLOAD_BYTES)
    status = await ended(world, task_id)
    assert (status.state, status.delivery.state) == (pb.STATE_FAILED, pb.DELIVERY_STATE_FAILED)
    assert "save larger data as files" in status.error.message
    assert (await refused(fetched(world, task_id))).reason == "WRONG_STATE"


async def test_what_is_resubmitted_is_delivered_anew(world: World) -> None:
    async with stevedore(world) as worker:
        task_id = await submitted(world, "CHANNEL")
        await worker.run_next(sum=7)
        await ended(world, task_id)
        await acknowledge(world, task_id)
        answer = await world.tasks.ResubmitTask(ResubmitTaskRequest(id=task_id))
        again: Task = answer.task
        assert again.status.delivery == pb.Delivery(
            mode=pb.DELIVERY_MODE_CHANNEL, state=pb.DELIVERY_STATE_NONE, stream="anonymous"
        )
        await worker.run_next(sum=8)
        await ended(world, again.metadata.id)
    assert await fetched(world, again.metadata.id) == b'{"sum":8}'
    assert (await refused(fetched(world, task_id))).reason == "RESULT_CONSUMED"


async def test_a_task_without_a_delivery_shows_its_result_and_no_delivery(world: World) -> None:
    for mode in (pb.DELIVERY_MODE_UNSPECIFIED, pb.DELIVERY_MODE_NONE):
        async with stevedore(world) as worker:
            task = await world.submit(submission(options=options(delivery=mode)))
            await worker.run_next(sum=7)
        status = await ended(world, task.metadata.id)
        assert status.result["sum"] == 7
        assert not status.HasField("delivery")
        refusal = await refused(acknowledge(world, task.metadata.id))
        assert refusal.reason == "WRONG_STATE"


async def test_a_delivery_that_is_none_is_refused(world: World) -> None:
    refusal = await refused(world.tasks.SubmitTask(submission(options=options(delivery=7))))
    assert refusal.fields == {"options.delivery": "INVALID"}

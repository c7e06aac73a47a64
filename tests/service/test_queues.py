"""Queues: listed, paused, resumed and limited, and what waiting work is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from longshore.core.changes import ExpireSessions
from longshore.core.operations import State
from longshore.core.store import Replay
from longshore.v1 import operation_pb2
from longshore.v1 import queue_service_pb2 as pb
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.launch_service_pb2 import LaunchSpec, SubmitLaunchRequest
from longshore.v1.operation_pb2 import SERVICE_KIND_RULESET
from longshore.v1.operation_service_pb2 import ExplainOperationRequest, WaitReasonKind
from longshore.v1.task_service_pb2 import WatchTasksRequest
from tests.service.harness import (
    Stevedore,
    Watch,
    World,
    options,
    publish,
    refused,
    serving,
    stevedore,
    submission,
)


async def update(world: World, name: str, tenant: str = "default", **fields: Any) -> pb.Queue:
    response = await world.queues.UpdateQueue(
        pb.UpdateQueueRequest(name=name, **fields), metadata=(("x-tenant-id", tenant),)
    )
    queue: pb.Queue = response.queue
    return queue


async def queues(world: World, tenant: str = "default", **fields: Any) -> dict[str, pb.Queue]:
    response = await world.queues.ListQueues(
        pb.ListQueuesRequest(**fields), metadata=(("x-tenant-id", tenant),)
    )
    return {one.name: one for one in response.queues}


async def submit(world: World, tenant: str = "default", **wanted: Any) -> str:
    response = await world.tasks.SubmitTask(
        submission(options=options(allow_unregistered=True, **wanted)),
        metadata=(("x-tenant-id", tenant),),
    )
    task_id: str = response.task.metadata.id
    return task_id


async def reasons(world: World, task_id: str, tenant: str = "default") -> dict[str, Any]:
    response = await world.operations.ExplainOperation(
        ExplainOperationRequest(id=task_id), metadata=(("x-tenant-id", tenant),)
    )
    return {
        WaitReasonKind.Name(one.kind).removeprefix("WAIT_REASON_KIND_"): one
        for one in response.reasons
    }


async def most_running(world: World) -> int:
    """Return how many ran at once at most, at any revision of the whole history."""
    found = await world.engine.store.events(Replay("default", 0, limit=100_000))
    running: set[int] = set()
    most = 0
    for event in found.events:
        if event.state == State.RUNNING:
            running.add(event.number)
        else:
            running.discard(event.number)
        most = max(most, len(running))
    return most


async def test_built_in_queues_are_there_and_others_once_somebody_names_them(
    world: World,
) -> None:
    assert list(await queues(world)) == ["default", "operations", "rulesets"]
    async with stevedore(world, queues=["served"]):
        pass
    await submit(world, queue="only-asked-for")
    await update(world, "named")
    assert list(await queues(world)) == [
        "default",
        "named",
        "operations",
        "rulesets",
        "served",
    ]


async def test_a_queue_tells_how_many_wait_and_run_and_since_when(world: World) -> None:
    async with stevedore(world) as worker:
        first = await submit(world)
        assignment = await worker.assigned()
        second = await submit(world)
        tomorrow = Timestamp(seconds=world.engine.clock.now() // 1_000 + 86_400)
        await submit(world, start_time=tomorrow)
        await submit(world, suspended=True)
        shown = (await queues(world))["default"]
        assert (shown.waiting, shown.running) == (2, 1)
        assert shown.oldest_time == (await world.get(second)).metadata.create_time
        assert assignment.operation_id == first
        await worker.complete(assignment)
        await worker.run_next()
    shown = (await queues(world))["default"]
    assert (shown.waiting, shown.running) == (1, 0)
    assert not shown.HasField("oldest_time")


async def test_counts_are_those_of_the_callers_tenant(world: World) -> None:
    await submit(world)
    await update(world, "night", paused=True)
    shown = await queues(world, tenant="acme")
    assert list(shown) == ["default", "operations", "rulesets"]
    assert shown["default"].waiting == 0


async def test_queues_are_listed_page_by_page(world: World) -> None:
    response = await world.queues.ListQueues(pb.ListQueuesRequest(page_size=2))
    assert [one.name for one in response.queues] == ["default", "operations"]
    token = response.next_page_token
    response = await world.queues.ListQueues(pb.ListQueuesRequest(page_token=token))
    assert [one.name for one in response.queues] == ["rulesets"]
    assert response.next_page_token == ""


async def test_wrong_pages_are_refused(world: World) -> None:
    refusal = await refused(queues(world, page_size=1_001))
    assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {"page_size": "INVALID"})
    refusal = await refused(queues(world, page_token="x"))
    assert (refusal.reason, refusal.fields) == ("INVALID_PAGE_TOKEN", {"page_token": "INVALID"})


async def test_reserved_queues_are_left_out(world: World) -> None:
    async with stevedore(world, queues=["longshore.callbacks"]):
        assert list(await queues(world)) == ["default", "operations", "rulesets"]


WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no name": ({"name": ""}, {"name": "MISSING"}),
    "a slash": ({"name": "a/b"}, {"name": "INVALID"}),
    "control characters": ({"name": "a\n"}, {"name": "INVALID"}),
    "a reserved name": ({"name": "longshore.x"}, {"name": "NOT_PERMITTED"}),
    "a limit below 0": (
        {"name": "a", "concurrency_limit": -1},
        {"concurrency_limit": "INVALID"},
    ),
    "the limit of rule sets": (
        {"name": "rulesets", "concurrency_limit": 1},
        {"concurrency_limit": "NOT_PERMITTED"},
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_change_is_refused(world: World, case: str) -> None:
    asked, fields = WRONG[case]
    refusal = await refused(update(world, **asked))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == fields
    assert await world.revision() == 0


async def test_a_name_has_at_most_63_characters(world: World) -> None:
    assert await update(world, "x" * 63)
    refusal = await refused(update(world, "x" * 64))
    assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {"name": "INVALID"})


async def test_rule_sets_run_one_at_a_time_and_may_be_paused(world: World) -> None:
    assert (await queues(world))["rulesets"].concurrency_limit == 1
    assert (await update(world, "rulesets", paused=True)).paused
    assert (await update(world, "rulesets")).concurrency_limit == 1


async def test_what_is_unset_stays_as_it_is(world: World) -> None:
    await update(world, "night", paused=True, concurrency_limit=3)
    shown = await update(world, "night")
    assert (shown.paused, shown.concurrency_limit) == (True, 3)
    shown = await update(world, "night", paused=False)
    assert (shown.paused, shown.concurrency_limit) == (False, 3)
    shown = await update(world, "night", concurrency_limit=0)
    assert (shown.paused, shown.concurrency_limit) == (False, 0)


async def test_a_paused_queue_says_who_paused_it_and_when(world: World) -> None:
    before = world.engine.clock.now()
    shown = await update(world, "default", paused=True)
    assert (shown.paused, shown.paused_by) == (True, "anonymous")
    assert before <= shown.pause_time.ToMilliseconds() <= world.engine.clock.now()
    assert await update(world, "default", paused=True) == shown
    resumed = await update(world, "default", paused=False)
    assert not resumed.paused
    assert not resumed.paused_by
    assert not resumed.HasField("pause_time")


async def test_a_paused_queue_starts_nothing_and_what_runs_goes_on(world: World) -> None:
    async with stevedore(world, slots=2, queues=["default", "other"]) as worker:
        await submit(world)
        running = await worker.assigned()
        await update(world, "default", paused=True)
        held = await submit(world)
        await submit(world, queue="other")
        other = await worker.assigned()
        assert other.operation_id != held
        await worker.complete(running)
        await worker.complete(other)
        assert (await world.get(held)).status.state == operation_pb2.STATE_QUEUED
        (kind, reason), *_ = (await reasons(world, held)).items()
        assert kind == "QUEUE_PAUSED"
        assert reason.facts["queue"] == "default"
        assert reason.facts["paused_by"] == "anonymous"
        assert reason.facts["pause_time"]
        await update(world, "default", paused=False)
        assert (await worker.run_next()).operation_id == held


@asynccontextmanager
async def working(*workers: Stevedore) -> AsyncGenerator[None]:
    """Let workers complete whatever they are given until the block ends."""

    async def work(worker: Stevedore) -> None:
        while True:
            await worker.run_next()

    running = [asyncio.create_task(work(worker)) for worker in workers]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ended(world: World, ids: list[str]) -> None:
    """Wait until all have ended."""
    watch = Watch(world.tasks.WatchTasks(WatchTasksRequest(ids=ids)))
    assert (await watch.rest())[-1].end == operation_pb2.END_DONE


async def test_no_more_of_a_limited_queue_run_than_its_limit_at_any_revision(
    world: World,
) -> None:
    await update(world, "default", concurrency_limit=2)
    waiting = [await submit(world) for _ in range(8)]
    async with (
        stevedore(world, slots=4, name="one") as one,
        stevedore(world, slots=4, name="two") as two,
        working(one, two),
    ):
        await ended(world, waiting)
    assert await most_running(world) == 2


async def test_a_limit_that_is_lowered_stops_nothing_and_starts_nothing(world: World) -> None:
    async with stevedore(world, slots=4) as worker:
        ids = [await submit(world) for _ in range(4)]
        first = [await worker.assigned() for _ in range(4)]
        await update(world, "default", concurrency_limit=1)
        late = await submit(world)
        for assignment in first[:3]:
            await worker.complete(assignment)
        assert (await world.get(late)).status.state == operation_pb2.STATE_QUEUED
        (reason,) = (await reasons(world, late)).values()
        assert reason.facts["held_by"] == ids[3]
        await worker.complete(first[3])
        assert (await worker.run_next()).operation_id == late


async def test_a_limit_that_is_raised_starts_more_at_once(world: World) -> None:
    await update(world, "default", concurrency_limit=1)
    async with stevedore(world, slots=4) as worker:
        for _ in range(3):
            await submit(world)
        await worker.assigned()
        await update(world, "default", concurrency_limit=2)
        await worker.assigned()
        await update(world, "default", concurrency_limit=0)
        await worker.assigned()


async def lose(world: World, worker: str) -> None:
    """End a worker's session as if it had been silent for too long."""
    sessions = world.engine.catalog.current.sessions.values()
    (session,) = (one for one in sessions if one.worker == worker)
    await world.engine.writer.write(ExpireSessions(((session.number, session.epoch),)))


@pytest.mark.parametrize("by", ["the queue's limit", "a concurrency key"])
async def test_limits_hold_also_when_a_worker_is_lost(world: World, by: str) -> None:
    wanted: dict[str, Any] = {}
    if by == "a concurrency key":
        wanted = {"concurrency_key": "printer", "concurrency_limit": 2}
    else:
        await update(world, "default", concurrency_limit=2)
    async with stevedore(world, slots=4, name="lost") as lost:
        ids = [await submit(world, **wanted) for _ in range(5)]
        await lost.assigned()
        await lost.assigned()
        async with stevedore(world, slots=4, name="other") as other, working(other):
            await lose(world, "lost")
            await ended(world, ids)
    assert await most_running(world) == 2


# What waiting work is told.


async def test_work_behind_a_limit_is_told_who_holds_it(world: World) -> None:
    await update(world, "default", concurrency_limit=2)
    async with stevedore(world, slots=4) as worker:
        holders = [await submit(world) for _ in range(2)]
        for _ in holders:
            await worker.assigned()
        waiting = await submit(world)
        reason = (await reasons(world, waiting))["CONCURRENCY_LIMIT"]
        assert (reason.facts["queue"], reason.facts["limit"]) == ("default", "2")
        assert sorted(reason.facts["held_by"].split(",")) == sorted(holders)
        assert all(one in reason.message for one in holders)


async def test_work_behind_a_concurrency_key_is_told_who_holds_it(world: World) -> None:
    wanted: dict[str, Any] = {"concurrency_key": "printer", "concurrency_limit": 1}
    async with stevedore(world, slots=4) as worker:
        holder = await submit(world, **wanted)
        assignment = await worker.assigned()
        waiting = await submit(world, **wanted)
        free = await submit(world)
        assert (await worker.assigned()).operation_id == free
        reason = (await reasons(world, waiting))["CONCURRENCY_KEY"]
        assert (reason.facts["concurrency_key"], reason.facts["limit"]) == ("printer", "1")
        assert reason.facts["held_by"] == holder
        await worker.complete(assignment)
        assert (await worker.run_next()).operation_id == waiting


async def test_reasons_come_in_order_and_all_at_once(world: World) -> None:
    await publish(world)
    await update(world, "default", paused=True, concurrency_limit=1)
    waiting = await submit(world, suspended=True)
    assert list(await reasons(world, waiting)) == ["SUSPENDED", "QUEUE_PAUSED", "NO_WORKER"]


RULESETS = (
    Service(
        slug="clean",
        kind=SERVICE_KIND_RULESET,
        actions=[ServiceAction(slug="run")],
    ),
)


async def launch(world: World, tenant: str) -> str:
    response = await world.launches.SubmitLaunch(
        SubmitLaunchRequest(spec=LaunchSpec(service="clean")),
        metadata=(("x-tenant-id", tenant),),
    )
    launch_id: str = response.launch.metadata.id
    return launch_id


async def test_nobody_is_told_of_another_tenants_work(world: World) -> None:
    queue = ["rulesets"]
    async with (
        stevedore(world, RULESETS, queues=queue, tenant="acme", slots=2) as theirs,
        stevedore(world, RULESETS, queues=queue, slots=2) as ours,
    ):
        other = await launch(world, "acme")
        assignment = await theirs.assigned()
        waiting = await launch(world, "default")
        reason = (await reasons(world, waiting))["CONCURRENCY_LIMIT"]
        assert (reason.facts["queue"], reason.facts["limit"]) == ("rulesets", "1")
        assert reason.facts["held_by"] == ""
        assert other not in str(reason)
        assert "others" in reason.message
        refusal = await refused(reasons(world, other))
        assert refusal.reason == "OPERATION_NOT_FOUND"
        # Their own is named to them.
        behind = await launch(world, "acme")
        reason = (await reasons(world, behind, "acme"))["CONCURRENCY_LIMIT"]
        assert reason.facts["held_by"] == other
        await theirs.complete(assignment)
        first, second = waiting, behind
        assert (await ours.assigned()).operation_id == first
        reason = (await reasons(world, second, "acme"))["CONCURRENCY_LIMIT"]
        assert reason.facts["held_by"] == ""


async def test_queues_survive_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store) as world:
        paused = await update(world, "night", paused=True, concurrency_limit=3)
    async with serving(store) as world:
        assert (await queues(world))["night"] == paused
        waiting = await submit(world, queue="night")
        async with stevedore(world, queues=["night"]) as worker:
            assert "QUEUE_PAUSED" in await reasons(world, waiting)
            await update(world, "night", paused=False)
            assert (await worker.run_next()).operation_id == waiting

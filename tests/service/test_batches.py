"""Batches of tasks, and submits that are sent again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from grpc import StatusCode

from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    SERVER_MODE_MAINTENANCE,
    SetModeRequest,
)
from longshore.v1.task_service_pb2 import (
    BatchGetTasksRequest,
    BatchSubmitTasksRequest,
    SubmitTaskRequest,
)
from tests.service.harness import (
    Refusal,
    World,
    call,
    options,
    parameter,
    publish,
    refused,
    stevedore,
    struct,
    submission,
)


async def batch(world: World, *requests: SubmitTaskRequest) -> Any:
    asked = BatchSubmitTasksRequest(requests=requests)
    return (await world.tasks.BatchSubmitTasks(asked)).results


async def test_each_submit_of_a_batch_is_answered_as_if_it_came_alone(world: World) -> None:
    await publish(world)
    results = await batch(
        world,
        submission(name="a", options=options(labels={"k": "v"}, priority=3)),
        submission(call("fly")),
        submission(call("bag", {})),
    )
    task = results[0].submitted.task
    assert results[0].submitted.created
    assert task == await world.get(task.metadata.id)
    assert Refusal.of(results[1].error).reason == "ACTION_NOT_FOUND"
    assert Refusal.of(results[2].error).fields == {
        "spec.actions[0].arguments.digest": "MISSING"
    }


async def test_a_repeat_is_found_although_workers_now_want_other_arguments(
    world: World,
) -> None:
    await publish(world)
    asked = submission(call("bag", {"digest": "a"}), service="archive", request_id="k")
    task = await world.submit(asked)
    bag = ServiceAction(slug="bag", parameters=[parameter("sum")])
    await publish(world, [Service(slug="archive", actions=[bag])])
    again = await world.tasks.SubmitTask(asked)
    assert (again.task, again.created) == (task, False)
    new = submission(call("bag", {"digest": "a"}), service="archive", request_id="new")
    found, missing = await batch(world, asked, new)
    assert (found.submitted.task, found.submitted.created) == (task, False)
    assert Refusal.of(missing.error).reason == "INVALID_FIELD"


async def test_a_key_used_twice_in_a_batch_makes_one_task(world: World) -> None:
    await publish(world)
    results = await batch(
        world,
        submission(request_id="k"),
        submission(request_id="k"),
        submission(request_id="k", name="other"),
    )
    first, second = (one.submitted for one in results[:2])
    assert (first.created, second.created) == (True, False)
    assert first.task == second.task
    reused = Refusal.of(results[2].error)
    assert (reused.code, reused.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_an_empty_batch_is_answered_by_an_empty_one(world: World) -> None:
    assert list(await batch(world)) == []


async def test_the_answer_to_a_large_batch_fits_into_a_message(world: World) -> None:
    await publish(world)
    large = struct({"a": "b" * 380_000})
    results = await batch(world, *[submission(context=large)] * 10)
    assert all(one.submitted.created for one in results)
    assert results[0].submitted.task.spec.HasField("context")
    assert not results[-1].submitted.task.spec.HasField("context")


async def test_a_submit_that_is_repeated_finds_the_first(world: World) -> None:
    async with stevedore(world) as worker:
        request = submission(request_id="k", options=options(labels={"a": "b", "c": "d"}))
        first = await world.tasks.SubmitTask(request)
        await worker.run_next(answer=1)
        again = await world.tasks.SubmitTask(request)
    assert (first.created, again.created) == (True, False)
    assert again.task.metadata == first.task.metadata
    assert again.task.status.result == struct({"answer": 1})
    assert first.task.metadata.request_id == "k"


async def test_keys_belong_to_their_tenant(world: World) -> None:
    request = submission(request_id="k", options=options(allow_unregistered=True))
    here = await world.tasks.SubmitTask(request)
    there = await world.tasks.SubmitTask(request, metadata=(("x-tenant-id", "north"),))
    assert there.created
    assert there.task.metadata.id != here.task.metadata.id
    assert there.task.metadata.tenant == "north"


async def test_simultaneous_submits_with_one_key_make_one_task(world: World) -> None:
    await publish(world)
    request = submission(request_id="k")
    responses = await asyncio.gather(*(world.tasks.SubmitTask(request) for _ in range(20)))
    assert sum(response.created for response in responses) == 1
    assert len({response.task.metadata.id for response in responses}) == 1


async def test_maintenance_refuses_new_work_and_finds_what_was_submitted(world: World) -> None:
    await publish(world)
    request = submission(request_id="k")
    await world.tasks.SubmitTask(request)
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_MAINTENANCE))
    refusal = await refused(world.tasks.SubmitTask(submission()))
    assert (refusal.code, refusal.reason) == (StatusCode.UNAVAILABLE, "MAINTENANCE")
    assert not (await world.tasks.SubmitTask(request)).created
    (result,) = await batch(world, submission())
    assert Refusal.of(result.error).reason == "MAINTENANCE"
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_ACTIVE))
    await world.submit(submission())


async def test_a_look_up_tells_how_tasks_stand(world: World) -> None:
    async with stevedore(world) as worker:
        done = await world.submit(submission(name="a"))
        await worker.run_next(answer=1)
        failed = await world.submit(submission())
        await worker.fail(await worker.assigned(), "x" * 99 + "é")
        response = await world.tasks.BatchGetTasks(
            BatchGetTasksRequest(
                ids=[failed.metadata.id, "nobody", done.metadata.id, "7", done.metadata.id]
            )
        )
    first, second, third = response.tasks
    assert [first.metadata.id, second.metadata.id] == [failed.metadata.id, done.metadata.id]
    assert third == second
    assert list(response.unknown_ids) == ["nobody", "7"]
    assert first.status.state == pb.STATE_FAILED
    assert first.status.error.message == "x" * 99
    assert first.status.error.code == 13
    assert second.metadata.create_time == done.metadata.create_time
    assert second.status.end_time.ToMilliseconds() >= second.status.start_time.ToMilliseconds()
    assert not second.status.HasField("result")
    assert not second.HasField("spec")


async def test_ten_thousand_tasks_are_looked_up_in_one_answer(world: World) -> None:
    await publish(world)
    ids: list[str] = []
    for _ in range(10):
        results = await batch(world, *[submission()] * 1_000)
        ids += [one.submitted.task.metadata.id for one in results]
    began = time.monotonic()
    response = await world.tasks.BatchGetTasks(BatchGetTasksRequest(ids=ids))
    print(f"BatchGetTasks of 10,000: {(time.monotonic() - began) * 1_000:.0f} ms")
    assert [task.metadata.id for task in response.tasks] == ids

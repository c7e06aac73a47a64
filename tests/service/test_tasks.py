"""TaskService: every method answers as the contract says."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from longshore.v1 import operation_pb2 as pb
from longshore.v1.task_service_pb2 import (
    BatchSubmitTasksRequest,
    CancelTaskRequest,
    GetTaskRequest,
    ResubmitTaskRequest,
    ResumeTaskRequest,
    RunTaskRequest,
    SuspendTaskRequest,
)
from tests.service.harness import (
    World,
    call,
    options,
    publish,
    refused,
    stevedore,
    struct,
    submission,
)


async def test_a_submitted_task_is_answered_as_it_will_be_found(world: World) -> None:
    await publish(world)
    response = await world.tasks.SubmitTask(
        submission(
            call("digest", {"path": "a.txt", "size": 3}),
            service="archive",
            name="first",
            options=options(priority=7, labels={"team": "ingest"}),
        )
    )
    assert response.created
    task = response.task
    assert task == await world.get(task.metadata.id)
    assert task == await world.get(str(task.metadata.number))
    assert task.metadata.kind == pb.KIND_TASK
    assert task.metadata.labels == {"team": "ingest"}
    assert (task.metadata.tenant, task.metadata.submitter) == ("default", "anonymous")
    assert task.metadata.request_id
    assert task.spec.actions[0].arguments["size"] == 3
    assert (task.options.queue, task.options.priority) == ("default", 7)
    assert task.status.state == pb.STATE_QUEUED
    assert [one.state for one in task.status.actions] == [pb.STATE_QUEUED]
    assert task.status.revision > 0


#: Every option, and what else has to be said with it.
OPTIONS: dict[str, dict[str, Any]] = {
    "queue": {"queue": "elsewhere"},
    "priority": {"priority": 9},
    "start_time": {"start_time": Timestamp(seconds=4_000_000_000)},
    "run_timeout": {"run_timeout": Duration(seconds=9)},
    "retry": {"retry": pb.RetryPolicy(max_attempts=2)},
    "expire_after": {"expire_after": Duration(seconds=3_600)},
    "suspended": {"suspended": True},
    "labels": {"labels": {"a": "b"}},
    "callback": {"callback": pb.Callback(url="http://127.0.0.1:9/")},
    "delivery": {"delivery": pb.DELIVERY_MODE_STORE},
    "allow_unregistered": {"allow_unregistered": True},
    "concurrency_key": {"concurrency_key": "a", "concurrency_limit": 1},
    "concurrency_limit": {"concurrency_key": "a", "concurrency_limit": 2},
    "fairness_key": {"fairness_key": "a"},
    "a channel": {"delivery": pb.DELIVERY_MODE_CHANNEL, "retry": pb.RetryPolicy()},
}


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("name", OPTIONS)
async def test_an_answer_to_a_submit_shows_what_every_option_brings(
    world: World, name: str, calls: int
) -> None:
    await publish(world)
    asked = submission(*[call("noop")] * calls, options=options(**OPTIONS[name]))
    batch = await world.tasks.BatchSubmitTasks(BatchSubmitTasksRequest(requests=[asked]))
    run = world.tasks.RunTask(RunTaskRequest(spec=asked.spec, options=asked.options))
    begun = await run.read()
    run.cancel()
    shown = [
        await world.submit(asked),
        batch.results[0].submitted.task,
        begun.changes[0].task,
    ]
    for task in shown:
        assert task == await world.get(task.metadata.id)
        assert task.status.HasField("delivery") == bool(asked.options.delivery)


def test_every_option_is_tried() -> None:
    assert OPTIONS.keys() >= set(pb.Options.DESCRIPTOR.fields_by_name)


async def test_a_task_that_has_run_shows_its_result(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(call("noop", {})))
        await worker.run_next(answer=42)
        done = await world.get(task.metadata.id)
    assert done.status.state == pb.STATE_SUCCEEDED
    assert done.status.result == struct({"answer": 42})
    assert done.status.actions[0].results == struct({"answer": 42})
    assert (done.status.attempt, done.status.worker) == (1, "stevedore")
    assert done.status.expire_time.seconds - done.status.end_time.seconds == 30 * 86_400


async def test_the_basic_view_leaves_out_arguments_context_and_results(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(
            submission(
                call("digest", {"path": "a"}), service="archive", context=struct({"a": 1})
            )
        )
        await worker.run_next(answer=42)
        basic = await world.get(task.metadata.id, view=pb.VIEW_BASIC)
    assert not basic.spec.actions[0].HasField("arguments")
    assert not basic.spec.HasField("context")
    assert not basic.status.HasField("result")
    assert not basic.status.actions[0].HasField("results")
    assert basic.status.state == pb.STATE_SUCCEEDED
    assert basic.spec.service == "archive"


async def test_a_password_reaches_the_worker_only(world: World) -> None:
    async with stevedore(world) as worker:
        secret = call("digest", {"path": "a", "token": "hush"})
        answered = await world.submit(submission(secret, service="archive"))
        assignment = await worker.assigned()
        found = await world.get(answered.metadata.id)
    assert b"hush" in assignment.arguments
    for task in (answered, found):
        assert task.spec.actions[0].arguments.fields["token"].WhichOneof("kind") == "null_value"
        assert task.spec.actions[0].arguments["path"] == "a"


async def test_a_password_in_quotes_is_hidden_as_well(world: World) -> None:
    paths = {"path": "a", "token": "'hush'"}
    asked = submission(call("digest", argument_paths=paths), service="archive")
    await publish(world)
    task = await world.submit(asked)
    basic = await world.get(task.metadata.id, view=pb.VIEW_BASIC)
    for shown in (task, basic):
        assert shown.spec.actions[0].argument_paths == {"path": "a", "token": "''"}


async def test_a_failed_task_shows_why(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        await worker.fail(await worker.assigned(), "no such file")
        failed = await world.get(task.metadata.id)
    assert failed.status.state == pb.STATE_FAILED
    assert failed.status.message == "no such file"
    assert failed.status.error.message == "no such file"
    assert failed.status.actions[0].error.message == "no such file"


async def test_a_plan_shows_each_of_its_steps(world: World) -> None:
    plan = submission(
        call("digest", {"path": "a"}, results=["digest"]),
        call("bag", argument_paths={"digest": "concat('sha256:', digest)"}),
        service="archive",
    )
    async with stevedore(world) as worker:
        task = await world.submit(plan)
        await worker.run_next(digest="abc", size=3)
        second = await worker.assigned()
        running = await world.get(task.metadata.id)
        await worker.complete(second, path="bag.zip")
        done = await world.get(task.metadata.id)
    assert second.arguments == struct({"digest": "sha256:abc"}).SerializeToString()
    first, last = running.status.actions
    assert (first.state, last.state) == (pb.STATE_SUCCEEDED, pb.STATE_RUNNING)
    assert first.results == struct({"digest": "abc"})
    assert last.start_time.ToMilliseconds() >= first.end_time.ToMilliseconds()
    assert [one.state for one in done.status.actions] == [pb.STATE_SUCCEEDED] * 2
    assert done.status.result == struct({"path": "bag.zip"})


async def test_a_missing_path_fails_the_work_by_name(world: World) -> None:
    plan = submission(call("noop"), call("bag", argument_paths={"digest": "cargo/box"}))
    async with stevedore(world) as worker:
        task = await world.submit(plan)
        await worker.run_next()
        failed = await world.get(task.metadata.id)
    assert failed.status.state == pb.STATE_FAILED
    assert "cargo/box" in failed.status.message
    assert "digest" in failed.status.message
    states = [one.state for one in failed.status.actions]
    assert states == [pb.STATE_SUCCEEDED, pb.STATE_FAILED]


async def test_arguments_that_paths_have_multiplied_fail_the_work(world: World) -> None:
    twice = call("digest", argument_paths={"path": "a", "algorithm": "a"})
    plan = submission(call("noop"), twice, context=struct({"a": "b" * 700_000}))
    async with stevedore(world) as worker:
        task = await world.submit(plan)
        await worker.run_next()
        failed = await world.get(task.metadata.id)
        assert failed.status.state == pb.STATE_FAILED
        assert "1048576" in failed.status.message
        await world.submit(submission())
        await worker.run_next()


async def test_a_task_is_suspended_resumed_and_canceled(world: World) -> None:
    await publish(world)
    task_id = (await world.submit(submission())).metadata.id
    suspended = await world.tasks.SuspendTask(SuspendTaskRequest(id=task_id))
    assert suspended.task.status.state == pb.STATE_SUSPENDED
    resumed = await world.tasks.ResumeTask(ResumeTaskRequest(id=task_id))
    assert resumed.task.status.state == pb.STATE_QUEUED
    canceled = await world.tasks.CancelTask(CancelTaskRequest(id=task_id, message="enough"))
    assert canceled.task.status.state == pb.STATE_CANCELED
    assert canceled.task.status.message == "enough"
    again = await refused(world.tasks.CancelTask(CancelTaskRequest(id=task_id)))
    assert (again.code, again.reason) == (StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert again.metadata["state"] == "CANCELED"
    assert "RUNNING" in again.metadata["expected"]


async def test_a_running_task_is_asked_to_stop(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        marked = await world.tasks.CancelTask(CancelTaskRequest(id=task.metadata.id))
        assert marked.task.status.cancel_requested
        assert marked.task.status.state == pb.STATE_RUNNING
        while not worker.stops:
            await worker.hear()
        assert worker.stops[0].number == assignment.number


async def test_a_task_is_resubmitted_as_another(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(call("bag", {"digest": "a"}), name="again"))
        early = await refused(
            world.tasks.ResubmitTask(ResubmitTaskRequest(id=task.metadata.id))
        )
        await worker.fail(await worker.assigned(), "broken")
        response = await world.tasks.ResubmitTask(
            ResubmitTaskRequest(id=task.metadata.id, from_failed=True)
        )
    assert early.reason == "WRONG_STATE"
    assert response.task.metadata.id != task.metadata.id
    assert response.task.spec == task.spec


async def test_what_nobody_knows_is_not_found(world: World) -> None:
    for unknown in ("0198c2d4-0000-7000-8000-000000000000", "12345", "nonsense", ""):
        refusal = await refused(world.tasks.GetTask(GetTaskRequest(id=unknown)))
        assert (refusal.code, refusal.reason) == (
            StatusCode.NOT_FOUND,
            "OPERATION_NOT_FOUND",
        )


async def test_tenants_do_not_see_each_other(world: World) -> None:
    await publish(world)
    task = await world.submit(submission())
    elsewhere = world.tasks.GetTask(
        GetTaskRequest(id=task.metadata.id), metadata=(("x-tenant-id", "north"),)
    )
    assert (await refused(elsewhere)).reason == "OPERATION_NOT_FOUND"


async def test_the_request_id_of_a_call_comes_back(world: World) -> None:
    await publish(world)
    asked = world.tasks.SubmitTask(submission(), metadata=(("x-request-id", "r-7"),))
    task = (await asked).task
    assert task.metadata.request_id == "r-7"
    assert ("x-request-id", "r-7") in list(await asked.trailing_metadata())
    failing = world.tasks.GetTask(GetTaskRequest(id="7"), metadata=(("x-request-id", "r-8"),))
    await refused(failing)
    assert ("x-request-id", "r-8") in list(await failing.trailing_metadata())


async def test_the_trace_context_of_a_submit_reaches_the_worker(world: World) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with stevedore(world) as worker:
        await world.tasks.SubmitTask(submission(), metadata=(("traceparent", trace),))
        assert (await worker.assigned()).traceparent == trace


async def test_a_spec_without_a_service_finds_the_action_of_any(world: World) -> None:
    async with stevedore(world) as worker:
        await world.submit(submission(call("bag", {"digest": "a"})))
        assert (await worker.assigned()).action == "bag"

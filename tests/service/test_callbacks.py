"""Callbacks: ordinary work on a queue of the server's own, told on what they are for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from longshore.core.callers import Caller
from longshore.core.changes import Delete
from longshore.core.ids import target_of
from longshore.engine.clock import MovableClock
from longshore.server.structs import to_object
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import (
    ApplyContractRequest,
    GetServiceRequest,
    ListServicesRequest,
    Service,
    ServiceAction,
)
from longshore.v1.job_service_pb2 import JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import LaunchSpec, SubmitLaunchRequest
from longshore.v1.operation_service_pb2 import (
    ExplainOperationRequest,
    GetHistoryRequest,
    GetOperationRequest,
    WaitReasonKind,
    WatchOperationsRequest,
)
from longshore.v1.queue_service_pb2 import ListQueuesRequest
from longshore.v1.server_service_pb2 import GetStatusRequest
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    ListTasksRequest,
    ResubmitTaskRequest,
    Task,
    WatchTasksRequest,
)
from longshore.v1.worker_service_pb2 import ActionFailed, WorkAssignment
from tests.service.harness import (
    OFFERS,
    Watch,
    World,
    call,
    kinds,
    options,
    publish,
    refused,
    serving,
    stevedore,
    submission,
)
from tests.service.test_nothing_is_internal import BASES, CLEAN

QUEUE = "longshore.callbacks"
URL = "http://quay.example/done"
CALLED = options(callback=pb.Callback(url=URL))
#: So long that its length is no text, which it would be taken for in another kind's place.
LONG = {"path": "a" * 200}
#: What the gateway offers.
POST_OFFICE = [Service(slug="", actions=[ServiceAction(slug="longshore.callback")])]


def postman(world: World) -> Any:
    """Connect a worker that makes callbacks."""
    return stevedore(world, POST_OFFICE, queues=[QUEUE], name="postman")


async def ended(world: World, **fields: Any) -> str:
    """Let a worker do a task that asks for a callback; return its id."""
    async with stevedore(world) as worker:
        task = await world.submit(submission(**{"options": CALLED, **fields}))
        await worker.run_next(sum=7)
    return task.metadata.id


def arguments(assignment: WorkAssignment) -> dict[str, Any]:
    return dict(to_object(Struct.FromString(assignment.arguments)))


async def callbacks(world: World) -> list[Task]:
    """Return the callbacks there are, the oldest first."""
    request = ListTasksRequest(
        filter=f'queue = "{QUEUE}"', order_by="number", view=pb.VIEW_FULL
    )
    return list((await world.tasks.ListTasks(request)).tasks)


async def history(world: World, operation_id: str, *details: str) -> list[pb.Event]:
    request = GetHistoryRequest(id=operation_id, details=details)
    return list((await world.operations.GetHistory(request)).events)


async def waits(world: World, operation_id: str) -> list[float]:
    """Return how many seconds each further attempt had to wait."""
    return [
        (event.state_changed.not_before.ToMilliseconds() - event.time.ToMilliseconds()) / 1_000
        for event in await history(world, operation_id, "state_changed")
        if event.state_changed.HasField("not_before")
    ]


async def told(world: World, operation_id: str, count: int = 1) -> list[pb.CallbackSent]:
    """Return what was told of an operation's callbacks, once there are so many."""
    watch = Watch(
        world.operations.WatchOperations(WatchOperationsRequest(filter="", after_revision=0))
    )
    changes = await watch.until(
        lambda changes: (
            sum(
                one.event.operation_id == operation_id
                and one.event.WhichOneof("detail") == "callback_sent"
                for one in changes
            )
            >= count
        )
    )
    watch.stream.cancel()
    events = await history(world, operation_id, "callback_sent")
    known = [event.revision for event in events]
    seen = [one.event.revision for one in changes]
    assert [revision for revision in seen if revision in known] == known
    return [event.callback_sent for event in events]


async def test_the_end_of_work_is_called_back_and_the_answer_told(world: World) -> None:
    task_id = await ended(world)
    number = (await world.get(task_id)).metadata.number
    async with postman(world) as worker:
        assignment = await worker.assigned()
        assert (assignment.service, assignment.action) == ("", "longshore.callback")
        assert arguments(assignment) == {
            "operation_id": task_id,
            "number": number,
            "kind": "TASK",
            "state": "SUCCEEDED",
            "url": URL,
            "method": "POST",
            "format": "native",
        }
        await worker.complete(assignment, status="204 No Content")
    assert await told(world, task_id) == [pb.CallbackSent(attempts=1, message="204 No Content")]
    shown = await world.get(task_id)
    assert shown.status.state == pb.STATE_SUCCEEDED
    last = (await history(world, task_id))[-1]
    assert (last.revision, last.state) == (shown.status.revision, pb.STATE_SUCCEEDED)


async def test_a_callback_says_how_it_is_to_be_made(world: World) -> None:
    asked = {
        pb.CALLBACK_FORMAT_NATIVE: "native",
        pb.CALLBACK_FORMAT_MDWORKBENCH: "mdworkbench",
        pb.CALLBACK_FORMAT_VITAM: "vitam",
    }
    url = "https://quay.example:8443/{id}?state={status}"
    async with postman(world) as worker:
        for form, name in asked.items():
            wanted = pb.Callback(url=url, method="PUT", format=form)
            await ended(world, options=options(callback=wanted))
            made = arguments(await worker.run_next())
            assert (made["url"], made["method"], made["format"]) == (url, "PUT", name)


async def test_callbacks_are_seen_by_who_names_them_only(world: World) -> None:
    watch = Watch(world.operations.WatchOperations(WatchOperationsRequest()))
    task_id = await ended(world)
    (callback,) = await callbacks(world)
    callback_id = callback.metadata.id
    assert callback.spec.actions[0].action == "longshore.callback"
    assert callback.options.queue == QUEUE
    assert (await world.get(callback_id)).metadata.number == callback.metadata.number
    listed = await world.tasks.ListTasks(ListTasksRequest(with_total=True))
    assert [one.metadata.id for one in listed.tasks] == [task_id]
    assert listed.total_size == 1
    status = await world.servers.GetStatus(GetStatusRequest())
    assert [(one.state, one.count) for one in status.counts] == [(pb.STATE_SUCCEEDED, 1)]
    queues = await world.queues.ListQueues(ListQueuesRequest())
    assert QUEUE not in {one.name for one in queues.queues}
    own = Watch(world.tasks.WatchTasks(WatchTasksRequest(ids=[callback_id])))
    async with postman(world) as worker:
        await worker.run_next()
    assert (await own.rest())[-1].end == pb.END_DONE
    changes = await watch.until(lambda changes: "callback_sent" in kinds(changes))
    assert {one.event.operation_id for one in changes if one.HasField("event")} == {task_id}


@pytest.mark.parametrize("view", [pb.VIEW_BASIC, pb.VIEW_FULL])
async def test_a_callback_is_told_to_who_watches_what_it_is_for(
    world: World, view: pb.View.ValueType
) -> None:
    watch = Watch(world.tasks.WatchTasks(WatchTasksRequest(view=view)))
    task_id = await ended(world)
    async with postman(world) as worker:
        await worker.run_next(status=200)
    changes = await watch.until(lambda changes: "callback_sent" in kinds(changes))
    last = changes[-1].event
    assert (last.operation_id, last.callback_sent.message) == (task_id, "200")


async def test_a_callback_that_fails_is_tried_again_until_it_is_given_up(
    tmp_path: Path,
) -> None:
    clock = MovableClock()
    async with serving(tmp_path / "longshore.db", clock=clock) as world:
        task_id = await ended(world)
        async with postman(world) as worker:
            (callback,) = await callbacks(world)
            while callback.status.state < pb.STATE_FAILED:
                assignment = await worker.assigned()
                await worker.fail(assignment, "503 Service Unavailable", permanent=False)
                callback = await world.get(callback.metadata.id)
                clock.move(300_000)  # As long as any wait.
        assert await waits(world, callback.metadata.id) == [
            *[2.0**power for power in range(9)],
            *[300.0] * 10,
        ]
        assert await told(world, task_id) == [
            pb.CallbackSent(given_up=True, attempts=20, message="503 Service Unavailable")
        ]
        assert (await world.get(task_id)).status.state == pb.STATE_SUCCEEDED


@pytest.mark.parametrize(
    "asked, kept",
    [
        ((90,), 90.0),
        ((0, 1_000_000), 1.0),  # Less than the policy of retries says.
        ((-5,), 1.0),
        ((200_000,), 86_400.0),
    ],
)
async def test_who_does_work_says_how_long_the_next_attempt_waits_at_least(
    world: World, asked: tuple[int, ...], kept: float
) -> None:
    await ended(world)
    error = Status(code=14, message="503 Service Unavailable")
    error.details.add().Pack(
        RetryInfo(retry_delay=Duration(seconds=asked[0], nanos=sum(asked[1:])))
    )
    async with postman(world) as worker:
        (callback,) = await callbacks(world)
        failed = ActionFailed(error=error)
        await worker.report(await worker.assigned(), failed=failed)
        assert await waits(world, callback.metadata.id) == [kept]


async def test_a_callback_that_can_never_arrive_is_given_up_at_once(world: World) -> None:
    task_id = await ended(world)
    async with postman(world) as worker:
        await worker.fail(await worker.assigned(), "no such host", permanent=True)
    assert await told(world, task_id) == [
        pb.CallbackSent(given_up=True, attempts=1, message="no such host")
    ]


async def test_who_cancels_a_callback_gives_it_up(world: World) -> None:
    task_id = await ended(world)
    (callback,) = await callbacks(world)
    request = CancelTaskRequest(id=callback.metadata.id, message="the quay is closed")
    await world.tasks.CancelTask(request)
    assert await told(world, task_id) == [
        pb.CallbackSent(given_up=True, message="the quay is closed")
    ]


async def canceled(world: World) -> str:
    await publish(world)
    task = await world.submit(submission(options=CALLED))
    await world.tasks.CancelTask(CancelTaskRequest(id=task.metadata.id))
    return task.metadata.id


async def failed(world: World) -> str:
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=CALLED))
        await worker.fail(await worker.assigned(), "broken")
    return task.metadata.id


async def job(world: World) -> str:
    contract: Any = BASES["Contract"]
    async with stevedore(world) as worker:
        await world.catalog.ApplyContract(ApplyContractRequest(contract=contract))
        spec = JobSpec(contract="archive", action="ingest")
        spec.variables.update(LONG)
        spec.user_attributes.update(LONG)
        answer = await world.jobs.SubmitJob(SubmitJobRequest(spec=spec, options=CALLED))
        await worker.run_next()
    return str(answer.job.metadata.id)


async def launch(world: World) -> str:
    async with stevedore(world, [*OFFERS, CLEAN], queues=["rulesets"]) as worker:
        spec = LaunchSpec(service="clean")
        spec.arguments.update(LONG)
        request = SubmitLaunchRequest(spec=spec, options=CALLED)
        answer = await world.launches.SubmitLaunch(request)
        await worker.run_next()
    return str(answer.launch.metadata.id)


@pytest.mark.parametrize(
    "begin, kind, state",
    [
        (canceled, "TASK", "CANCELED"),
        (failed, "TASK", "FAILED"),
        (job, "JOB", "SUCCEEDED"),
        (launch, "LAUNCH", "SUCCEEDED"),
    ],
)
async def test_every_end_of_every_kind_is_called_back(
    world: World, begin: Callable[[World], Awaitable[str]], kind: str, state: str
) -> None:
    operation_id = await begin(world)
    async with postman(world) as worker:
        made = arguments(await worker.run_next())
    assert (made["operation_id"], made["kind"], made["state"]) == (operation_id, kind, state)
    assert await told(world, operation_id) == [pb.CallbackSent(attempts=1)]


async def test_a_delivered_result_is_called_back_once_it_is_held(world: World) -> None:
    wanted = options(callback=CALLED.callback, delivery=pb.DELIVERY_MODE_STORE)
    async with postman(world) as worker:
        task_id = await ended(world, options=wanted)
        assignment = await worker.assigned()
        delivery = (await world.get(task_id)).status.delivery
        assert delivery.state == pb.DELIVERY_STATE_COMPLETE
        await worker.complete(assignment)
    assert len(await told(world, task_id)) == 1


async def test_a_callback_outlives_what_it_is_for(world: World) -> None:
    task_id = await ended(world)
    async with postman(world) as worker:
        assignment = await worker.assigned()
        target = target_of(task_id)
        await world.engine.writer.write(Delete(Caller(), target))
        settled = await worker.complete(assignment)
        assert not settled.HasField("error")
    (callback,) = await callbacks(world)
    assert callback.status.state == pb.STATE_SUCCEEDED
    refusal = await refused(world.operations.GetOperation(GetOperationRequest(id=task_id)))
    assert refusal.reason == "OPERATION_NOT_FOUND"


async def test_why_a_callback_waits_is_explained(world: World) -> None:
    await ended(world)
    (callback,) = await callbacks(world)
    request = ExplainOperationRequest(id=callback.metadata.id)
    (reason,) = (await world.operations.ExplainOperation(request)).reasons
    assert reason.kind == WaitReasonKind.WAIT_REASON_KIND_NO_WORKER
    assert reason.facts["queue"] == QUEUE
    assert "longshore.callback" in reason.message


async def test_what_is_resubmitted_calls_again_and_so_does_a_resubmitted_callback(
    world: World,
) -> None:
    task_id = await ended(world)
    async with postman(world) as worker:
        await worker.fail(await worker.assigned(), "no such host", permanent=True)
        (callback,) = await callbacks(world)
        again = ResubmitTaskRequest(id=callback.metadata.id)
        repeated = (await world.tasks.ResubmitTask(again)).task
        assert repeated.options.queue == QUEUE
        assert arguments(await worker.run_next())["operation_id"] == task_id
        assert [one.given_up for one in await told(world, task_id, 2)] == [True, False]
        async with stevedore(world) as first:
            request = ResubmitTaskRequest(id=task_id)
            second = (await world.tasks.ResubmitTask(request)).task.metadata.id
            await first.run_next()
        assert arguments(await worker.run_next())["operation_id"] == second
    assert [one.given_up for one in await told(world, second)] == [False]
    assert len(await told(world, task_id, 2)) == 2


async def test_a_plan_calls_once_at_its_end(world: World) -> None:
    async with stevedore(world) as worker, postman(world) as office:
        await world.submit(submission(call("noop"), call("carry"), options=CALLED))
        await worker.run_next()
        await worker.run_next()
        assert arguments(await office.run_next())["state"] == "SUCCEEDED"
    assert len(await callbacks(world)) == 1


async def test_who_makes_callbacks_offers_nothing_to_callers(world: World) -> None:
    async with stevedore(world), postman(world):
        listed = await world.catalog.ListServices(ListServicesRequest())
        assert {action.slug for one in listed.services for action in one.actions} == {
            action.slug for one in OFFERS for action in one.actions
        }
        mixed = Service(
            slug="mixed", actions=[*POST_OFFICE[0].actions, ServiceAction(slug="sort")]
        )
        async with stevedore(world, [mixed], name="mixed"):
            request = GetServiceRequest(slug="mixed")
            found = (await world.catalog.GetService(request)).service
            assert [one.slug for one in found.actions] == ["sort"]
    named = await refused(world.tasks.SubmitTask(submission(call("longshore.callback"))))
    assert named.reason == "ACTION_NOT_FOUND"

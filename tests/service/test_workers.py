"""WorkerService, spoken by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from longshore.engine.settings import EngineSettings
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import (
    GetServiceRequest,
    Parameter,
    Service,
    ServiceAction,
)
from longshore.v1.task_service_pb2 import CancelTaskRequest
from longshore.v1.worker_service_pb2 import (
    STOP_REASON_CANCEL_REQUESTED,
    STOP_REASON_LEASE_LOST,
    STOP_REASON_TIMED_OUT,
    ActionCompleted,
    ActionReleased,
    ActionStopped,
    HeldLease,
    Hello,
    ListWorkersRequest,
    WorkRequest,
)
from tests.service.harness import (
    OFFERS,
    PATIENCE_SECONDS,
    Refusal,
    Stevedore,
    World,
    call,
    options,
    parameter,
    publish,
    refused,
    serving,
    stevedore,
    submission,
)


async def opened(world: World, **hello: Any) -> Stevedore:
    """Return a worker whose stream the test ends."""
    worker = Stevedore(world.workers.Work())
    fields: dict[str, Any] = {"worker": "hand", "services": OFFERS, "slots": 1, **hello}
    await worker.say(hello=Hello(**fields))
    worker.welcome = (await worker.hear()).welcome
    return worker


async def test_a_worker_is_welcomed(world: World) -> None:
    async with stevedore(world) as worker:
        assert len(worker.welcome.session_id) >= 43
        assert worker.welcome.epoch == 1
        assert worker.welcome.beat_interval == Duration(seconds=5)
        assert worker.welcome.time_to_live == Duration(seconds=30)


def taking(*parameters: Parameter) -> Service:
    """Return a service whose one action takes these."""
    return Service(slug="s", actions=[ServiceAction(slug="a", parameters=parameters)])


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no name": ({"worker": ""}, "INVALID_FIELD", "hello.worker"),
    "a long name": ({"worker": "a" * 64}, "LIMIT_EXCEEDED", "hello.worker"),
    "no slots": ({"slots": 0}, "INVALID_FIELD", "hello.slots"),
    "no actions": ({"services": []}, "INVALID_FIELD", "hello.services"),
    "an empty queue": ({"queues": [""]}, "INVALID_FIELD", "hello.queues[0]"),
    "a made-up session": ({"session_id": "abc"}, "INVALID_FIELD", "hello.session_id"),
    "an action twice": (
        {"services": [Service(actions=[ServiceAction(slug="a")] * 2)]},
        "INVALID_FIELD",
        "hello.services[0].actions[1].slug",
    ),
    "an action of no service twice": (
        {"services": [Service(actions=[ServiceAction(slug="a")])] * 2},
        "INVALID_FIELD",
        "hello.services[1].actions[0].slug",
    ),
    "a service twice": (
        {"services": [Service(slug="s", actions=[ServiceAction(slug=a)]) for a in "ab"]},
        "INVALID_FIELD",
        "hello.services[1].slug",
    ),
    "a parameter twice": (
        {"services": [taking(parameter("p"), parameter("p", "INTEGER"))]},
        "INVALID_FIELD",
        "hello.services[0].actions[0].parameters[1].slug",
    ),
    "a parameter without a type": (
        {"services": [taking(Parameter(slug="p"))]},
        "INVALID_FIELD",
        "hello.services[0].actions[0].parameters[0].type",
    ),
    "a parameter of a type that is none": (
        {"services": [taking(Parameter(slug="p", type=99))]},  # type: ignore[arg-type]
        "INVALID_FIELD",
        "hello.services[0].actions[0].parameters[0].type",
    ),
    "a slash": (
        {"services": [Service(actions=[ServiceAction(slug="a/b")])]},
        "INVALID_FIELD",
        "hello.services[0].actions[0].slug",
    ),
    "a kind of no name": (
        {"services": [Service(slug="s", kind=9, actions=[ServiceAction(slug="a")])]},  # type: ignore[arg-type]
        "INVALID_FIELD",
        "hello.services[0].kind",
    ),
    "a rule set of no name": (
        {
            "services": [
                Service(kind=pb.SERVICE_KIND_RULESET, actions=[ServiceAction(slug="a")])
            ]
        },
        "INVALID_FIELD",
        "hello.services[0].slug",
    ),
    "a rule set of two actions": (
        {
            "services": [
                Service(
                    slug="rules",
                    kind=pb.SERVICE_KIND_RULESET,
                    actions=[ServiceAction(slug="a"), ServiceAction(slug="b")],
                )
            ]
        },
        "INVALID_FIELD",
        "hello.services[0].actions",
    ),
    "an operation service of none": (
        {
            "services": [
                Service(actions=[ServiceAction(slug="a")]),
                Service(slug="mirror", kind=pb.SERVICE_KIND_OPERATION),
            ]
        },
        "INVALID_FIELD",
        "hello.services[1].actions",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_wrong_hello_is_refused(world: World, name: str) -> None:
    fields, reason, field = FAULTS[name]
    refusal = await refused(opened(world, **fields))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, reason)
    assert field in refusal.fields


async def test_a_stream_begins_with_a_hello(world: World) -> None:
    stream = world.workers.Work()
    await stream.write(WorkRequest(draining=True))
    refusal = await refused(stream.read())
    assert refusal.fields == {"hello": "MISSING"}


async def test_work_goes_to_the_queue_and_actions_that_a_worker_has(world: World) -> None:
    async with (
        stevedore(world, queues=["day", "night"], slots=4) as worker,
        stevedore(world, queues=["day"], name="other") as other,
    ):
        await world.submit(submission(options=options(queue="night", priority=4)))
        await world.submit(submission(call("bag", {"digest": "x"}), service="archive"))
        assignment = await worker.assigned()
        assert (assignment.service, assignment.action) == ("", "noop")
        assert (assignment.attempt, assignment.step, assignment.tenant) == (1, 0, "default")
        del other


async def test_actions_of_no_service_stay_known_whoever_offers_others(world: World) -> None:
    async with (
        stevedore(world, [Service(actions=[ServiceAction(slug="weigh")])]) as one,
        stevedore(world, [Service(actions=[ServiceAction(slug="count")])], name="two") as two,
    ):
        for action, worker in (("weigh", one), ("count", two)):
            await world.submit(submission(call(action)))
            assert (await worker.assigned()).action == action
        shown = await world.catalog.GetService(GetServiceRequest(slug=""))
        assert [action.slug for action in shown.service.actions] == ["count", "weigh"]


async def test_a_report_is_applied_once_however_often_it_is_sent(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        first = await worker.complete(assignment, answer=1)
        assert not first.HasField("error")
        worker.sequences[assignment.lease_token] = 0
        again = await worker.complete(assignment, answer=2)
        assert not again.HasField("error")
        assert (await world.get(task.metadata.id)).status.result["answer"] == 1


async def test_a_stale_report_changes_nothing(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        assignment.lease_token += 1
        settled = await worker.complete(assignment)
        assert Refusal.of(settled.error).reason == "LEASE_LOST"
        assert (await world.get(task.metadata.id)).status.state == pb.STATE_RUNNING


async def test_a_canceled_task_is_stopped_by_its_worker(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        await world.tasks.CancelTask(CancelTaskRequest(id=task.metadata.id))
        while not worker.stops:
            await worker.hear()
        assert worker.stops[0].reason == STOP_REASON_CANCEL_REQUESTED
        await worker.report(assignment, stopped=ActionStopped())
        assert (await world.get(task.metadata.id)).status.state == pb.STATE_CANCELED


async def test_a_forced_cancel_takes_the_lease(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        cancel = CancelTaskRequest(id=task.metadata.id, message="wrong tape", force=True)
        await world.tasks.CancelTask(cancel)
        assert (await world.get(task.metadata.id)).status.state == pb.STATE_CANCELED
        while not worker.stops:
            await worker.hear()
        assert worker.stops[0].reason == STOP_REASON_LEASE_LOST
        assert worker.stops[0].message == "wrong tape"
        settled = await worker.complete(assignment)
        assert Refusal.of(settled.error).reason == "LEASE_LOST"


async def test_an_attempt_that_takes_too_long_is_stopped_for_that(world: World) -> None:
    async with stevedore(world) as worker:
        await world.submit(submission(options=options(run_timeout=Duration(nanos=50_000_000))))
        await worker.assigned()
        while not worker.stops:
            await worker.hear()
        assert worker.stops[0].reason == STOP_REASON_TIMED_OUT
        assert "run_timeout of 0.05 s" in worker.stops[0].message


async def test_released_work_is_queued_again_and_the_attempt_does_not_count(
    world: World,
) -> None:
    async with stevedore(world) as worker:
        await world.submit(submission())
        assignment = await worker.assigned()
        await worker.report(assignment, released=ActionReleased())
        again = await worker.assigned()
        assert (again.number, again.attempt) == (assignment.number, 1)


async def test_a_session_is_taken_up_again_and_the_older_stream_ends(world: World) -> None:
    worker = await opened(world)
    task = await world.submit(submission())
    assignment = await worker.assigned()
    lease = HeldLease(number=assignment.number, lease_token=assignment.lease_token)
    younger = await opened(world, session_id=worker.welcome.session_id, leases=[lease])
    assert younger.welcome.epoch == 2
    assert younger.welcome.session_id == worker.welcome.session_id
    ended = await refused(worker.stream.read())
    assert (ended.code, ended.reason) == (StatusCode.ABORTED, "SESSION_TAKEN_OVER")
    await younger.complete(assignment, answer=1)
    assert (await world.get(task.metadata.id)).status.attempt == 1


async def test_a_lease_that_the_worker_lacks_is_sent_again(world: World) -> None:
    worker = await opened(world)
    await world.submit(submission())
    assignment = await worker.assigned()
    younger = await opened(
        world,
        session_id=worker.welcome.session_id,
        leases=[HeldLease(number=77, lease_token=1)],
    )
    again = await younger.assigned()
    assert again == assignment
    while not younger.stops:
        await younger.hear()
    assert (younger.stops[0].number, younger.stops[0].reason) == (77, STOP_REASON_LEASE_LOST)


async def test_a_silent_worker_loses_its_stream_but_not_its_work(tmp_path: Path) -> None:
    # It is given its work long before it has been silent for too long.
    settings = EngineSettings(beat_seconds=0.5, time_to_live_seconds=60)
    async with serving(tmp_path / "longshore.db", settings) as world:
        await publish(world)
        task = await world.submit(submission())
        worker = await opened(world)
        await worker.assigned()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await worker.stream.read() is not grpc.aio.EOF:
                pass
        assert (await world.get(task.metadata.id)).status.state == pb.STATE_RUNNING


async def test_results_that_are_no_json_fail_the_attempt(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        broken = ActionCompleted(results=b"\xff\xff")
        await worker.report(assignment, completed=broken)
        failed = await world.get(task.metadata.id)
        assert failed.status.state == pb.STATE_FAILED
        large = await world.submit(submission())
        await worker.run_next(a="b" * 1_100_000)
        failed = await world.get(large.metadata.id)
    assert failed.status.state == pb.STATE_FAILED
    assert "1048576" in failed.status.message


async def test_results_that_are_not_finite_fail_the_attempt(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        await worker.run_next(a={"b": [float("nan")]})
        failed = await world.get(task.metadata.id)
    assert failed.status.state == pb.STATE_FAILED
    assert "a.b[0]" in failed.status.message


async def test_workers_are_listed_without_their_secrets(world: World) -> None:
    async with stevedore(world, slots=3, name="a") as worker, stevedore(world, name="b"):
        await world.submit(submission())
        await worker.hear()
        response = await world.workers.ListWorkers(ListWorkersRequest())
        first = await world.workers.ListWorkers(ListWorkersRequest(page_size=1))
        request = ListWorkersRequest(page_size=1, page_token=first.next_page_token)
        second = await world.workers.ListWorkers(request)
        refusal = await refused(
            world.workers.ListWorkers(ListWorkersRequest(page_token="made up"))
        )
    assert [one.name for one in response.workers] == ["a", "b"]
    shown = response.workers[0]
    assert (shown.slots, shown.connected, list(shown.queues)) == (3, True, ["default"])
    assert list(shown.actions) == ["archive/bag", "archive/digest", "carry", "noop"]
    assert worker.welcome.session_id not in str(response)
    assert [one.name for one in (*first.workers, *second.workers)] == ["a", "b"]
    assert not second.next_page_token
    assert refusal.reason == "INVALID_PAGE_TOKEN"


async def test_workers_are_listed_by_name_those_of_one_name_as_they_came(world: World) -> None:
    for name in ("m", "b", "z", "b", "a"):
        async with stevedore(world, name=name):
            pass
    listed: list[tuple[str, str]] = []
    token = ""
    while True:
        request = ListWorkersRequest(page_size=2, page_token=token)
        response = await world.workers.ListWorkers(request)
        listed += [(one.name, one.id) for one in response.workers]
        if not (token := response.next_page_token):
            break
    assert listed == [("a", "5"), ("b", "2"), ("b", "4"), ("m", "1"), ("z", "3")]


async def test_a_worker_that_says_goodbye_ends_its_session(world: World) -> None:
    worker = await opened(world)
    await worker.say(draining=True)
    await worker.stream.done_writing()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await worker.stream.read() is not grpc.aio.EOF:
            pass
    assert not (await world.workers.ListWorkers(ListWorkersRequest())).workers


async def test_a_draining_server_tells_workers_to_reconnect(world: World) -> None:
    worker = await opened(world)
    draining = asyncio.ensure_future(world.server.drain(5.0))
    while (await worker.hear()).end != pb.END_RECONNECT:
        pass
    await draining

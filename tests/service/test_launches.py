"""LaunchService: every method answers as the contract says."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode

from longshore.core.limits import PAYLOAD_BYTES
from longshore.v1 import launch_service_pb2 as pb
from longshore.v1 import operation_pb2
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.launch_service_pb2 import (
    DIRECTION_BOTTOM,
    DIRECTION_DOWN,
    DIRECTION_TOP,
    DIRECTION_UP,
    Direction,
)
from longshore.v1.operation_pb2 import SERVICE_KIND_OPERATION, SERVICE_KIND_RULESET
from longshore.v1.operation_service_pb2 import ExplainOperationRequest, GetHistoryRequest
from longshore.v1.server_service_pb2 import SERVER_MODE_MAINTENANCE, SetModeRequest
from tests.service.harness import (
    OFFERS,
    Watch,
    World,
    kinds,
    options,
    parameter,
    publish,
    refused,
    stevedore,
    struct,
    submission,
)

SERVICES = (
    *OFFERS,
    Service(
        slug="naming",
        kind=SERVICE_KIND_RULESET,
        actions=[
            ServiceAction(
                slug="check",
                parameters=[
                    parameter("folder"),
                    parameter("depth", "INTEGER", optional=True),
                    parameter("pin", optional=True, password=True),
                ],
            )
        ],
    ),
    Service(
        slug="sorting",
        kind=SERVICE_KIND_OPERATION,
        actions=[ServiceAction(slug="sort")],
    ),
)
QUEUES = ("rulesets", "operations")


def asked(service: str = "naming", **fields: Any) -> pb.SubmitLaunchRequest:
    """Return the submit of a launch; its arguments stand beside it."""
    outer = {name: fields.pop(name) for name in ("options", "request_id") if name in fields}
    if service == "naming":
        fields = {"folder": "a", **fields}
    spec = pb.LaunchSpec(service=service, arguments=struct(fields))
    return pb.SubmitLaunchRequest(spec=spec, **outer)


async def submit(world: World, service: str = "naming", **fields: Any) -> pb.Launch:
    response = await world.launches.SubmitLaunch(asked(service, **fields))
    launch: pb.Launch = response.launch
    return launch


async def get(world: World, launch_id: str, **fields: Any) -> pb.Launch:
    response = await world.launches.GetLaunch(pb.GetLaunchRequest(id=launch_id, **fields))
    launch: pb.Launch = response.launch
    return launch


async def queue(world: World, **fields: Any) -> pb.GetLaunchQueueResponse:
    request = pb.GetLaunchQueueRequest(**fields)
    response: pb.GetLaunchQueueResponse = await world.launches.GetLaunchQueue(request)
    return response


async def order(world: World) -> list[int]:
    """Return the numbers of the launches in their queue."""
    return [one.metadata.number for one in (await queue(world)).launches]


async def move(world: World, direction: Direction.ValueType, *numbers: int) -> list[int]:
    """Move launches and return those that were moved, as they are told."""
    request = pb.MoveLaunchesRequest(ids=list(map(str, numbers)), direction=direction)
    response = await world.launches.MoveLaunches(request)
    return [one.metadata.number for one in response.launches]


async def test_a_submitted_launch_is_answered_as_it_will_be_found(world: World) -> None:
    await publish(world, SERVICES)
    response = await world.launches.SubmitLaunch(
        asked(depth=2, options=options(priority=4, labels={"team": "north"}))
    )
    launch = response.launch
    assert response.created
    assert launch == await get(world, launch.metadata.id) == await get(world, "1")
    assert launch.metadata.kind == operation_pb2.KIND_LAUNCH
    assert launch.metadata.labels == {"team": "north"}
    assert launch.spec.service == "naming"
    assert launch.spec.arguments == struct({"folder": "a", "depth": 2})
    assert (launch.options.queue, launch.options.priority) == ("rulesets", 4)
    assert [one.action for one in launch.status.actions] == ["check"]
    assert (await submit(world, "sorting")).options.queue == "operations"


async def test_a_launch_runs_the_one_action_of_its_service(world: World) -> None:
    async with stevedore(world, SERVICES, queues=QUEUES) as worker:
        launch = await submit(world, depth=2)
        assignment = await worker.assigned()
        await worker.report(
            assignment, property=operation_pb2.PropertySet(name="broken", value="3")
        )
        entry = operation_pb2.LogEntry(kind=operation_pb2.LOG_KIND_WARNING, message="odd")
        await worker.report(assignment, log=entry)
        await worker.complete(assignment, names=["a b"])
        done = await get(world, launch.metadata.id)
        basic = await get(world, launch.metadata.id, view=operation_pb2.VIEW_BASIC)
    assert (assignment.service, assignment.action) == ("naming", "check")
    assert assignment.kind == operation_pb2.KIND_LAUNCH
    arguments = struct({"folder": "a", "depth": 2})
    assert type(arguments).FromString(assignment.arguments) == arguments
    assert done.status.state == operation_pb2.STATE_SUCCEEDED
    assert done.status.properties == {"broken": "3"}
    assert done.status.result == struct({"names": ["a b"]})
    assert not basic.spec.HasField("arguments")
    assert not basic.status.HasField("result")
    assert basic.status.properties == {"broken": "3"}
    history = GetHistoryRequest(id=launch.metadata.id, details=["log"])
    (event,) = (await world.operations.GetHistory(history)).events
    assert (event.log.message, event.log.HasField("elapsed")) == ("odd", True)


async def states(world: World, state: str) -> set[str]:
    request = pb.ListLaunchesRequest(filter=f"state = {state}")
    return {one.metadata.id for one in (await world.launches.ListLaunches(request)).launches}


async def test_rule_sets_run_one_at_a_time_and_operations_side_by_side(world: World) -> None:
    async with stevedore(world, SERVICES, queues=QUEUES, slots=9) as worker:
        rules = [(await submit(world)).metadata.id for _ in range(3)]
        sorting = {(await submit(world, "sorting")).metadata.id for _ in range(3)}
        given = [await worker.assigned() for _ in range(4)]
        assert {one.operation_id for one in given} == {rules[0], *sorting}
        explained = await world.operations.ExplainOperation(
            ExplainOperationRequest(id=rules[1])
        )
        facts = explained.reasons[0].facts
        assert (facts["queue"], facts["limit"]) == ("rulesets", "1")
        assert facts["held_by"] == rules[0]
        assert await states(world, "RUNNING") == {rules[0], *sorting}
        await worker.complete(given[0])
        second = await worker.assigned()
        assert second.operation_id == rules[1]
        assert await states(world, "RUNNING") == {rules[1], *sorting}
        await worker.fail(second, "broken")
        assert (await worker.assigned()).operation_id == rules[2]


async def test_two_workers_share_the_one_place_for_rule_sets(world: World) -> None:
    async with (
        stevedore(world, SERVICES, queues=QUEUES) as worker,
        stevedore(world, SERVICES, queues=QUEUES, name="other") as other,
    ):
        first, second = [(await submit(world)).metadata.id for _ in range(2)]
        holder = (await get(world, first)).status.worker
        assert (await get(world, second)).status.state == operation_pb2.STATE_QUEUED
        busy = worker if holder == "stevedore" else other
        await busy.run_next()
        assert (await get(world, second)).status.state == operation_pb2.STATE_RUNNING


async def test_the_queue_shows_what_runs_then_what_waits(world: World) -> None:
    async with stevedore(world, SERVICES, queues=["rulesets"]) as worker:
        low = await submit(world)
        await worker.assigned()
        later = await submit(world)
        sorting = await submit(world, "sorting", options=options(priority=5))
        held = await submit(world, options=options(priority=9, suspended=True))
        canceled = await submit(world)
        await world.launches.CancelLaunch(pb.CancelLaunchRequest(id=canceled.metadata.id))
        await world.tasks.SubmitTask(submission())
        whole = await queue(world)
        assert [one.metadata.id for one in whole.launches] == [
            low.metadata.id,
            held.metadata.id,
            sorting.metadata.id,
            later.metadata.id,
        ]
        assert not whole.launches[0].spec.HasField("arguments")
        assert not whole.next_page_token
        kinds_of = {
            SERVICE_KIND_RULESET: [low, held, later],
            SERVICE_KIND_OPERATION: [sorting],
        }
        for kind, expected in kinds_of.items():
            shown = (await queue(world, kind=kind)).launches
            assert [one.metadata.id for one in shown] == [one.metadata.id for one in expected]


async def test_the_queue_is_paged_in_the_order_of_starts(world: World) -> None:
    async with stevedore(world, SERVICES, queues=["rulesets"]) as worker:
        for index in range(7):
            await submit(world, options=options(priority=index % 3))
        await worker.assigned()
        await move(world, DIRECTION_TOP, 5, 7)
        whole = await order(world)
        pages = [await queue(world, page_size=2)]
        while pages[-1].next_page_token:
            token = pages[-1].next_page_token
            pages.append(await queue(world, page_size=2, page_token=token))
    assert [one.metadata.number for page in pages for one in page.launches] == whole
    assert whole[:3] == [1, 5, 7]
    assert {page.revision for page in pages} == {pages[0].revision}
    other = queue(world, kind=SERVICE_KIND_RULESET, page_token=pages[0].next_page_token)
    assert (await refused(other)).reason == "INVALID_PAGE_TOKEN"


async def fill(world: World, count: int = 5) -> None:
    await publish(world, SERVICES)
    for _ in range(count):
        await submit(world)


MOVES: dict[str, tuple[Direction.ValueType, list[int], list[int]]] = {
    "one to the top": (DIRECTION_TOP, [4], [4, 1, 2, 3, 5]),
    "one to the bottom": (DIRECTION_BOTTOM, [2], [1, 3, 4, 5, 2]),
    "one up": (DIRECTION_UP, [3], [1, 3, 2, 4, 5]),
    "one down": (DIRECTION_DOWN, [3], [1, 2, 4, 3, 5]),
    "the first up": (DIRECTION_UP, [1], [1, 2, 3, 4, 5]),
    "the last down": (DIRECTION_DOWN, [5], [1, 2, 3, 4, 5]),
    "several to the top": (DIRECTION_TOP, [5, 3], [3, 5, 1, 2, 4]),
    "several to the bottom": (DIRECTION_BOTTOM, [4, 1], [2, 3, 5, 1, 4]),
    "several up": (DIRECTION_UP, [3, 5], [1, 3, 2, 5, 4]),
    "several down": (DIRECTION_DOWN, [1, 2], [3, 1, 2, 4, 5]),
    "neighbours up": (DIRECTION_UP, [2, 3], [2, 3, 1, 4, 5]),
    "the first two up": (DIRECTION_UP, [1, 2, 4], [1, 2, 4, 3, 5]),
    "one twice": (DIRECTION_TOP, [3, 3], [3, 1, 2, 4, 5]),
    "all": (DIRECTION_TOP, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", MOVES)
async def test_launches_are_moved(world: World, name: str) -> None:
    await fill(world)
    direction, numbers, expected = MOVES[name]
    moved = await move(world, direction, *numbers)
    assert await order(world) == expected
    assert moved == [number for number in expected if number in numbers]
    async with stevedore(world, SERVICES, queues=["rulesets"]) as worker:
        assert [(await worker.run_next()).number for _ in range(5)] == expected


async def test_what_is_moved_takes_the_priority_of_its_new_place(world: World) -> None:
    await publish(world, SERVICES)
    for priority in (9, 5, 1):
        await submit(world, options=options(priority=priority))
    await move(world, DIRECTION_TOP, 3)
    await move(world, DIRECTION_BOTTOM, 1)
    shown = {one.metadata.number: one.options.priority for one in (await queue(world)).launches}
    assert list(shown) == [3, 2, 1]
    assert shown == {3: 9, 2: 5, 1: 5}
    history = GetHistoryRequest(id="3", details=["moved"])
    (event,) = (await world.operations.GetHistory(history)).events
    assert event.moved == operation_pb2.Moved(
        from_queue="rulesets", to_queue="rulesets", priority=9
    )
    await submit(world, options=options(priority=9))
    assert await order(world) == [3, 4, 2, 1]


async def test_launches_of_both_kinds_have_one_order(world: World) -> None:
    await publish(world, SERVICES)
    await submit(world)
    await submit(world, "sorting")
    await submit(world)
    await move(world, DIRECTION_UP, 3)
    assert await order(world) == [1, 3, 2]


async def test_what_does_not_wait_is_not_moved(world: World) -> None:
    async with stevedore(world, SERVICES, queues=["rulesets"]) as worker:
        for _ in range(4):
            await submit(world)
        await worker.assigned()
        await world.launches.CancelLaunch(pb.CancelLaunchRequest(id="2"))
        held = await world.launches.SuspendLaunch(pb.SuspendLaunchRequest(id="4"))
        assert held.launch.status.state == operation_pb2.STATE_SUSPENDED
        assert await move(world, DIRECTION_TOP, 1, 2, 4) == [4]
        assert await order(world) == [1, 4, 3]
        refusal = await refused(move(world, DIRECTION_BOTTOM, 1, 2))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert refusal.metadata["state"] == "RUNNING"


async def test_a_watch_tells_of_moves(world: World) -> None:
    await fill(world, 3)
    watch = Watch(
        world.launches.WatchLaunches(
            pb.WatchLaunchesRequest(filter="service = naming", after_revision=0)
        )
    )
    await move(world, DIRECTION_TOP, 3)
    changes = await watch.until(lambda seen: len(seen) == 4)
    assert kinds(changes) == ["submitted"] * 3 + ["moved"]
    assert changes[-1].event.moved.priority == 0


REFUSED_MOVES: dict[str, tuple[pb.MoveLaunchesRequest, StatusCode, str, set[str]]] = {
    "no ids": (
        pb.MoveLaunchesRequest(direction=DIRECTION_TOP),
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"ids"},
    ),
    "no direction": (
        pb.MoveLaunchesRequest(ids=["1"]),
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"direction"},
    ),
    "neither": (
        pb.MoveLaunchesRequest(),
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"ids", "direction"},
    ),
    "too many ids": (
        pb.MoveLaunchesRequest(ids=["1"] * 1_001, direction=DIRECTION_TOP),
        StatusCode.INVALID_ARGUMENT,
        "LIMIT_EXCEEDED",
        {"ids"},
    ),
    "an unknown id": (
        pb.MoveLaunchesRequest(ids=["1", "77"], direction=DIRECTION_TOP),
        StatusCode.NOT_FOUND,
        "OPERATION_NOT_FOUND",
        {"id"},
    ),
    "no id": (
        pb.MoveLaunchesRequest(ids=["1", "x"], direction=DIRECTION_TOP),
        StatusCode.NOT_FOUND,
        "OPERATION_NOT_FOUND",
        {"id"},
    ),
    "a task": (
        pb.MoveLaunchesRequest(ids=["3"], direction=DIRECTION_TOP),
        StatusCode.NOT_FOUND,
        "OPERATION_NOT_FOUND",
        {"id"},
    ),
}


@pytest.mark.parametrize("name", REFUSED_MOVES)
async def test_a_move_that_says_too_little_is_refused(world: World, name: str) -> None:
    await fill(world, 2)
    await world.tasks.SubmitTask(submission())
    request, code, reason, fields = REFUSED_MOVES[name]
    refusal = await refused(world.launches.MoveLaunches(request))
    assert (refusal.code, refusal.reason, set(refusal.fields)) == (code, reason, fields)
    assert await order(world) == [1, 2]


async def test_a_thousand_launches_are_moved_at_once(world: World) -> None:
    await publish(world, SERVICES)
    requests = [asked(options=options(labels={"a": "b"})) for _ in range(3)]
    for request in requests:
        await world.launches.SubmitLaunch(request)
    moving = pb.MoveLaunchesRequest(ids=["2"] * 1_000, direction=DIRECTION_TOP)
    (moved,) = (await world.launches.MoveLaunches(moving)).launches
    assert moved.metadata.number == 2
    assert await order(world) == [2, 1, 3]


async def test_a_launch_is_suspended_resumed_and_canceled(world: World) -> None:
    await publish(world, SERVICES)
    launch_id = (await submit(world)).metadata.id
    held = await world.launches.SuspendLaunch(pb.SuspendLaunchRequest(id=launch_id))
    assert held.launch.status.state == operation_pb2.STATE_SUSPENDED
    again = await refused(world.launches.SuspendLaunch(pb.SuspendLaunchRequest(id=launch_id)))
    assert (again.code, again.reason) == (StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    resumed = await world.launches.ResumeLaunch(pb.ResumeLaunchRequest(id=launch_id))
    assert resumed.launch.status.state == operation_pb2.STATE_QUEUED
    wrong = await refused(world.launches.ResumeLaunch(pb.ResumeLaunchRequest(id=launch_id)))
    assert wrong.reason == "WRONG_STATE"
    canceling = pb.CancelLaunchRequest(id=launch_id, message="enough")
    canceled = await world.launches.CancelLaunch(canceling)
    assert canceled.launch.status.state == operation_pb2.STATE_CANCELED
    assert canceled.launch.status.message == "enough"
    late = await refused(world.launches.CancelLaunch(canceling))
    assert late.reason == "WRONG_STATE"


async def test_a_launch_is_resubmitted_as_another(world: World) -> None:
    async with stevedore(world, SERVICES, queues=QUEUES) as worker:
        launch = await submit(world, depth=3, pin="1234")
        resubmit = pb.ResubmitLaunchRequest(id=launch.metadata.id, from_failed=True)
        early = await refused(world.launches.ResubmitLaunch(resubmit))
        first = await worker.assigned()
        await worker.fail(first, "broken")
        again = (await world.launches.ResubmitLaunch(resubmit)).launch
        second = await worker.run_next()
    assert early.reason == "WRONG_STATE"
    assert again.metadata.id != launch.metadata.id
    assert again.spec == launch.spec
    assert second.arguments == first.arguments
    assert b"1234" in second.arguments


async def test_a_launch_is_run_and_watched_in_one_call(world: World) -> None:
    async with stevedore(world, SERVICES, queues=QUEUES) as worker:
        run = Watch(world.launches.RunLaunch(pb.RunLaunchRequest(spec=asked().spec)))
        first = await run.message()
        assert first.created
        assert first.changes[0].launch.spec.service == "naming"
        await worker.run_next(answer=42)
        messages = await run.rest()
    last = messages[-1].changes[-1]
    assert last.launch.status.result == struct({"answer": 42})
    assert messages[-1].end == operation_pb2.END_DONE


async def test_launches_are_listed_by_their_service(world: World) -> None:
    await publish(world, SERVICES)
    naming = await submit(world)
    sorting = await submit(world, "sorting", request_id="r-1")
    await world.tasks.SubmitTask(submission())

    async def ids(**fields: Any) -> list[str]:
        request = pb.ListLaunchesRequest(**fields)
        response = await world.launches.ListLaunches(request)
        return [one.metadata.id for one in response.launches]

    both = [sorting.metadata.id, naming.metadata.id]
    assert await ids() == both
    assert await ids(filter="service = sort*") == both[:1]
    assert await ids(filter="queue = rulesets") == both[1:]
    assert await ids(order_by="service") == both[::-1]
    whole = await world.launches.ListLaunches(pb.ListLaunchesRequest(with_total=True))
    assert whole.total_size == 2
    assert not whole.launches[0].spec.HasField("arguments")
    refusal = await refused(
        world.launches.ListLaunches(pb.ListLaunchesRequest(order_by="position"))
    )
    assert refusal.fields == {"order_by": "INVALID"}


async def test_a_repeated_launch_is_found(world: World) -> None:
    await publish(world, SERVICES)
    first = await submit(world, request_id="r-1")
    again = await world.launches.SubmitLaunch(asked(request_id="r-1"))
    assert (again.launch.metadata.id, again.created) == (first.metadata.id, False)
    other = await refused(world.launches.SubmitLaunch(asked(request_id="r-1", depth=1)))
    assert (other.code, other.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_tasks_are_no_launches(world: World) -> None:
    await publish(world)
    task = await world.submit(submission())
    for unknown in (task.metadata.id, "1", "12345", "nonsense", ""):
        for refusing in (
            world.launches.GetLaunch(pb.GetLaunchRequest(id=unknown)),
            world.launches.CancelLaunch(pb.CancelLaunchRequest(id=unknown)),
            world.launches.SuspendLaunch(pb.SuspendLaunchRequest(id=unknown)),
            world.launches.ResumeLaunch(pb.ResumeLaunchRequest(id=unknown)),
            world.launches.ResubmitLaunch(pb.ResubmitLaunchRequest(id=unknown)),
            world.launches.WatchLaunches(pb.WatchLaunchesRequest(ids=[unknown])).read(),
        ):
            refusal = await refused(refusing)
            assert (refusal.code, refusal.reason) == (
                StatusCode.NOT_FOUND,
                "OPERATION_NOT_FOUND",
            )


INVALID: dict[str, tuple[pb.SubmitLaunchRequest, dict[str, str]]] = {
    "no spec": (pb.SubmitLaunchRequest(), {"spec.service": "MISSING"}),
    "a service without a kind": (asked("archive"), {"spec.service": "INVALID"}),
    "a missing argument": (
        pb.SubmitLaunchRequest(spec=pb.LaunchSpec(service="naming")),
        {"spec.arguments.folder": "MISSING"},
    ),
    "an unknown argument": (asked(dept=2), {"spec.arguments.dept": "UNKNOWN"}),
    "an argument of another type": (asked(depth="2"), {"spec.arguments.depth": "INVALID"}),
    "an argument of another type within": (
        asked(folder={"a": float("nan")}),
        {"spec.arguments.folder.a": "INVALID"},
    ),
    "another queue": (
        asked(options=options(queue="operations")),
        {"options.queue": "NOT_PERMITTED"},
    ),
    "a queue that is not there": (
        asked("sorting", options=options(queue="nightly")),
        {"options.queue": "NOT_PERMITTED"},
    ),
    "a fairness key": (
        asked(options=options(fairness_key="a")),
        {"options.fairness_key": "NOT_PERMITTED"},
    ),
    "a delivery": (
        asked(options=options(delivery=operation_pb2.DELIVERY_MODE_CHANNEL)),
        {"options.delivery": "NOT_PERMITTED"},
    ),
    "several faults": (
        asked(dept=2, options=options(priority=10)),
        {"spec.arguments.dept": "UNKNOWN", "options.priority": "INVALID"},
    ),
}


@pytest.mark.parametrize("name", INVALID)
async def test_a_wrong_field_is_named(world: World, name: str) -> None:
    await publish(world, SERVICES)
    before = await world.revision()
    request, fields = INVALID[name]
    refusal = await refused(world.launches.SubmitLaunch(request))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == fields
    assert await world.revision() == before


async def test_what_nobody_has_published_cannot_be_launched(world: World) -> None:
    await publish(world, SERVICES)
    for request in (asked("bakery"), asked("bakery", options=options(allow_unregistered=True))):
        refusal = await refused(world.launches.SubmitLaunch(request))
        assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
        assert refusal.fields == {"spec.service": "UNKNOWN"}
        assert refusal.metadata["service"] == "bakery"


LIMITS: dict[str, tuple[pb.SubmitLaunchRequest, str, str]] = {
    "a long key": (asked(request_id="a" * 65), "LIMIT_EXCEEDED", "request_id"),
    "a long service": (asked("a" * 64), "LIMIT_EXCEEDED", "spec.service"),
    "large arguments": (
        asked(folder="a" * PAYLOAD_BYTES),
        "PAYLOAD_TOO_LARGE",
        "spec.arguments",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_what_is_over_a_limit_is_refused(world: World, name: str) -> None:
    await publish(world, SERVICES)
    request, reason, field = LIMITS[name]
    refusal = await refused(world.launches.SubmitLaunch(request))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, reason)
    assert field in refusal.fields


QUESTIONS: dict[str, tuple[pb.GetLaunchQueueRequest, str, str]] = {
    "a kind": (pb.GetLaunchQueueRequest(kind=7), "INVALID_FIELD", "kind"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    "a page size": (pb.GetLaunchQueueRequest(page_size=1_001), "LIMIT_EXCEEDED", "page_size"),
    "a page size below 0": (
        pb.GetLaunchQueueRequest(page_size=-1),
        "INVALID_FIELD",
        "page_size",
    ),
    "a page token": (
        pb.GetLaunchQueueRequest(page_token="abc"),
        "INVALID_PAGE_TOKEN",
        "page_token",
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_questions_about_the_queue_are_checked(world: World, name: str) -> None:
    request, reason, field = QUESTIONS[name]
    refusal = await refused(world.launches.GetLaunchQueue(request))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, reason)
    assert field in refusal.fields


async def test_a_token_of_a_list_gets_no_page_of_the_queue(world: World) -> None:
    await fill(world, 3)
    page = await world.launches.ListLaunches(pb.ListLaunchesRequest(page_size=1))
    refusal = await refused(queue(world, page_token=page.next_page_token))
    assert refusal.reason == "INVALID_PAGE_TOKEN"


async def test_maintenance_refuses_new_launches(world: World) -> None:
    await publish(world, SERVICES)
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_MAINTENANCE))
    refusal = await refused(world.launches.SubmitLaunch(asked()))
    assert (refusal.code, refusal.reason) == (StatusCode.UNAVAILABLE, "MAINTENANCE")


async def test_tenants_have_services_and_queues_of_their_own(world: World) -> None:
    await fill(world, 2)
    north = (("x-tenant-id", "north"),)
    elsewhere = world.launches.SubmitLaunch(asked(), metadata=north)
    assert (await refused(elsewhere)).reason == "SERVICE_NOT_FOUND"
    shown = await world.launches.GetLaunchQueue(pb.GetLaunchQueueRequest(), metadata=north)
    assert not shown.launches
    moving = world.launches.MoveLaunches(
        pb.MoveLaunchesRequest(ids=["1"], direction=DIRECTION_TOP), metadata=north
    )
    assert (await refused(moving)).reason == "OPERATION_NOT_FOUND"

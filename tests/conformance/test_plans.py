"""Plans: stepped by the store's own commits, and gone on with where they were left."""

from __future__ import annotations

import json
from typing import Any

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.changes import Cancel, ExpireSessions, Opened
from longshore.core.events import EventKind
from longshore.core.leasing import StepState
from longshore.core.operations import Operation, Part, State
from longshore.core.policies import Policy
from longshore.core.reports import Assignment, Completed, Reported
from tests.conformance.codec import plan_request, step
from tests.conformance.world import (
    NOON,
    SECOND,
    World,
    done,
    failed,
    report_change,
    submit_change,
)

ACTIONS = ("bag", "digest", "scan")

INGEST = plan_request(
    step("scan", paths={"path": "folder"}, results=["files"]),
    step("digest", arguments={"algorithm": "sha256"}, paths={"files": "files"}),
    step("bag", paths={"sum": "sum", "path": "folder"}),
    context={"folder": "/data", "sum": "none"},
)


async def submit_plan(world: World, request: bytes = INGEST, **more: Any) -> Operation:
    steps = len(json.loads(request)["calls"])
    return await world.submit(actions=ACTIONS, steps=steps, request=request, **more)


def arguments(assignment: Assignment | None) -> dict[str, Any]:
    assert assignment is not None
    read: dict[str, Any] = json.loads(assignment.arguments)
    return read


async def lease_plan(world: World) -> tuple[Opened, Assignment]:
    session = await world.open_session(*ACTIONS)
    return session, await world.lease_one(session)


async def test_each_action_gets_what_those_before_it_left(world: World) -> None:
    request = plan_request(
        step("scan", paths={"path": "folder"}, results=["files"]),
        step("digest", paths={"files": "files"}, assign={"sum": "checksum"}),
        step("bag", paths={"sum": "sum", "path": "folder"}),
        context={"folder": "/data"},
    )
    operation = await submit_plan(world, request)
    session, first = await lease_plan(world)
    assert (first.action, arguments(first)) == ("scan", {"path": "/data"})
    reported = await world.report(session, first, done(files=["a"], noise=1), 1)
    assert not reported.ended
    assert reported.next is not None
    assert reported.next.operation.token == first.operation.token
    assert reported.next.action == "digest"
    assert arguments(reported.next) == {"files": ["a"]}
    reported = await world.report(session, first, done(checksum="f00"), 2)
    assert arguments(reported.next) == {"sum": "f00", "path": "/data"}
    assert await world.report(session, first, done(bag="b"), 3) == Reported(ended=True)
    record = await world.record(operation, Part.RESULT, Part.CONTEXT)
    assert record.operation.state == State.SUCCEEDED
    assert json.loads(record.documents[Part.RESULT]) == {"bag": "b"}
    assert json.loads(record.documents[Part.CONTEXT]) == {
        "folder": "/data",
        "files": ["a"],
        "sum": "f00",
    }


async def test_every_ended_action_is_kept_and_told(world: World) -> None:
    operation = await submit_plan(world)
    session, assignment = await lease_plan(world)
    world.pass_time(SECOND)
    await world.report(session, assignment, done(files=[]), 1)
    world.pass_time(SECOND)
    await world.report(session, assignment, done(), 2)
    record = await world.record(operation, Part.STEPS)
    first, second = (StepState.decode(record.documents[Part.STEPS + index]) for index in (0, 1))
    assert first == StepState(State.SUCCEEDED, NOON, NOON + SECOND, {"files": []})
    assert second.start_time == NOON + SECOND
    told = [
        json.loads(one.detail or "")
        for one in await world.history(operation)
        if one.kind == EventKind.ACTION_CHANGED
    ]
    assert [(one["index"], one["action"]) for one in told] == [(0, "scan"), (1, "digest")]


async def test_a_retry_goes_on_with_the_action_that_was_not_finished(world: World) -> None:
    operation = await submit_plan(world)
    session, assignment = await lease_plan(world)
    await world.report(session, assignment, done(files=["a"]), 1)
    await world.report(session, assignment, failed(), 2)
    world.pass_time(SECOND)
    await world.wake()
    again = await world.lease_one(session)
    assert (again.operation.attempt, again.action) == (2, "digest")
    assert arguments(again) == {"algorithm": "sha256", "files": ["a"]}
    assert (await world.see(operation)).step == 1


async def test_the_next_worker_goes_on_after_one_is_lost(world: World) -> None:
    await submit_plan(world)
    session, assignment = await lease_plan(world)
    await world.report(session, assignment, done(files=["a"]), 1)
    await world.do(ExpireSessions(((session.session, session.epoch),)))
    world.pass_time(SECOND)
    await world.wake()
    other = await world.open_session(*ACTIONS, secret=b"other")
    assert (await world.lease_one(other)).action == "digest"


async def test_a_session_taken_up_again_is_told_its_present_action(world: World) -> None:
    await submit_plan(world)
    session, assignment = await lease_plan(world)
    await world.report(session, assignment, done(files=["a"]), 1)
    resumed = await world.open_session(*ACTIONS)
    (held,) = resumed.held
    assert (held.action, held.operation.token) == ("digest", assignment.operation.token)


async def test_a_missing_path_fails_the_operation_and_names_it(world: World) -> None:
    operation = await submit_plan(world)
    session, assignment = await lease_plan(world)
    reported = await world.report(session, assignment, done(), 1)
    assert reported == Reported(ended=True)
    record = await world.record(operation, Part.ERROR)
    assert record.operation.state == State.FAILED
    error = json.loads(record.documents[Part.ERROR])
    assert error["facts"] == {"action": "digest", "argument": "files", "path": "files"}


async def test_a_path_that_is_missing_from_the_start_fails_before_anybody_works(
    world: World,
) -> None:
    request = plan_request(step("scan", paths={"path": "nowhere"}), context={})
    operation = await submit_plan(world, request, policy=Policy(max_attempts=5))
    following = await world.submit()
    session = await world.open_session(*ACTIONS)
    leased = await world.lease(session, free=2)
    assert [one.operation.number for one in leased] == [following.number]
    ended = await world.see(operation)
    assert (ended.state, ended.session) == (State.FAILED, None)


async def test_a_context_that_grows_too_large_fails_the_operation(world: World) -> None:
    operation = await submit_plan(world)
    session, assignment = await lease_plan(world)
    half = "x" * (limits.PAYLOAD_BYTES - 40)
    await world.report(session, assignment, done(files=half), 1)
    record = await world.record(operation, Part.ERROR)
    assert record.operation.state == State.FAILED
    assert json.loads(record.documents[Part.ERROR])["reason"] == "PAYLOAD_TOO_LARGE"


async def test_a_canceled_plan_ends_between_two_actions(world: World) -> None:
    operation = await submit_plan(world)
    session, assignment = await lease_plan(world)
    await world.do(Cancel(Caller(), operation.id))
    assert await world.report(session, assignment, done(files=[]), 1) == Reported(ended=True)
    assert (await world.see(operation)).state == State.CANCELED


async def test_a_canceled_plan_whose_last_action_ends_has_succeeded(world: World) -> None:
    operation = await submit_plan(world, plan_request(step("scan")))
    session, assignment = await lease_plan(world)
    await world.do(Cancel(Caller(), operation.id))
    await world.report(session, assignment, done(), 1)
    assert (await world.see(operation)).state == State.SUCCEEDED


async def test_a_plan_can_be_stepped_by_one_batch(world: World) -> None:
    operation = await submit_plan(world)
    session, first = await lease_plan(world)
    applied = await world.apply(
        report_change(session, first, done(files=["a"]), 1),
        report_change(session, first, done(), 2),
        report_change(session, first, done(), 3),
    )
    assert [getattr(one, "ended", None) for one in applied.outcomes] == [False, False, True]
    assert (await world.see(operation)).state == State.SUCCEEDED


async def test_results_that_are_no_document_fail_their_report_alone(world: World) -> None:
    operation = await submit_plan(world)
    session, assignment = await lease_plan(world)
    applied = await world.apply(
        submit_change(), report_change(session, assignment, Completed(b"{")), submit_change()
    )
    assert isinstance(applied.outcomes[1], ValueError)
    assert (await world.see(operation)) == assignment.operation
    assert len(applied.created()) == 2

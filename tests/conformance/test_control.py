"""Cancel, suspend, resume and resubmit, from every state."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from longshore.core import limits
from longshore.core.callers import SERVER, Caller
from longshore.core.changes import Cancel, Mode, Resubmit, Resume, SetMode, Suspend
from longshore.core.errors import Maintenance, OperationNotFound, WrongState
from longshore.core.events import EventKind
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Operation, Part, State
from longshore.core.policies import Policy
from tests.conformance.codec import plan_request, step
from tests.conformance.world import (
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    failed,
    new_id,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")

STATES = list(State)


async def operation_in(world: World, state: State) -> Operation:
    """Return an operation that has come to a state."""
    operation = await world.submit(suspended=state == State.SUSPENDED)
    if state in (State.RUNNING, State.SUCCEEDED, State.FAILED):
        session = await world.open_session()
        assignment = await world.lease_one(session)
        if state == State.SUCCEEDED:
            await world.report(session, assignment, done())
        elif state == State.FAILED:
            await world.report(session, assignment, failed(permanent=True))
    elif state == State.CANCELED:
        await world.do(Cancel(ME, operation.id))
    found = await world.see(operation)
    assert found.state == state
    return found


def resubmit(operation: Operation, **more: Any) -> Resubmit:
    return Resubmit(ME, operation.id, new_id(), **more)


ALLOWED: list[tuple[Callable[[Operation], Any], set[State], str | None]] = [
    (lambda one: Suspend(ME, one.id), {State.QUEUED}, "QUEUED"),
    (lambda one: Resume(ME, one.id), {State.SUSPENDED}, "SUSPENDED"),
    (
        lambda one: Cancel(ME, one.id),
        {State.SUSPENDED, State.QUEUED, State.RUNNING},
        "SUSPENDED, QUEUED or RUNNING",
    ),
    (
        resubmit,
        {State.FAILED, State.SUCCEEDED, State.CANCELED},
        "FAILED, SUCCEEDED or CANCELED",
    ),
    (lambda one: resubmit(one, from_failed=True), {State.FAILED}, None),
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
@pytest.mark.parametrize(
    "change, allowed, wanted",
    ALLOWED,
    ids=["suspend", "resume", "cancel", "resubmit", "resubmit-from-failed"],
)
async def test_a_change_is_refused_in_a_state_that_does_not_allow_it(
    world: World, change: Any, allowed: set[State], wanted: str | None, state: State
) -> None:
    operation = await operation_in(world, state)
    if state in allowed:
        await world.do(change(operation))
        return
    refusal = await world.refused(change(operation))
    assert isinstance(refusal, WrongState)
    assert refusal.facts["operation_id"] == text_of(operation.id)
    assert refusal.facts["state"] == state.name
    assert wanted is None or refusal.facts["expected"] == wanted
    assert await world.see(operation) == operation


@pytest.mark.parametrize("change", [case[0] for case in ALLOWED[:4]])
async def test_what_does_not_exist_cannot_be_changed(world: World, change: Any) -> None:
    mine = await world.submit()
    foreign = await world.submit(tenant="acme")
    unknown = [
        change(foreign),
        change(mine._replace(id=new_id())),
        change(mine)._replace(kind=Kind.JOB),
        change(mine)._replace(target=99),
    ]
    for one in unknown:
        assert isinstance(await world.refused(one), OperationNotFound)


async def test_an_operation_can_be_named_by_its_number(world: World) -> None:
    operation = await world.submit()
    canceled = await world.do(Cancel(ME, operation.number, kind=Kind.TASK))
    assert canceled.id == operation.id
    assert canceled.state == State.CANCELED


@pytest.mark.parametrize("state", [State.QUEUED, State.SUSPENDED])
async def test_canceling_what_waits_ends_it_at_once(world: World, state: State) -> None:
    operation = await operation_in(world, state)
    world.pass_time(SECOND)
    canceled = await world.do(Cancel(ME, operation.id, message="not needed"))
    assert canceled == await world.see(operation)
    assert (canceled.state, canceled.message) == (State.CANCELED, "not needed")
    assert canceled.end_time == NOON + SECOND
    session = await world.open_session()
    assert await world.lease(session) == []


async def test_canceling_what_runs_asks_its_worker(world: World) -> None:
    operation = await operation_in(world, State.RUNNING)
    canceling = await world.do(Cancel(ME, operation.id, message="enough"))
    assert (canceling.state, canceling.cancel) == (State.RUNNING, 1)
    assert canceling.wake_time == NOON + limits.CANCEL_GRACE_MS
    event = (await world.history(operation))[-1]
    assert (event.kind, event.state) == (EventKind.CANCEL_REQUESTED, State.RUNNING)
    assert json.loads(event.detail or "") == {"message": "enough"}


async def test_canceling_again_changes_nothing(world: World) -> None:
    operation = await operation_in(world, State.RUNNING)
    first = await world.do(Cancel(ME, operation.id))
    world.pass_time(SECOND)
    again = await world.apply(Cancel(ME, operation.id))
    assert again.outcomes == [first]
    assert again.events == []


async def test_a_cancel_by_force_ends_what_runs(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.do(Cancel(ME, operation.id))
    ended = await world.do(Cancel(ME, operation.id, force=True))
    assert (ended.state, ended.session) == (State.CANCELED, None)
    late = await world.apply(report_change(session, assignment, done()))
    assert isinstance(late.outcomes[0], Exception)
    assert await world.see(operation) == ended


async def test_a_cancel_never_lengthens_an_attempt(world: World) -> None:
    operation = await world.submit(policy=Policy(run_timeout=5 * SECOND))
    session = await world.open_session()
    await world.lease_one(session)
    canceling = await world.do(Cancel(ME, operation.id))
    assert canceling.wake_time == NOON + 5 * SECOND


async def test_what_is_suspended_waits_until_it_is_resumed(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assert (await world.do(Suspend(ME, operation.id))).state == State.SUSPENDED
    assert await world.lease(session) == []
    await world.submit()
    resumed = await world.do(Resume(ME, operation.id))
    assert (resumed.state, resumed.wake_time) == (State.QUEUED, None)
    leased = await world.lease(session, free=2)
    assert [one.operation.number for one in leased] == [1, 2]


async def test_suspending_and_resuming_are_told(world: World) -> None:
    operation = await world.submit()
    await world.apply(Suspend(ME, operation.id), Resume(ME, operation.id))
    told = (await world.history(operation))[1:]
    assert [event.state for event in told] == [State.SUSPENDED, State.QUEUED]
    assert [json.loads(event.detail or "")["from"] for event in told] == ["QUEUED", "SUSPENDED"]


async def test_a_resumed_operation_still_waits_for_its_start_time(world: World) -> None:
    start = NOON + MINUTE
    operation = await world.submit(suspended=True, policy=Policy(not_before=start))
    resumed = await world.do(Resume(ME, operation.id))
    assert (resumed.state, resumed.wake_time) == (State.QUEUED, start)


async def test_a_resumed_operation_still_waits_for_its_next_attempt(world: World) -> None:
    operation = await world.submit(policy=Policy(initial_backoff=MINUTE))
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.do(report_change(session, assignment, failed()))
    await world.do(Suspend(ME, operation.id))
    world.pass_time(MINUTE // 2)
    resumed = await world.do(Resume(ME, operation.id))
    assert (resumed.state, resumed.wake_time) == (State.QUEUED, NOON + MINUTE)
    assert await world.lease(session) == []
    world.pass_time(MINUTE // 2)
    await world.wake()
    assert len(await world.lease(session)) == 1


async def test_what_was_suspended_for_longer_than_it_had_to_wait_starts_when_resumed(
    world: World,
) -> None:
    operation = await world.submit(not_before=NOON + MINUTE)
    session = await world.open_session()
    await world.do(Suspend(ME, operation.id))
    world.pass_time(2 * MINUTE)
    await world.wake()
    assert await world.lease(session) == []
    resumed = await world.do(Resume(ME, operation.id))
    assert (resumed.state, resumed.wake_time) == (State.QUEUED, None)
    assert len(await world.lease(session)) == 1


async def test_a_delayed_operation_can_be_suspended(world: World) -> None:
    operation = await world.submit(not_before=NOON + MINUTE)
    await world.do(Suspend(ME, operation.id))
    world.pass_time(2 * MINUTE)
    await world.wake()
    assert (await world.see(operation)).state == State.SUSPENDED


async def test_a_resubmit_is_a_new_operation_that_asks_for_the_same(world: World) -> None:
    source = await world.submit(
        priority=3,
        queue="night",
        key="k",
        policy=Policy(max_attempts=7, not_before=NOON),
        attributes={"name": "x"},
    )
    await world.do(Cancel(ME, source.id))
    world.pass_time(SECOND)
    made = await world.do(resubmit(source))
    record = await world.record(made.operation, Part.REQUEST)
    assert made.created
    assert made.operation.number == 2
    assert record.queue == "night"
    assert record.operation.priority == 3
    assert record.operation.policy == Policy(max_attempts=7).encode()
    assert record.facts.attributes == '{"name":"x"}'
    assert record.documents == (await world.record(source, Part.REQUEST)).documents
    assert (await world.see(source)).state == State.CANCELED


async def test_a_resubmit_from_the_failed_action_goes_on_from_its_checkpoints(
    world: World,
) -> None:
    request = plan_request(
        step("scan", results=["files"]), step("bag", paths={"files": "files"}), context={}
    )
    source = await world.submit(actions=["bag", "scan"], steps=2, request=request)
    session = await world.open_session("bag", "scan")
    assignment = await world.lease_one(session)
    await world.report(session, assignment, done(files=["a"]), 1)
    await world.report(session, assignment, failed(permanent=True), 2)
    made = await world.do(resubmit(source, from_failed=True))
    again = await world.lease_one(session)
    assert again.operation.number == made.operation.number
    assert again.action == "bag"
    assert json.loads(again.arguments) == {"files": ["a"]}
    steps = (await world.record(made.operation, Part.STEPS)).documents
    assert steps == (await world.record(source, Part.STEPS)).documents


async def test_a_resubmit_from_the_start_takes_no_checkpoints_along(world: World) -> None:
    request = plan_request(step("scan"), step("bag"), context={})
    source = await world.submit(actions=["bag", "scan"], steps=2, request=request)
    session = await world.open_session("bag", "scan")
    assignment = await world.lease_one(session)
    await world.report(session, assignment, done(), 1)
    await world.report(session, assignment, failed(permanent=True), 2)
    made = await world.do(resubmit(source))
    assert made.operation.step == 0
    assert list((await world.record(made.operation, *Part)).documents) == [Part.REQUEST]


async def test_what_was_submitted_in_a_batch_can_be_resubmitted_by_it(world: World) -> None:
    change = submit_change("new-action", queue="new-queue")
    made = new_id()
    applied = await world.apply(
        change, Cancel(ME, change.id), Resubmit(ME, change.id, made), Suspend(ME, made)
    )
    assert not any(isinstance(outcome, Exception) for outcome in applied.outcomes)
    (record,) = await world.store.get("default", [made])
    assert record is not None
    assert (record.queue, record.operation.state) == ("new-queue", State.SUSPENDED)


async def test_maintenance_refuses_a_resubmit(world: World) -> None:
    operation = await operation_in(world, State.CANCELED)
    await world.do(SetMode(SERVER, Mode.MAINTENANCE))
    assert isinstance(await world.refused(resubmit(operation)), Maintenance)

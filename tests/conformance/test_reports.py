"""Reports: applied once, under the lease they name, and never after it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.changes import Cancel
from longshore.core.errors import LeaseLost, SessionTakenOver
from longshore.core.events import EventKind
from longshore.core.failures import Code
from longshore.core.operations import Part, State
from longshore.core.policies import Policy
from longshore.core.reports import (
    Body,
    Completed,
    Logged,
    LogKind,
    Progressed,
    PropertySet,
    Released,
    Reported,
    Stopped,
)
from tests.conformance.world import (
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    failed,
    report_change,
    submit_change,
)

BODIES: list[Body] = [
    done(),
    failed(),
    failed(permanent=True),
    Progressed('{"done":1}'),
    Logged(LogKind.OUTPUT, "line"),
    PropertySet("name", "value"),
    Released(),
    Stopped(),
]


def progressed(done_so_far: int) -> Progressed:
    return Progressed(json.dumps({"done": done_so_far, "total": 10}))


async def activity(world: World, number: int) -> dict[str, Any]:
    (record,) = await world.store.get("default", [number], [Part.ACTIVITY])
    assert record is not None
    kept: dict[str, Any] = json.loads(record.documents[Part.ACTIVITY])
    return kept


async def test_a_result_and_its_state_come_together(world: World) -> None:
    operation = await world.submit(policy=Policy(expire_after=MINUTE * 60))
    session = await world.open_session()
    assignment = await world.lease_one(session)
    world.pass_time(SECOND)
    reported = await world.report(session, assignment, done(files=3))
    assert reported == Reported(ended=True)
    record = await world.record(operation, Part.RESULT, Part.ERROR)
    assert record.operation.state == State.SUCCEEDED
    assert record.operation.session is None
    assert record.operation.worker == "worker-1"
    assert record.operation.end_time == NOON + SECOND
    assert record.operation.wake_time == NOON + SECOND + MINUTE * 60
    assert json.loads(record.documents[Part.RESULT]) == {"files": 3}
    assert Part.ERROR not in record.documents


async def test_work_may_succeed_without_a_result(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), Completed(b""))
    assert (await world.record(operation, Part.RESULT)).documents == {}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
async def test_a_repeat_is_acknowledged_and_changes_nothing(world: World, body: Body) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    first = await world.report(session, assignment, body)
    before = await world.record(operation, *Part)
    again = await world.report(session, assignment, body)
    assert again == first
    assert await world.record(operation, *Part) == before


async def test_a_repeat_in_the_same_batch_changes_nothing(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    change = report_change(session, await world.lease_one(session), done())
    applied = await world.apply(change, change)
    assert applied.outcomes == [Reported(ended=True), Reported(ended=True)]
    assert len(applied.events) == 1


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
async def test_a_report_under_a_lost_lease_changes_nothing(world: World, body: Body) -> None:
    operation = await world.submit()
    session = await world.open_session()
    stale = await world.lease_one(session)
    await world.report(session, stale, Released())
    current = await world.lease_one(session)
    refusal = await world.refused(report_change(session, stale, body, sequence=2))
    assert isinstance(refusal, LeaseLost)
    assert await world.see(operation) == current.operation


async def test_the_lease_of_another_session_cannot_be_reported_on(world: World) -> None:
    await world.submit()
    session = await world.open_session(secret=b"one")
    other = await world.open_session(secret=b"two")
    assignment = await world.lease_one(session)
    assert isinstance(await world.refused(report_change(other, assignment, done())), LeaseLost)


async def test_the_older_stream_of_a_session_is_refused(world: World) -> None:
    await world.submit()
    old = await world.open_session()
    assignment = await world.lease_one(old)
    new = await world.open_session()
    refusal = await world.refused(report_change(old, assignment, done()))
    assert isinstance(refusal, SessionTakenOver)
    assert await world.report(new, assignment, done()) == Reported(ended=True)


async def test_a_report_on_what_never_was_is_a_lost_lease(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    unknown = assignment._replace(operation=assignment.operation._replace(number=99))
    assert isinstance(await world.refused(report_change(session, unknown, done())), LeaseLost)


async def test_a_failed_attempt_is_retried_after_its_backoff(world: World) -> None:
    policy = Policy(max_attempts=3, initial_backoff=10 * SECOND, backoff_multiplier=3)
    operation = await world.submit(policy=policy)
    session = await world.open_session()
    for attempt, backoff in ((1, 10 * SECOND), (2, 30 * SECOND)):
        assignment = await world.lease_one(session)
        assert assignment.operation.attempt == attempt
        assert await world.report(session, assignment, failed()) == Reported(ended=True)
        waiting = await world.see(operation)
        assert (waiting.state, waiting.wake_time) == (State.QUEUED, world.now + backoff)
        assert waiting.message == "it broke"
        world.pass_time(backoff - 1)
        await world.wake()
        assert await world.lease(session) == []
        world.pass_time(1)
        await world.wake()
    await world.report(session, await world.lease_one(session), failed("for good"))
    record = await world.record(operation, Part.ERROR)
    assert (record.operation.state, record.operation.attempt) == (State.FAILED, 3)
    assert record.operation.message == "for good"
    assert json.loads(record.documents[Part.ERROR])["message"] == "for good"


async def test_the_history_tells_why_an_attempt_failed(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), failed("it broke"))
    event = (await world.history(operation))[-1]
    told = json.loads(event.detail or "")
    assert (event.kind, event.state) == (EventKind.STATE_CHANGED, State.QUEUED)
    assert told["error"] == {"code": Code.ABORTED, "message": "it broke"}
    assert (told["from"], told["attempt"], told["worker"]) == ("RUNNING", 1, "worker-1")
    assert told["not_before"] == NOON + SECOND


async def test_a_permanent_failure_is_not_retried(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), failed(permanent=True))
    assert (await world.see(operation)).state == State.FAILED


async def test_a_retried_operation_keeps_its_place(world: World) -> None:
    first, second = await world.submit(), await world.submit()
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), failed())
    world.pass_time(SECOND)
    await world.wake()
    leased = await world.lease(session, free=2)
    assert [one.operation.number for one in leased] == [first.number, second.number]


async def test_a_result_that_is_too_large_fails_the_attempt_for_good(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    results = Completed(b"x" * (limits.PAYLOAD_BYTES + 1))
    await world.report(session, await world.lease_one(session), results)
    record = await world.record(operation, Part.RESULT, Part.ERROR)
    assert record.operation.state == State.FAILED
    assert json.loads(record.documents[Part.ERROR])["reason"] == "PAYLOAD_TOO_LARGE"
    assert Part.RESULT not in record.documents


async def test_progress_is_told_at_most_once_a_second_and_the_last_is_kept(
    world: World,
) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    for sequence in range(1, 6):
        await world.report(session, assignment, progressed(sequence), sequence)
        world.pass_time(400)
    told = [one for one in await world.history(operation) if one.kind == EventKind.PROGRESS]
    assert [json.loads(one.detail or "")["done"] for one in told] == [1, 4]
    assert (await activity(world, operation.number))["progress"]["done"] == 5
    assert (await world.see(operation)).reports == 5


async def test_log_lines_become_events_clipped_to_their_limit(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    lines = [Logged(LogKind.OUTPUT, "one"), Logged(LogKind.ERROR, "é" * limits.LOG_BYTES)]
    for sequence, line in enumerate(lines, start=1):
        await world.report(session, assignment, line, sequence)
    events = [one for one in await world.history(operation) if one.kind == EventKind.LOG]
    first, second = (json.loads(one.detail or "") for one in events)
    assert (first["kind"], first["message"]) == ("OUTPUT", "one")
    assert second["message"] == "é" * (limits.LOG_BYTES // 2)


async def test_too_many_log_lines_end_in_one_warning(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    wanted = limits.LOGS_PER_ATTEMPT + 5
    for start in range(1, wanted + 1, 1_000):
        lines = range(start, min(start + 1_000, wanted + 1))
        await world.apply(
            *(
                report_change(session, assignment, Logged(LogKind.OUTPUT, "x"), line)
                for line in lines
            )
        )
    last = (await world.history(operation))[-1]
    found = await world.events(
        numbers=frozenset({operation.number}), kinds=frozenset({EventKind.LOG}), limit=20_000
    )
    assert len(found) == limits.LOGS_PER_ATTEMPT + 1
    assert json.loads(found[-1].detail or "")["kind"] == "WARNING"
    assert last.number == operation.number


async def test_properties_are_kept_by_name(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    for sequence, (name, value) in enumerate([("a", "1"), ("b", "2"), ("a", "3")], start=1):
        await world.report(session, assignment, PropertySet(name, value), sequence)
    record = await world.record(operation, Part.PROPERTIES)
    assert json.loads(record.documents[Part.PROPERTIES]) == {"a": "3", "b": "2"}
    told = [one for one in await world.history(operation) if one.kind == EventKind.PROPERTY_SET]
    assert len(told) == 3


async def test_too_many_properties_fail_the_attempt_for_good(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    body = PropertySet("large", "x" * limits.PROPERTIES_BYTES)
    await world.report(session, await world.lease_one(session), body)
    record = await world.record(operation, Part.ERROR, Part.PROPERTIES)
    assert record.operation.state == State.FAILED
    assert json.loads(record.documents[Part.ERROR])["reason"] == "PAYLOAD_TOO_LARGE"
    assert Part.PROPERTIES not in record.documents


async def test_work_handed_back_is_queued_at_once_and_does_not_count(world: World) -> None:
    operation = await world.submit(policy=Policy(max_attempts=1))
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), Released())
    back = await world.see(operation)
    assert (back.state, back.attempt, back.wake_time) == (State.QUEUED, 0, None)
    assert (await world.lease_one(session)).operation.attempt == 1


async def test_work_that_a_worker_gave_up_is_a_failed_attempt(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), Stopped())
    stopped = await world.see(operation)
    assert (stopped.state, stopped.attempt) == (State.QUEUED, 1)
    assert stopped.wake_time == NOON + SECOND


@pytest.mark.parametrize("body", [failed(), failed(permanent=True), Released(), Stopped()])
async def test_once_canceled_anything_but_success_ends_canceled(
    world: World, body: Body
) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.do(Cancel(Caller(), operation.id, message="enough"))
    await world.report(session, assignment, body)
    ended = await world.see(operation)
    assert (ended.state, ended.message) == (State.CANCELED, "enough")


async def test_a_success_that_commits_first_stays_one(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    applied = await world.apply(
        Cancel(Caller(), operation.id), report_change(session, assignment, done())
    )
    assert applied.outcomes[1] == Reported(ended=True)
    assert (await world.see(operation)).state == State.SUCCEEDED


async def test_reports_of_one_batch_see_each_other(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    bodies: list[Body] = [progressed(1), PropertySet("a", "1"), PropertySet("b", "2"), done()]
    await world.apply(
        *(
            report_change(session, assignment, body, sequence)
            for sequence, body in enumerate(bodies, start=1)
        )
    )
    record = await world.record(operation, Part.PROPERTIES)
    assert record.operation.state == State.SUCCEEDED
    assert json.loads(record.documents[Part.PROPERTIES]) == {"a": "1", "b": "2"}


async def test_a_report_for_a_number_of_no_operation_disturbs_nobody(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    absurd = report_change(session, assignment, done())._replace(number=2**70)
    applied = await world.apply(absurd, submit_change())
    assert isinstance(applied.outcomes[0], Exception)
    assert not isinstance(applied.outcomes[1], Exception)

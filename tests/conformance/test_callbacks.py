"""Callbacks: an end that asks for one submits it in the same commit, as ordinary work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from longshore.core import limits
from longshore.core.callbacks import CALLBACK_ACTION, CALLBACKS_QUEUE
from longshore.core.callers import SERVER, Caller
from longshore.core.changes import (
    Cancel,
    Change,
    Delete,
    ExpireSessions,
    Grant,
    Lease,
    Mode,
    Opened,
    Resubmit,
    SetMode,
    Wake,
)
from longshore.core.deliveries import Way
from longshore.core.errors import LeaseLost
from longshore.core.events import Event, EventKind
from longshore.core.filters import Compare
from longshore.core.operations import Kind, Operation, Part, Record, State
from longshore.core.policies import Policy, decode
from longshore.core.reports import Body, Completed
from tests.conformance.codec import encoded, plan_request, request_for, step
from tests.conformance.world import (
    DAY,
    MINUTE,
    SECOND,
    World,
    done,
    failed,
    new_id,
    numbers,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")
CALLED = Policy(callback=True)


async def callbacks(world: World, tenant: str = "default") -> list[Record]:
    """Return all callbacks that there are, the oldest first."""
    wanted = Compare("queue", "=", CALLBACKS_QUEUE)
    page = await world.find(wanted, tenant=tenant, reserved=True, parts=(Part.REQUEST,))
    return page.records[::-1]


async def caller(world: World, slots: int = 1, tenant: str = "default") -> Opened:
    """Return the session of a worker that calls back."""
    return await world.open_session(
        CALLBACK_ACTION, secret=b"caller", queues=(CALLBACKS_QUEUE,), slots=slots, tenant=tenant
    )


async def answered(world: World, body: Body | None = None) -> None:
    """Let the first callback that waits be called, with an answer."""
    session = await caller(world)
    lease = await world.lease_one(session)
    await world.report(session, lease, body or done(status=200))


def sent(events: Sequence[Event]) -> list[tuple[int, dict[str, Any]]]:
    """Return number and detail of what is told of callbacks."""
    return [
        (event.number, json.loads(event.detail or "{}"))
        for event in events
        if event.kind == EventKind.CALLBACK_SENT
    ]


async def leased(world: World, policy: Policy = CALLED, **more: Any) -> tuple[Opened, Any]:
    await world.submit(policy=policy, **more)
    session = await world.open_session()
    return session, await world.lease_one(session)


# Asked for.


async def test_an_end_submits_the_callback_in_the_same_commit(world: World) -> None:
    session, lease = await leased(world)
    applied = await world.apply(report_change(session, lease, done()))
    assert [(event.number, event.kind, event.state) for event in applied.events] == [
        (1, EventKind.STATE_CHANGED, State.SUCCEEDED),
        (2, EventKind.SUBMITTED, State.QUEUED),
    ]
    assert list(applied.created()) == [2]
    (record,) = await callbacks(world)
    operation, facts = record.operation, record.facts
    assert (operation.number, operation.kind, operation.tenant) == (2, Kind.TASK, "default")
    assert (record.queue, operation.state, operation.steps) == (
        CALLBACKS_QUEUE,
        State.QUEUED,
        0,
    )
    assert (facts.submitter, facts.create_time) == (SERVER.principal, world.now)
    policy = decode(operation.policy)
    assert (policy.max_attempts, policy.initial_backoff) == (20, SECOND)
    assert (policy.backoff_multiplier, policy.max_backoff) == (2, 5 * MINUTE)
    assert policy.callback_of == 1
    assert not policy.callback


async def test_a_callback_says_what_has_ended_and_how(world: World) -> None:
    request = request_for("scan", x=1)
    session, lease = await leased(world, request=request)
    await world.report(session, lease, failed(permanent=True))
    (record,) = await callbacks(world)
    asked = json.loads(record.documents[Part.REQUEST])
    assert asked["action"] == CALLBACK_ACTION
    assert asked["arguments"] == {
        "number": 1,
        "request": json.loads(request),
        "state": "FAILED",
    }


async def test_a_callback_belongs_to_the_trace_of_what_has_ended(world: World) -> None:
    operation = await world.submit(policy=CALLED, traceparent="00-1-2-01")
    await world.do(Cancel(ME, operation.id))
    (record,) = await callbacks(world)
    assert record.facts.traceparent == "00-1-2-01"
    assert json.loads(record.facts.attributes or "") == {"name": "callback"}


async def test_nothing_is_called_that_did_not_ask_for_it(world: World) -> None:
    session, lease = await leased(world, Policy())
    await world.report(session, lease, done())
    assert await callbacks(world) == []


async def ends_by_time(world: World) -> list[Change]:
    await leased(world, CALLED._replace(run_timeout=MINUTE, max_attempts=1))
    world.pass_time(MINUTE)
    return [Wake()]


async def ends_by_cancel_of_what_waits(world: World) -> list[Change]:
    await world.submit(policy=CALLED)
    return [Cancel(ME, 1)]


async def ends_by_cancel_of_what_is_held(world: World) -> list[Change]:
    await world.submit(policy=CALLED, suspended=True)
    return [Cancel(ME, 1)]


async def ends_by_cancel_with_force(world: World) -> list[Change]:
    await leased(world)
    return [Cancel(ME, 1, force=True)]


async def ends_by_grace(world: World) -> list[Change]:
    await leased(world)
    await world.do(Cancel(ME, 1))
    world.pass_time(limits.CANCEL_GRACE_MS)
    return [Wake()]


async def ends_by_loss_of_the_worker(world: World) -> list[Change]:
    session, _ = await leased(world, CALLED._replace(max_attempts=1))
    return [ExpireSessions(((session.session, session.epoch),))]


async def ends_by_failure(world: World) -> list[Change]:
    session, lease = await leased(world)
    return [report_change(session, lease, failed(permanent=True))]


async def ends_by_a_result_too_large(world: World) -> list[Change]:
    session, lease = await leased(world)
    large = Completed(b'"' + b"x" * limits.PAYLOAD_BYTES + b'"')
    return [report_change(session, lease, large)]


async def ends_by_missing_arguments(world: World) -> list[Change]:
    request = plan_request(step("scan", paths={"x": "missing"}))
    await world.submit(policy=CALLED, steps=1, request=request)
    session = await world.open_session()
    return [Lease((Grant(session.session, session.epoch, 1),))]


async def ends_by_the_last_step(world: World) -> list[Change]:
    session, lease = await leased(world, steps=1, request=plan_request(step("scan")))
    return [report_change(session, lease, done())]


ENDS = [
    ends_by_time,
    ends_by_cancel_of_what_waits,
    ends_by_cancel_of_what_is_held,
    ends_by_cancel_with_force,
    ends_by_grace,
    ends_by_loss_of_the_worker,
    ends_by_failure,
    ends_by_a_result_too_large,
    ends_by_missing_arguments,
    ends_by_the_last_step,
]


@pytest.mark.parametrize("begin", ENDS, ids=lambda begin: begin.__name__)
async def test_whatever_ends_it_one_callback_is_submitted(world: World, begin: Any) -> None:
    changes = await begin(world)
    assert await callbacks(world) == []
    applied = await world.apply(*changes)
    assert list(applied.created()) == [2]
    await world.apply(Wake(), *changes)
    assert [record.operation.number for record in await callbacks(world)] == [2]


async def test_a_failed_attempt_is_no_end(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, failed())
    assert await callbacks(world) == []


async def test_what_is_to_be_delivered_calls_when_it_is_held(world: World) -> None:
    session, lease = await leased(world, CALLED._replace(delivery=Way.STORE))
    await world.report(session, lease, done())
    for expected in ([], [2]):
        assert await callbacks(world) == []
        applied = await world.apply(Wake())
        assert list(applied.created()) == expected
    (record,) = await callbacks(world)
    assert json.loads(record.documents[Part.REQUEST])["arguments"]["state"] == "SUCCEEDED"


@pytest.mark.parametrize("kind", [Kind.JOB, Kind.LAUNCH], ids=["job", "launch"])
async def test_jobs_and_launches_call_as_well(world: World, kind: Kind) -> None:
    operation = await world.submit(policy=CALLED, kind=kind)
    await world.do(Cancel(ME, operation.id))
    (record,) = await callbacks(world)
    assert record.operation.kind == Kind.TASK


async def test_a_callback_is_its_tenants(world: World) -> None:
    operation = await world.submit(policy=CALLED, tenant="other")
    await world.do(Cancel(Caller("other"), operation.id))
    assert await callbacks(world) == []
    assert len(await callbacks(world, "other")) == 1
    assert await world.lease(await caller(world)) == []


async def test_callbacks_are_in_nobodys_lists_and_counts(world: World) -> None:
    operation = await world.submit(policy=CALLED)
    await world.do(Cancel(ME, operation.id))
    assert numbers(await world.find()) == [1]
    assert (await world.store.counts("default")).operations == {
        ("default", Kind.TASK, State.CANCELED): 1
    }
    assert numbers(await world.events()) == [1, 1]
    assert numbers(await world.events(reserved=True)) == [1, 1, 2]


async def test_each_of_many_ends_of_one_batch_has_its_callback(world: World) -> None:
    changes = [submit_change(policy=CALLED) for _ in range(50)]
    applied = await world.apply(*changes, *(Cancel(ME, one.id) for one in changes))
    assert list(applied.created()) == list(range(1, 101))
    found = await callbacks(world)
    assert [decode(one.operation.policy).callback_of for one in found] == list(range(1, 51))
    ids = {one.operation.id for one in found}
    assert len(ids) == 50
    assert all((id_[6] >> 4, id_[8] >> 6) == (7, 2) for id_ in ids)


async def test_a_server_in_maintenance_still_accepts_its_own_callbacks(world: World) -> None:
    session, lease = await leased(world)
    await world.do(SetMode(SERVER, Mode.MAINTENANCE))
    await world.report(session, lease, done())
    assert len(await callbacks(world)) == 1


async def test_a_callback_can_be_leased_in_the_batch_that_submits_it(world: World) -> None:
    session, lease = await leased(world)
    calling = await caller(world)
    grant = Lease((Grant(calling.session, calling.epoch, 1),))
    applied = await world.apply(report_change(session, lease, done()), grant)
    assert numbers(applied.outcomes[1]) == [2]  # type: ignore[arg-type]


async def test_a_callback_survives_a_restart(world: World) -> None:
    operation = await world.submit(policy=CALLED)
    await world.do(Cancel(ME, operation.id))
    before = await callbacks(world)
    await world.reopen()
    assert await callbacks(world) == before
    await answered(world)
    assert sent(await world.history(operation)) == [(1, {"attempts": 1, "message": "200"})]


# Answered.


async def ended(world: World, policy: Policy = CALLED) -> Operation:
    """Return an operation that has ended, and whose callback waits."""
    operation = await world.submit(policy=policy)
    ended: Operation = await world.do(Cancel(ME, operation.id))
    return ended


@pytest.mark.parametrize(
    "results, message",
    [
        ({"message": "accepted", "status": 202}, {"message": "accepted"}),
        ({"status": 204}, {"message": "204"}),
        ({"message": "x" * 2_000}, {"message": "x" * 1_000}),
        ({}, {}),
    ],
)
async def test_the_first_operation_is_told_of_the_answer(
    world: World, results: dict[str, Any], message: dict[str, str]
) -> None:
    operation = await ended(world)
    session = await caller(world)
    lease = await world.lease_one(session)
    body = Completed(encoded(results))
    applied = await world.apply(report_change(session, lease, body))
    assert [(event.number, event.kind, event.state) for event in applied.events] == [
        (2, EventKind.STATE_CHANGED, State.SUCCEEDED),
        (1, EventKind.CALLBACK_SENT, State.CANCELED),
    ]
    assert sent(applied.events) == [(1, {"attempts": 1} | message)]
    seen = await world.see(operation)
    assert (seen.state, seen.revision) == (State.CANCELED, world.revision)
    assert (seen.end_time, seen.wake_time) == (operation.end_time, operation.wake_time)


async def test_a_callback_is_tried_twenty_times_then_given_up(world: World) -> None:
    operation = await ended(world)
    session = await caller(world)
    for attempt in range(1, 21):
        assert sent(await world.history(operation)) == []
        lease = await world.lease_one(session)
        await world.report(session, lease, failed(f"attempt {attempt}"))
        world.pass_time(5 * MINUTE)
        await world.wake()
    assert await world.lease(session) == []
    told = {"given_up": True, "attempts": 20, "message": "attempt 20"}
    assert sent(await world.history(operation)) == [(1, told)]
    (record,) = await callbacks(world)
    assert record.operation.state == State.FAILED


async def test_a_callback_that_can_never_arrive_is_given_up_at_once(world: World) -> None:
    operation = await ended(world)
    await answered(world, failed("410 Gone", permanent=True))
    told = {"given_up": True, "attempts": 1, "message": "410 Gone"}
    assert sent(await world.history(operation)) == [(1, told)]


async def test_a_callback_that_is_canceled_is_given_up(world: World) -> None:
    operation = await ended(world)
    await world.do(Cancel(ME, 2, message="no longer needed"))
    told = {"given_up": True, "attempts": 0, "message": "no longer needed"}
    assert sent(await world.history(operation)) == [(1, told)]


async def test_an_answer_that_is_reported_twice_is_told_once(world: World) -> None:
    operation = await ended(world)
    session = await caller(world)
    lease = await world.lease_one(session)
    answer = report_change(session, lease, done())
    await world.apply(answer, answer)
    await world.apply(answer)
    assert isinstance(await world.refused(report_change(session, lease, done(), 2)), LeaseLost)
    assert len(sent(await world.history(operation))) == 1


async def test_an_operation_that_has_expired_is_told_nothing(world: World) -> None:
    operation = await ended(world, CALLED._replace(expire_after=DAY))
    world.pass_time(DAY)
    await world.wake()
    revision = world.revision
    await answered(world)
    assert sent(await world.events(revision, reserved=True)) == []
    assert (await world.history(operation))[-1].kind == EventKind.EXPIRED


async def test_of_an_answer_and_the_expiry_in_one_batch_the_first_wins(world: World) -> None:
    for answer_first in (True, False):
        operation = await ended(world)
        session = await caller(world)
        lease = await world.lease_one(session)
        changes: list[Change] = [
            report_change(session, lease, done()),
            Delete(ME, operation.id),
        ]
        await world.apply(*(changes if answer_first else changes[::-1]))
        assert len(sent(await world.history(operation))) == answer_first
        assert await world.store.get("default", [operation.id]) == [None]


async def test_a_callback_is_kept_as_long_as_what_it_is_for(world: World) -> None:
    await ended(world, CALLED._replace(expire_after=DAY))
    await answered(world)
    assert len(await callbacks(world)) == 1
    world.pass_time(DAY)
    await world.wake()
    assert await callbacks(world) == []


async def test_what_has_ended_can_be_deleted_while_its_callback_waits(world: World) -> None:
    operation = await ended(world)
    await world.do(Delete(ME, operation.id))
    assert len(await callbacks(world)) == 1
    await answered(world)
    assert (await callbacks(world))[0].operation.state == State.SUCCEEDED


# Once more.


async def test_what_is_resubmitted_calls_again(world: World) -> None:
    operation = await ended(world)
    again = (await world.do(Resubmit(ME, operation.id, new_id()))).operation
    await world.do(Cancel(ME, again.id))
    found = await callbacks(world)
    assert [decode(one.operation.policy).callback_of for one in found] == [1, again.number]


async def test_a_callback_that_was_given_up_can_be_resubmitted(world: World) -> None:
    operation = await ended(world)
    await answered(world, failed("refused", permanent=True))
    await world.do(Resubmit(ME, 2, new_id()))
    await answered(world, done(message="accepted"))
    details = [detail for _, detail in sent(await world.history(operation))]
    assert [detail["message"] for detail in details] == ["refused", "accepted"]
    assert "given_up" not in details[-1]


async def test_callbacks_wait_for_their_limits_like_all_work(world: World) -> None:
    changes = [submit_change(policy=CALLED) for _ in range(3)]
    await world.apply(*changes, *(Cancel(ME, one.id) for one in changes))
    session = await caller(world, slots=2)
    assert numbers(await world.lease(session, free=2)) == [4, 5]

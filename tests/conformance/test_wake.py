"""Waking: starts, timeouts, graces and expiries, each when its time has come."""

from __future__ import annotations

import json

from longshore.core import limits
from longshore.core.callers import SERVER, Caller
from longshore.core.changes import Cancel, Grant, Lease, Mode, SetMode, Wake
from longshore.core.errors import LeaseLost, OperationNotFound
from longshore.core.events import EventKind
from longshore.core.operations import Part, State
from longshore.core.policies import Policy
from tests.conformance.world import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    numbers,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")


async def test_work_with_a_start_time_waits_for_it(world: World) -> None:
    await world.submit(not_before=NOON + MINUTE)
    session = await world.open_session()
    await world.wake()
    assert await world.lease(session) == []
    world.pass_time(MINUTE)
    lease = Lease((Grant(session.session, session.epoch, 1),))
    applied = await world.apply(Wake(), lease)
    assert numbers(applied.outcomes[1]) == [1]  # type: ignore[arg-type]


async def test_the_store_says_when_to_wake_it(world: World) -> None:
    applied = await world.apply(submit_change())
    assert applied.next_wake is None
    applied = await world.apply(submit_change(not_before=NOON + 2 * MINUTE))
    assert applied.next_wake == NOON + 2 * MINUTE
    applied = await world.apply(submit_change(not_before=NOON + MINUTE))
    assert applied.next_wake == NOON + MINUTE
    world.pass_time(MINUTE)
    applied = await world.apply(Wake())
    assert applied.next_wake == NOON + 2 * MINUTE
    world.pass_time(MINUTE)
    assert (await world.apply(Wake())).next_wake is None


async def test_what_was_canceled_before_its_start_is_not_woken_for(world: World) -> None:
    operation = await world.submit(not_before=NOON + MINUTE)
    await world.do(Cancel(ME, operation.id))
    world.pass_time(MINUTE)
    applied = await world.apply(Wake())
    assert applied.events == []
    assert applied.next_wake == NOON + limits.EXPIRE_AFTER_MS


async def test_becoming_due_keeps_revision_and_place(world: World) -> None:
    early = await world.submit(not_before=NOON + MINUTE)
    late = await world.submit()
    world.pass_time(MINUTE)
    applied = await world.apply(Wake())
    assert applied.events == []
    assert (await world.see(early)).revision == early.revision
    session = await world.open_session()
    assert numbers(await world.lease(session, free=2)) == [early.number, late.number]


async def test_an_attempt_that_takes_too_long_is_retried(world: World) -> None:
    operation = await world.submit(policy=Policy(run_timeout=MINUTE, max_attempts=2))
    session = await world.open_session()
    for attempt in (1, 2):
        stale = await world.lease_one(session)
        assert stale.operation.wake_time == world.now + MINUTE
        world.pass_time(MINUTE)
        await world.wake()
        assert isinstance(await world.refused(report_change(session, stale, done())), LeaseLost)
        world.pass_time(MINUTE)
        await world.wake()
        assert (await world.see(operation)).attempt == attempt
    record = await world.record(operation, Part.ERROR)
    assert record.operation.state == State.FAILED
    error = json.loads(record.documents[Part.ERROR])
    assert (error["code"], error["reason"]) == (4, "RUN_TIMEOUT")
    assert error["facts"] == {"attempt": "2", "run_timeout_seconds": "60"}


async def test_a_report_that_comes_with_the_timeout_wins(world: World) -> None:
    operation = await world.submit(policy=Policy(run_timeout=MINUTE))
    session = await world.open_session()
    assignment = await world.lease_one(session)
    world.pass_time(2 * MINUTE)
    await world.apply(report_change(session, assignment, done()), Wake())
    assert (await world.see(operation)).state == State.SUCCEEDED


async def test_the_grace_of_a_cancel_ends(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    await world.lease_one(session)
    await world.do(Cancel(ME, operation.id, message="enough"))
    world.pass_time(limits.CANCEL_GRACE_MS - 1)
    await world.wake()
    assert (await world.see(operation)).state == State.RUNNING
    world.pass_time(1)
    await world.wake()
    ended = await world.see(operation)
    assert (ended.state, ended.message) == (State.CANCELED, "enough")


async def test_an_expired_operation_is_found_no_more(world: World) -> None:
    operation = await world.submit(key="k", policy=Policy(expire_after=DAY))
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), done(x=1))
    world.pass_time(DAY - 1)
    await world.wake()
    await world.see(operation)
    world.pass_time(1)
    applied = await world.apply(Wake())
    (event,) = applied.events
    assert (event.kind, event.state) == (EventKind.EXPIRED, State.SUCCEEDED)
    assert await world.store.get("default", [operation.id, operation.number]) == [None, None]
    assert numbers(await world.find()) == []
    assert (await world.store.counts("default")).operations == {}
    assert isinstance(await world.refused(Cancel(ME, operation.id)), OperationNotFound)


async def test_watchers_are_still_told_of_what_has_expired(world: World) -> None:
    operation = await world.submit(policy=Policy(expire_after=DAY))
    await world.do(Cancel(ME, operation.id))
    world.pass_time(DAY)
    await world.wake()
    told = await world.events()
    assert [event.kind for event in told] == [
        EventKind.SUBMITTED,
        EventKind.STATE_CHANGED,
        EventKind.EXPIRED,
    ]
    assert {event.id for event in told} == {operation.id}


async def test_more_than_a_batch_of_due_work_is_done_in_several(world: World) -> None:
    count = limits.WRITER_DUE + 200
    for _ in range(2):
        delayed = (submit_change(not_before=NOON + SECOND) for _ in range(count // 2))
        await world.apply(*delayed)
    world.pass_time(SECOND)
    applied = await world.apply(Wake())
    assert applied.next_wake == world.now
    applied = await world.apply(Wake())
    assert applied.next_wake is None
    session = await world.open_session()
    assert len(await world.lease(session, free=2 * count)) == count


async def test_however_much_expires_it_does_so_a_little_at_a_time_and_holds_up_nothing_else(
    world: World,
) -> None:
    count = limits.WRITER_EXPIRING + 200
    done = [submit_change(policy=Policy(expire_after=SECOND)) for _ in range(count)]
    await world.apply(*done)
    await world.apply(*(Cancel(ME, one.id) for one in done))
    urgent = await world.submit(not_before=NOON + 2 * SECOND)
    world.pass_time(2 * SECOND)
    applied = await world.apply(Wake())
    expired = [one for one in applied.events if one.kind == EventKind.EXPIRED]
    assert len(expired) == limits.WRITER_EXPIRING
    assert (await world.see(urgent)).waiting
    assert applied.next_wake == world.now
    applied = await world.apply(Wake())
    assert len(applied.events) == 200
    assert applied.next_wake is None


async def test_what_ends_and_is_due_in_one_batch_is_decided_in_order(world: World) -> None:
    operation = await world.submit(not_before=NOON + SECOND)
    world.pass_time(SECOND)
    await world.apply(Wake(), Cancel(ME, operation.id), Wake())
    assert (await world.see(operation)).state == State.CANCELED


async def test_suspended_installations_still_admit_and_expire(world: World) -> None:
    operation = await world.submit(policy=Policy(expire_after=DAY))
    await world.do(Cancel(ME, operation.id))
    await world.do(SetMode(SERVER, Mode.SUSPENDED))
    world.pass_time(DAY)
    await world.wake()
    assert await world.store.get("default", [operation.id]) == [None]

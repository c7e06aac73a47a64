"""Deliveries: a result that was asked for passes every stage, each in a commit of its own."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import (
    Acknowledge,
    Cancel,
    CloseSession,
    Delete,
    Grant,
    Lease,
    Move,
    Resubmit,
    Suspend,
    Wake,
)
from longshore.core.deliveries import Delivery, Stage, Way
from longshore.core.errors import LeaseLost, OperationNotFound, StoreUnavailable, WrongState
from longshore.core.events import Event, EventKind
from longshore.core.filters import Compare
from longshore.core.operations import PUBLISHER, Kind, Part, State
from longshore.core.policies import Policy
from longshore.core.reports import Completed, Reported
from longshore.core.store import Channel
from tests.conformance.arriving import (
    CHANNEL,
    STORE,
    arrived,
    delivery,
    leased,
    result,
    stage,
    worked,
)
from tests.conformance.codec import plan_request, request_for, step
from tests.conformance.keeping import kept, refused_save, save, sweep_up
from tests.conformance.world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
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
RUNNING, SUCCEEDED, FAILED = State.RUNNING, State.SUCCEEDED, State.FAILED
BOTH = pytest.mark.parametrize("policy", [STORE, CHANNEL], ids=["store", "channel"])


def told(events: list[Event]) -> list[tuple[EventKind, State, Any]]:
    """Return kind, state and stage of events."""
    return [
        (EventKind(one.kind), State(one.state), json.loads(one.detail or "{}").get("state"))
        for one in events
    ]


CHANGED, TURNED = EventKind.DELIVERY_CHANGED, EventKind.STATE_CHANGED


@BOTH
async def test_a_result_is_done_then_fetchable_then_held(world: World, policy: Policy) -> None:
    session, lease = await leased(world, policy)
    assert await stage(world, lease) == (RUNNING, Stage.NONE)
    applied = await world.apply(report_change(session, lease, done(x=1)))
    assert applied.outcomes == [Reported(ended=True)]
    assert told(applied.events) == [(CHANGED, RUNNING, Stage.PENDING)]
    assert await stage(world, lease) == (RUNNING, Stage.PENDING)
    applied = await world.apply(Wake())
    assert told(applied.events) == [(CHANGED, RUNNING, Stage.ONGOING)]
    assert await stage(world, lease) == (RUNNING, Stage.ONGOING)
    applied = await world.apply(Wake())
    assert told(applied.events) == [
        (CHANGED, RUNNING, Stage.COMPLETE),
        (TURNED, SUCCEEDED, None),
    ]
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)
    assert await result(world, lease) == b'{"x":1}'


async def test_without_a_delivery_nothing_is_told_of_one(world: World) -> None:
    operation = await worked(world, Policy())
    assert operation.state == SUCCEEDED
    assert (await world.record(operation, Part.DELIVERY)).documents == {}
    assert CHANGED not in [event.kind for event in await world.history(operation)]


async def test_events_say_how_far_a_result_is_and_where_it_goes(world: World) -> None:
    operation = await arrived(world, CHANNEL)
    await world.do(Acknowledge(ME, (operation.id,)))
    details = [
        json.loads(event.detail or "{}")
        for event in await world.history(operation)
        if event.kind == CHANGED
    ]
    sent = {"mode": Way.CHANNEL, "stream": "ada"}
    assert details == [
        sent | {"state": Stage.PENDING},
        sent | {"state": Stage.ONGOING},
        sent | {"state": Stage.COMPLETE},
        sent | {"state": Stage.COMPLETE, "retrieve_time": NOON},
    ]
    assert (await delivery(world, operation)) == Delivery(
        Way.CHANNEL, Stage.COMPLETE, "ada", NOON
    )


async def test_only_a_channel_has_the_name_of_a_stream(world: World) -> None:
    operation = await arrived(world, STORE)
    assert (await delivery(world, operation)).stream == ""


async def test_the_store_wakes_by_itself_until_a_result_is_held(world: World) -> None:
    session, lease = await leased(world)
    applied = await world.apply(report_change(session, lease, done()))
    for _ in range(2):
        assert applied.next_wake is not None
        assert applied.next_wake <= world.now
        applied = await world.apply(Wake())
    assert applied.next_wake == world.now + limits.EXPIRE_AFTER_MS


async def test_no_stage_shares_a_commit_with_another(world: World) -> None:
    session, lease = await leased(world)
    await world.apply(report_change(session, lease, done()), Wake(), Wake())
    assert await stage(world, lease) == (RUNNING, Stage.PENDING)
    await world.apply(Wake(), Wake())
    assert await stage(world, lease) == (RUNNING, Stage.ONGOING)
    await world.apply(Wake(), Wake())
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)


async def test_a_restart_after_any_commit_goes_on(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done(x=1))
    for expected in (Stage.ONGOING, Stage.COMPLETE):
        await world.reopen()
        applied = await world.apply()
        assert applied.next_wake is not None
        assert applied.next_wake <= world.now
        await world.wake()
        assert (await delivery(world, lease)).stage == expected
    await world.reopen()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)
    assert await result(world, lease) == b'{"x":1}'


async def test_a_clock_that_is_set_back_holds_no_delivery_up(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    for _ in range(2):
        world.pass_time(-DAY)
        await world.reopen()
        await world.wake()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)


@BOTH
async def test_work_that_fails_is_not_delivered(world: World, policy: Policy) -> None:
    session, lease = await leased(world, policy._replace(max_attempts=2))
    await world.report(session, lease, failed())
    assert await stage(world, lease) == (State.QUEUED, Stage.NONE)
    world.pass_time(SECOND)
    await world.wake()
    await world.report(session, await world.lease_one(session), failed())
    assert await stage(world, lease) == (FAILED, Stage.NONE)


async def test_what_is_canceled_before_its_end_is_not_delivered(world: World) -> None:
    operation = await world.submit(policy=STORE)
    await world.do(Cancel(ME, operation.id))
    assert await stage(world, operation) == (State.CANCELED, Stage.NONE)


@BOTH
async def test_a_result_that_is_too_large_fails_its_delivery(
    world: World, policy: Policy
) -> None:
    session, lease = await leased(world, policy)
    large = Completed(b'"' + b"x" * limits.PAYLOAD_BYTES + b'"')
    applied = await world.apply(report_change(session, lease, large))
    assert told(applied.events) == [(CHANGED, RUNNING, Stage.FAILED), (TURNED, FAILED, None)]
    assert await stage(world, lease) == (FAILED, Stage.FAILED)
    assert await result(world, lease) is None


def two_steps() -> dict[str, Any]:
    return {"steps": 2, "request": plan_request(step("scan"), step("scan"))}


async def test_of_a_plan_the_last_result_is_delivered(world: World) -> None:
    session, lease = await leased(world, STORE, **two_steps())
    await world.report(session, lease, done(x=1))
    assert await stage(world, lease) == (RUNNING, Stage.NONE)
    reported = await world.report(session, lease, done(y=2), 2)
    assert reported == Reported(ended=True)
    assert await stage(world, lease) == (RUNNING, Stage.PENDING)
    await world.wake()
    await world.wake()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)
    assert await result(world, lease) == b'{"y":2}'


@pytest.mark.parametrize("before, expected", [(0, Stage.NONE), (1, Stage.FAILED)])
async def test_only_the_last_result_of_a_plan_can_fail_its_delivery(
    world: World, before: int, expected: Stage
) -> None:
    session, lease = await leased(world, STORE, **two_steps())
    for sequence in range(before):
        await world.report(session, lease, done(), sequence + 1)
    large = Completed(b'"' + b"x" * limits.PAYLOAD_BYTES + b'"')
    await world.report(session, lease, large, before + 1)
    assert await stage(world, lease) == (FAILED, expected)


# Who holds what meanwhile.


async def test_the_worker_is_free_as_soon_as_the_work_is_done(world: World) -> None:
    session, lease = await leased(world)
    await world.submit()
    grant = Lease((Grant(session.session, session.epoch, 0),))
    applied = await world.apply(report_change(session, lease, done()), Wake(), grant)
    assert numbers(applied.outcomes[2]) == [2]  # type: ignore[arg-type]
    held = await world.see(lease)
    assert (held.session, held.worker) == (PUBLISHER, "worker-1")


async def test_a_repeated_report_is_acknowledged_at_every_stage(world: World) -> None:
    session, lease = await leased(world)
    for _ in range(4):
        assert await world.report(session, lease, done()) == Reported(ended=True)
        refusal = await world.refused(report_change(session, lease, done(), 2))
        assert isinstance(refusal, LeaseLost)
        await world.wake()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)


async def test_a_worker_that_is_gone_does_not_disturb_a_delivery(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    applied = await world.apply(CloseSession(ME, session.session, session.epoch), Wake())
    assert EventKind.SESSION in [event.kind for event in applied.events]
    await world.wake()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)
    assert (await world.open_session()).held == []


async def test_a_run_timeout_is_for_the_work_alone(world: World) -> None:
    session, lease = await leased(world, STORE._replace(run_timeout=MINUTE))
    await world.report(session, lease, done())
    world.pass_time(HOUR)
    await world.wake()
    assert await stage(world, lease) == (RUNNING, Stage.ONGOING)


async def test_what_is_being_delivered_makes_no_files(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    assert isinstance(await refused_save(world, lease), LeaseLost)


async def test_the_lease_of_a_key_is_held_until_the_end(world: World) -> None:
    policy = STORE._replace(concurrency_limit=1)
    for _ in range(2):
        await world.submit(policy=policy, concurrency_key="k")
    session = await world.open_session(slots=2)
    (lease,) = await world.lease(session, free=2)
    await world.report(session, lease, done())
    for _ in range(2):
        assert await world.lease(session, free=2) == []
        await world.wake()
    assert numbers(await world.lease(session, free=2)) == [2]


async def test_the_room_of_a_queue_is_held_until_the_end(world: World) -> None:
    await world.do(UpdateQueue(ME, "default", limit=1))
    session, lease = await leased(world)
    await world.submit()
    await world.report(session, lease, done())
    for _ in range(2):
        assert await world.lease(session) == []
        await world.wake()
    assert numbers(await world.lease(session)) == [2]


async def test_what_is_being_delivered_counts_and_is_listed_as_running(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    await world.reopen()
    wanted = Compare("state", "=", State.RUNNING)
    assert numbers(await world.find(wanted)) == [1]
    assert (await world.store.counts("default")).operations == {("default", 1, RUNNING): 1}
    await world.wake()
    await world.wake()
    assert numbers(await world.find(wanted)) == []
    assert (await world.store.counts("default")).operations == {("default", 1, SUCCEEDED): 1}


async def test_what_is_being_delivered_is_moved_but_not_held(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    assert isinstance(await world.refused(Suspend(ME, 1)), WrongState)
    await world.apply(Move(ME, 1, "night"), Wake())
    await world.wake()
    await world.wake()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)


# Canceled meanwhile.


async def test_who_cancels_what_is_done_is_too_late(world: World) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    assert (await world.do(Cancel(ME, 1))).state == RUNNING
    assert (await world.do(Cancel(ME, 1))).state == RUNNING
    world.pass_time(HOUR)
    await world.wake()
    await world.wake()
    assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)


@pytest.mark.parametrize("wakes", [0, 1])
async def test_who_cancels_with_force_ends_a_delivery(world: World, wakes: int) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done(x=1))
    for _ in range(wakes):
        await world.wake()
    applied = await world.apply(Cancel(ME, 1, force=True))
    assert told(applied.events) == [
        (CHANGED, RUNNING, Stage.FAILED),
        (TURNED, State.CANCELED, None),
    ]
    assert await stage(world, lease) == (State.CANCELED, Stage.FAILED)
    assert await result(world, lease) is None
    await world.wake()
    assert await stage(world, lease) == (State.CANCELED, Stage.FAILED)


@pytest.mark.parametrize("woken", [False, True])
async def test_of_the_end_and_a_cancel_with_force_in_one_batch_both_are_told(
    world: World, woken: bool
) -> None:
    session, lease = await leased(world)
    wakes = [Wake()] if woken else []
    end, force = report_change(session, lease, done(x=1)), Cancel(ME, 1, force=True)
    await world.apply(end, *wakes, force, *wakes)
    assert await stage(world, lease) == (State.CANCELED, Stage.FAILED)
    assert await result(world, lease) is None


async def test_a_cancel_with_force_before_the_end_wins(world: World) -> None:
    session, lease = await leased(world)
    applied = await world.apply(
        Cancel(ME, 1, force=True), report_change(session, lease, done()), Wake()
    )
    assert isinstance(applied.outcomes[1], LeaseLost)
    assert await stage(world, lease) == (State.CANCELED, Stage.NONE)


@pytest.mark.parametrize("wakes", [0, 1])
async def test_a_cancel_and_a_wake_of_one_batch_are_decided_in_order(
    world: World, wakes: int
) -> None:
    session, lease = await leased(world)
    await world.report(session, lease, done())
    for _ in range(wakes):
        await world.wake()
    force = Cancel(ME, 1, force=True)
    applied = await world.apply(Wake(), force)
    if wakes:
        assert isinstance(applied.outcomes[1], WrongState)
        assert await stage(world, lease) == (SUCCEEDED, Stage.COMPLETE)
    else:
        assert await stage(world, lease) == (State.CANCELED, Stage.FAILED)


# Acknowledged.


async def test_an_acknowledged_result_is_gone(world: World) -> None:
    operation = await arrived(world)
    world.pass_time(MINUTE)
    applied = await world.apply(Acknowledge(ME, (operation.id,)))
    assert applied.outcomes == [None]
    assert told(applied.events) == [(CHANGED, SUCCEEDED, Stage.COMPLETE)]
    assert await result(world, operation) is None
    assert (await delivery(world, operation)).retrieve_time == NOON + MINUTE
    seen = await world.see(operation)
    assert (seen.state, seen.revision) == (SUCCEEDED, world.revision)
    assert seen.wake_time == operation.wake_time


async def test_a_repeated_acknowledgement_changes_nothing(world: World) -> None:
    operation = await arrived(world)
    both = Acknowledge(ME, (operation.id, operation.number, operation.id))
    applied = await world.apply(both, both)
    assert len(applied.events) == 1
    world.pass_time(MINUTE)
    await world.reopen()
    assert (await world.apply(both)).events == []
    assert (await delivery(world, operation)).retrieve_time == NOON


async def test_a_result_can_be_acknowledged_as_soon_as_it_can_be_fetched(world: World) -> None:
    operation = await worked(world)
    too_early = await world.refused(Acknowledge(ME, (1,)))
    assert isinstance(too_early, WrongState)
    assert too_early.facts["expected"] == "a result that can be fetched"
    await world.wake()
    await world.apply(Acknowledge(ME, (1,)), Wake())
    assert await stage(world, operation) == (RUNNING, Stage.ONGOING)
    assert await result(world, operation) is None
    await world.wake()
    assert await stage(world, operation) == (SUCCEEDED, Stage.COMPLETE)
    assert (await delivery(world, operation)).retrieve_time == NOON


async def test_of_waking_and_acknowledging_in_one_batch_both_are_done(world: World) -> None:
    operation = await worked(world)
    await world.apply(Wake(), Acknowledge(ME, (1,)))
    assert await stage(world, operation) == (RUNNING, Stage.ONGOING)
    assert await result(world, operation) is None


async def test_all_results_are_acknowledged_or_none(world: World) -> None:
    operation = await arrived(world)
    running = await world.submit(policy=STORE)
    plain = await world.submit()
    job = await world.submit(kind=Kind.JOB)
    for other, error in (
        (running.number, WrongState),
        (plain.number, WrongState),
        (job.number, OperationNotFound),
        (new_id(), OperationNotFound),
        (99, OperationNotFound),
    ):
        refusal = await world.refused(Acknowledge(ME, (operation.id, other)))
        assert isinstance(refusal, error)
        assert await result(world, operation) is not None


async def test_nobody_acknowledges_for_another_tenant(world: World) -> None:
    operation = await arrived(world)
    stranger = Acknowledge(Caller("other", "ada"), (operation.id,))
    assert isinstance(await world.refused(stranger), OperationNotFound)


async def test_that_a_task_has_failed_can_be_acknowledged(world: World) -> None:
    operation = await worked(world, body=failed(permanent=True))
    await world.do(Acknowledge(ME, (operation.id,)))
    found = await delivery(world, operation)
    assert (found.stage, found.retrieve_time) == (Stage.NONE, NOON)
    assert (await world.see(operation)).state == FAILED


async def test_files_of_an_acknowledged_result_go_with_it(world: World) -> None:
    session, lease = await leased(world)
    file = await save(world, lease)
    taken = await save(world, lease, "taken")
    await world.submit(files=(taken.id,), queue="night")
    await world.report(session, lease, done())
    await world.wake()
    await world.wake()
    await world.do(Acknowledge(ME, (1,)))
    assert await kept(world, file, taken._replace(number=None, expire_time=world.now)) == [
        False,
        True,
    ]
    assert Part.FILES not in (await world.record(lease, Part.FILES)).documents
    assert await sweep_up(world) == {file.blob}


async def test_thousands_are_acknowledged_at_once(world: World) -> None:
    count = 1_000
    await world.apply(*(submit_change(policy=STORE) for _ in range(count)))
    targets = tuple(range(1, count + 1))
    await world.apply(*(Cancel(ME, number) for number in targets))
    applied = await world.apply(Acknowledge(ME, targets))
    assert numbers(applied.events) == list(targets)


# Afterwards.


async def test_a_delivered_task_expires_with_its_result(world: World) -> None:
    operation = await arrived(world, STORE._replace(expire_after=DAY))
    world.pass_time(DAY)
    await world.wake()
    assert await world.store.get("default", [operation.id]) == [None]
    refusal = await world.refused(Acknowledge(ME, (operation.id,)))
    assert isinstance(refusal, OperationNotFound)


async def test_what_is_deleted_expires_at_once(world: World) -> None:
    operation = await arrived(world)
    applied = await world.apply(Delete(ME, operation.id), Delete(ME, operation.id))
    assert [event.kind for event in applied.events] == [EventKind.EXPIRED]
    assert isinstance(applied.outcomes[1], OperationNotFound)
    assert await world.store.get("default", [operation.id]) == [None]
    assert (await world.store.counts("default")).operations == {}
    await world.reopen()
    assert (await world.apply()).next_wake is None


async def test_only_what_has_ended_is_deleted(world: World) -> None:
    session, lease = await leased(world)
    for _ in range(2):
        assert isinstance(await world.refused(Delete(ME, 1)), WrongState)
        await world.report(session, lease, done())
        await world.wake()
    assert isinstance(await world.refused(Delete(ME, 1, Kind.JOB)), OperationNotFound)
    assert isinstance(await world.refused(Delete(Caller("b"), 1)), OperationNotFound)
    assert await world.do(Delete(ME, 1)) is None


async def test_what_is_resubmitted_is_delivered_anew(world: World) -> None:
    operation = await arrived(world, CHANNEL)
    await world.do(Acknowledge(ME, (operation.id,)))
    bob = Caller("default", "bob")
    again = (await world.do(Resubmit(bob, operation.id, new_id()))).operation
    assert await delivery(world, again) == Delivery(Way.CHANNEL, Stage.NONE, "bob")


# When the disk is full.


async def test_a_full_disk_holds_a_delivery_up_and_loses_no_stage(world: World) -> None:
    operation = await worked(world, CHANNEL)
    too_large = submit_change(request=request_for("scan", padding="x" * 500_000))
    with world.disk_full():
        for _ in range(3):
            with contextlib.suppress(StoreUnavailable):
                applied = await world.store.apply([Wake(), too_large])
                world.revision = applied.revision
    while not (await world.see(operation)).ended:
        await world.wake()
    passed = [one for one in told(await world.history(operation)) if one[0] == CHANGED]
    assert [stage for _, _, stage in passed] == [Stage.PENDING, Stage.ONGOING, Stage.COMPLETE]
    assert len(await world.store.channel(Channel("default", "ada", 0, 10))) == 1


# Many at once.


async def test_of_ten_thousand_results_each_passes_each_stage(world: World) -> None:
    count, at_once = 10_000, 2_000
    session = await world.open_session(slots=count)
    for _ in range(count // at_once):
        await world.apply(*(submit_change(policy=STORE) for _ in range(at_once)))
        leases = await world.lease(session, free=at_once)
        await world.apply(*(report_change(session, lease, done()) for lease in leases))
    late = await world.submit(not_before=world.now + SECOND)
    world.pass_time(SECOND)
    stages: dict[int, list[int]] = {}
    wakes = 0
    applied = await world.apply(Wake())
    while applied.events:
        wakes += 1
        in_this = [one for one in applied.events if one.kind == CHANGED]
        assert len({one.number for one in in_this}) == len(in_this) <= limits.WRITER_DUE
        for event in in_this:
            stages.setdefault(event.number, []).append(json.loads(event.detail or "")["state"])
        applied = await world.apply(Wake())
    assert wakes == 2 * count // limits.WRITER_DUE
    assert sorted(stages) == list(range(1, count + 1))
    assert all(passed == [Stage.ONGOING, Stage.COMPLETE] for passed in stages.values())
    assert (await world.see(late)).waiting
    assert (await world.store.counts("default")).operations[
        "default", Kind.TASK, SUCCEEDED
    ] == count

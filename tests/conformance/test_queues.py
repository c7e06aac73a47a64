"""Queues: paused, resumed and limited, over all their lanes and sessions; moves between them."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from longshore.core.callers import Caller
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import Cancel, ExpireSessions, Grant, Lease, Move, Opened, Suspend
from longshore.core.errors import OperationNotFound, WrongState
from longshore.core.events import EventKind
from longshore.core.installation import RULESETS_QUEUE, Queue
from longshore.core.operations import Kind, State
from longshore.core.reports import Assignment
from tests.conformance.world import (
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    failed,
    numbers,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")


def lease_of(*sessions: Opened, free: int = 10) -> Lease:
    return Lease(tuple(Grant(one.session, one.epoch, free) for one in sessions))


async def leased(world: World, *sessions: Opened) -> list[int]:
    return numbers(await world.lease(*sessions, free=10))


async def test_a_queue_is_made_by_its_first_update(world: World) -> None:
    assert await world.do(UpdateQueue(ME, "night")) == Queue()
    assert (await world.store.catalog()).queues == {("default", "night"): Queue()}


async def test_a_queue_says_who_paused_it_and_since_when(world: World) -> None:
    paused = await world.do(UpdateQueue(ME, "night", paused=True))
    assert paused == Queue("ada", NOON, 0)
    world.pass_time(SECOND)
    again = await world.do(UpdateQueue(Caller("default", "bob"), "night", paused=True, limit=3))
    assert again == Queue("ada", NOON, 3)
    await world.reopen()
    assert (await world.store.catalog()).queues == {("default", "night"): again}
    assert await world.do(UpdateQueue(ME, "night", paused=False)) == Queue(limit=3)
    assert await world.do(UpdateQueue(ME, "night", limit=0)) == Queue()


async def test_an_update_that_changes_nothing_is_not_told(world: World) -> None:
    change = UpdateQueue(ME, "night", paused=True, limit=2)
    applied = await world.apply(change, change, UpdateQueue(ME, "night"))
    (event,) = applied.events
    assert (event.kind, event.number, event.tenant) == (EventKind.QUEUE, 0, "default")
    assert json.loads(event.detail or "") == {"queue": "night"}
    assert applied.outcomes == [Queue("ada", NOON, 2)] * 3


async def test_a_paused_queue_starts_nothing_and_what_runs_goes_on(world: World) -> None:
    await world.apply(submit_change(), submit_change(), submit_change(queue="night"))
    session = await world.open_session(queues=["default", "night"])
    assignment = await world.lease_one(session)
    await world.do(UpdateQueue(ME, "default", paused=True))
    assert await leased(world, session) == [3]
    await world.report(session, assignment, done())
    await world.reopen()
    assert await leased(world, session) == []
    await world.apply(submit_change(priority=9))
    assert await leased(world, session) == []


async def test_a_pause_holds_from_its_place_in_the_batch(world: World) -> None:
    session = await world.open_session()
    pause = UpdateQueue(ME, "default", paused=True)
    applied = await world.apply(submit_change(), pause, lease_of(session))
    assert applied.outcomes[2] == []
    go_on = UpdateQueue(ME, "default", paused=False)
    applied = await world.apply(go_on, lease_of(session))
    assert numbers(cast("list[Assignment]", applied.outcomes[1])) == [1]


async def test_retries_wait_in_a_paused_queue(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.do(UpdateQueue(ME, "default", paused=True))
    await world.report(session, assignment, failed())
    world.pass_time(MINUTE)
    await world.wake()
    assert await leased(world, session) == []


async def test_every_tenant_pauses_its_own_queue(world: World) -> None:
    await world.apply(submit_change(), submit_change(tenant="acme"))
    mine = await world.open_session()
    theirs = await world.open_session(secret=b"theirs", tenant="acme")
    await world.do(UpdateQueue(ME, "default", paused=True))
    assert await leased(world, mine, theirs) == [2]


async def test_a_limit_holds_over_all_lanes_and_sessions(world: World) -> None:
    for action in ("scan", "bag", "scan", "bag", "scan"):
        await world.submit(action)
    await world.submit(queue="night")
    await world.do(UpdateQueue(ME, "default", limit=2))
    queues = ["default", "night"]
    one = await world.open_session("scan", "bag", secret=b"one", queues=queues)
    two = await world.open_session("scan", secret=b"two", queues=queues)
    three = await world.open_session("bag", secret=b"three", queues=queues)
    assert await leased(world, one, two, three) == [1, 2, 6]
    assert await leased(world, one, two, three) == []


async def test_a_free_place_of_a_limited_queue_is_taken_in_the_same_batch(
    world: World,
) -> None:
    await world.apply(*(submit_change() for _ in range(3)))
    await world.do(UpdateQueue(ME, "default", limit=1))
    session = await world.open_session()
    (assignment,) = await world.lease(session, free=10)
    report = report_change(session, assignment, done())
    applied = await world.apply(report, lease_of(session), lease_of(session))
    leases = [numbers(cast("list[Assignment]", one)) for one in applied.outcomes[1:]]
    assert leases == [[2], []]


@pytest.mark.parametrize("limit, following", [(3, [2, 3]), (0, [2, 3, 4, 5])])
async def test_a_limit_that_is_raised_lets_more_start_in_the_same_batch(
    world: World, limit: int, following: list[int]
) -> None:
    await world.apply(*(submit_change() for _ in range(5)))
    await world.do(UpdateQueue(ME, "default", limit=1))
    session = await world.open_session()
    assert await leased(world, session) == [1]
    applied = await world.apply(UpdateQueue(ME, "default", limit=limit), lease_of(session))
    assert numbers(cast("list[Assignment]", applied.outcomes[1])) == following


async def test_a_limit_below_what_runs_waits_until_fewer_do(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(5)))
    session = await world.open_session()
    running = await world.lease(session, free=3)
    await world.do(UpdateQueue(ME, "default", limit=1))
    for assignment in running:
        assert await leased(world, session) == []
        await world.report(session, assignment, done())
    assert await leased(world, session) == [4]


async def test_a_lost_session_frees_its_places_of_a_limited_queue(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(3)))
    await world.do(UpdateQueue(ME, "default", limit=2))
    session = await world.open_session()
    other = await world.open_session(secret=b"other")
    assert await leased(world, session) == [1, 2]
    await world.reopen()
    assert await leased(world, other) == []
    await world.do(ExpireSessions(((session.session, session.epoch),)))
    assert await leased(world, other) == [3]


async def test_rule_sets_run_one_at_a_time_in_the_whole_installation(world: World) -> None:
    rules: dict[str, Any] = {"kind": Kind.LAUNCH, "queue": RULESETS_QUEUE}
    await world.apply(
        submit_change(tenant="acme", **rules),
        submit_change(**rules),
        submit_change("bag", **rules),
        submit_change(kind=Kind.LAUNCH, queue="operations"),
    )
    queues = [RULESETS_QUEUE, "operations"]
    mine = await world.open_session("scan", "bag", queues=queues)
    theirs = await world.open_session(secret=b"theirs", tenant="acme", queues=queues)
    first, other = await world.lease(mine, theirs, free=10)
    assert numbers([first, other]) == [1, 4]
    await world.do(UpdateQueue(ME, RULESETS_QUEUE, limit=7))
    assert await leased(world, mine, theirs) == []
    await world.report(theirs, first, done())
    assert await leased(world, mine, theirs) == [2]


async def test_a_tenant_that_pauses_its_rule_sets_leaves_the_place_to_others(
    world: World,
) -> None:
    rules: dict[str, Any] = {"kind": Kind.LAUNCH, "queue": RULESETS_QUEUE}
    await world.apply(submit_change(**rules), submit_change(tenant="acme", **rules))
    mine = await world.open_session(queues=[RULESETS_QUEUE])
    theirs = await world.open_session(secret=b"theirs", tenant="acme", queues=[RULESETS_QUEUE])
    await world.do(UpdateQueue(ME, RULESETS_QUEUE, paused=True))
    assert await leased(world, mine, theirs) == [2]


async def job(world: World, **more: Any) -> Any:
    return await world.submit(kind=Kind.JOB, **more)


async def test_a_job_that_waits_is_moved_to_another_queue(world: World) -> None:
    operation = await job(world, priority=4)
    world.pass_time(SECOND)
    moved = await world.do(Move(ME, operation.id, "night", Kind.JOB))
    record = await world.record(operation)
    assert record.operation == moved
    assert record.queue == "night"
    assert (moved.state, moved.update_time) == (State.QUEUED, NOON + SECOND)
    event = (await world.history(operation))[-1]
    assert (event.kind, event.state) == (EventKind.MOVED, State.QUEUED)
    assert json.loads(event.detail or "") == {"from": "default", "to": "night", "priority": 4}
    day = await world.open_session(secret=b"day")
    night = await world.open_session(secret=b"night", queues=["night"])
    assert await leased(world, day) == []
    assert await leased(world, night) == [operation.number]


async def test_what_is_moved_stands_in_its_new_queue_as_it_was_submitted(
    world: World,
) -> None:
    for queue in ("default", "night", "default", "night"):
        await job(world, queue=queue)
    await world.do(Move(ME, 3, "night"))
    await world.reopen()
    session = await world.open_session(queues=["night"])
    assert await leased(world, session) == [2, 3, 4]


async def test_what_runs_goes_on_and_counts_where_it_was_moved_to(world: World) -> None:
    operation = await job(world)
    await job(world, queue="night")
    session = await world.open_session(queues=["default", "night"])
    assignment = await world.lease_one(session)
    await world.apply(UpdateQueue(ME, "night", limit=1), Move(ME, operation.number, "night"))
    assert await leased(world, session) == []
    counts = (await world.store.counts("default")).operations
    assert counts == {
        ("night", Kind.JOB, State.RUNNING): 1,
        ("night", Kind.JOB, State.QUEUED): 1,
    }
    await world.report(session, assignment, done())
    assert await leased(world, session) == [2]


async def test_a_retry_comes_back_to_where_it_was_moved(world: World) -> None:
    operation = await job(world)
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.do(Move(ME, operation.number, "night"))
    await world.report(session, assignment, failed())
    world.pass_time(SECOND)
    await world.wake()
    assert await leased(world, session) == []
    night = await world.open_session(secret=b"night", queues=["night"])
    assert await leased(world, night) == [operation.number]


async def test_what_is_held_or_delayed_stays_so_in_its_new_queue(world: World) -> None:
    await job(world)
    await job(world, not_before=NOON + MINUTE)
    await world.apply(Suspend(ME, 1), Move(ME, 1, "night"), Move(ME, 2, "night"))
    found = await world.store.get("default", [1, 2])
    assert [one and one.operation.state for one in found] == [State.SUSPENDED, State.QUEUED]
    session = await world.open_session(queues=["night"])
    assert await leased(world, session) == []
    world.pass_time(MINUTE)
    await world.wake()
    assert await leased(world, session) == [2]


async def test_a_move_to_the_same_queue_changes_nothing(world: World) -> None:
    operation = await job(world)
    applied = await world.apply(Move(ME, operation.number, "default"))
    assert (applied.outcomes, applied.events) == ([operation], [])


async def test_what_has_ended_is_not_moved(world: World) -> None:
    operation = await job(world)
    await world.do(Cancel(ME, operation.number))
    refusal = await world.refused(Move(ME, operation.number, "night"))
    assert isinstance(refusal, WrongState)
    assert refusal.facts["state"] == "CANCELED"


async def test_only_what_is_the_callers_is_moved(world: World) -> None:
    operation = await job(world, tenant="acme")
    for change in (Move(ME, operation.id, "night"), Move(ME, 99, "night")):
        assert isinstance(await world.refused(change), OperationNotFound)
    task = await world.submit()
    wrong_kind = Move(ME, task.number, "night", Kind.JOB)
    assert isinstance(await world.refused(wrong_kind), OperationNotFound)

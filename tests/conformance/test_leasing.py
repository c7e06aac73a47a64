"""Leasing: who gets what, in which order, and never more than fits."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from longshore.core.callers import SERVER
from longshore.core.changes import Grant, Lease, Mode, SetMode
from longshore.core.events import EventKind
from longshore.core.lanes import action_key
from longshore.core.operations import State
from longshore.core.reports import Assignment, Report
from tests.conformance.codec import request_for
from tests.conformance.world import NOON, World, done, numbers, report_change, submit_change


async def test_a_lease_names_what_is_to_be_run(world: World) -> None:
    operation = await world.submit(
        request=request_for("scan", "archive", path="/data"),
        actions=[action_key("archive", "scan")],
        traceparent="00-trace",
    )
    session = await world.open_session(action_key("archive", "scan"))
    world.pass_time(50)
    assignment = await world.lease_one(session)
    assert assignment.session == session.session
    assert (assignment.service, assignment.action) == ("archive", "scan")
    assert json.loads(assignment.arguments) == {"path": "/data"}
    assert assignment.traceparent == "00-trace"
    leased = await world.see(operation)
    assert leased == assignment.operation
    assert leased.state == State.RUNNING
    assert (leased.attempt, leased.session, leased.worker) == (1, session.session, "worker-1")
    assert leased.start_time == NOON + 50


async def test_the_token_is_the_revision_of_the_lease(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    event = (await world.history(operation))[-1]
    assert (event.kind, event.state) == (EventKind.STATE_CHANGED, State.RUNNING)
    assert event.revision == assignment.operation.token == assignment.operation.revision
    assert json.loads(event.detail or "") == {"attempt": 1, "worker": "worker-1"}


async def test_work_starts_by_priority_then_in_the_order_of_submits(world: World) -> None:
    for priority in (0, 5, 0, 9, 5):
        await world.submit(priority=priority)
    session = await world.open_session()
    assert numbers(await world.lease(session, free=10)) == [4, 2, 5, 1, 3]


async def test_lanes_are_merged_in_one_order(world: World) -> None:
    for action, priority in (("scan", 0), ("bag", 0), ("scan", 1), ("bag", 1), ("scan", 0)):
        await world.submit(action, priority=priority)
    session = await world.open_session("scan", "bag")
    assert numbers(await world.lease(session, free=4)) == [3, 4, 1, 2]
    assert numbers(await world.lease(session, free=4)) == [5]


@pytest.mark.parametrize(
    "offered",
    [{"queues": ["other"]}, {"tenant": "acme"}, {"offers": ["bag"]}, {"offers": ["scan"]}],
)
async def test_work_goes_only_to_who_serves_its_queue_and_all_its_actions(
    world: World, offered: dict[str, Any]
) -> None:
    await world.submit(actions=["bag", "scan"])
    offers = offered.get("offers", ["bag", "scan"])
    rest = {name: value for name, value in offered.items() if name != "offers"}
    session = await world.open_session(*offers, **rest)
    assert await world.lease(session) == []


async def test_foreign_work_does_not_hide_what_can_be_leased(world: World) -> None:
    await world.apply(*(submit_change("bag", priority=9) for _ in range(50)))
    operation = await world.submit("scan")
    session = await world.open_session("scan", "digest")
    assert numbers(await world.lease(session)) == [operation.number]


async def test_a_session_never_gets_more_than_its_free_slots(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(5)))
    session = await world.open_session()
    assert len(await world.lease(session, free=0)) == 0
    assert len(await world.lease(session, free=3)) == 3
    assert len(await world.lease(session, free=3)) == 2
    assert len(await world.lease(session, free=3)) == 0


async def test_work_goes_to_the_session_with_most_free_slots(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(4)))
    small = await world.open_session(secret=b"small")
    large = await world.open_session(secret=b"large")
    grants = (Grant(small.session, 1, 1), Grant(large.session, 1, 3))
    leased = await world.do(Lease(grants))
    assert [one.session for one in leased].count(large.session) == 3
    assert [one.session for one in leased].count(small.session) == 1


async def test_a_session_of_an_old_epoch_or_an_unknown_one_gets_nothing(world: World) -> None:
    await world.submit()
    old = await world.open_session()
    await world.open_session()
    assert await world.lease(old) == []
    assert await world.do(Lease((Grant(99, 1, 1),))) == []


async def test_submit_and_lease_share_a_commit(world: World) -> None:
    session = await world.open_session()
    grants = (Grant(session.session, session.epoch, 2),)
    applied = await world.apply(submit_change(), submit_change("bag"), Lease(grants))
    assert numbers(cast("list[Assignment]", applied.outcomes[2])) == [1]
    (record,) = await world.store.get("default", [1])
    assert record is not None
    assert record.operation.state == State.RUNNING


async def test_a_slot_that_a_report_frees_is_used_by_the_same_commit(world: World) -> None:
    await world.apply(submit_change(), submit_change())
    session = await world.open_session()
    assignment = await world.lease_one(session)
    report = report_change(session, assignment, done())
    full = Lease((Grant(session.session, session.epoch, 0),))
    applied = await world.apply(report, full)
    assert numbers(cast("list[Assignment]", applied.outcomes[1])) == [2]


async def test_a_slot_that_a_report_frees_is_given_away_once(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(3)))
    session = await world.open_session()
    report = report_change(session, await world.lease_one(session), done())
    full = Lease((Grant(session.session, session.epoch, 0),))
    applied = await world.apply(report, full, full)
    assert [len(cast("list[Assignment]", one)) for one in applied.outcomes[1:]] == [1, 0]


async def test_a_repeated_report_frees_no_slot(world: World) -> None:
    await world.apply(submit_change(), submit_change())
    session = await world.open_session()
    report = report_change(session, await world.lease_one(session), done())
    await world.do(report)
    full = Lease((Grant(session.session, session.epoch, 0),))
    applied = await world.apply(report, full)
    assert applied.outcomes[1] == []


async def test_a_second_lease_of_a_batch_goes_on_where_the_first_ended(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(6)))
    session = await world.open_session()
    lease = Lease((Grant(session.session, session.epoch, 2),))
    applied = await world.apply(lease, lease, submit_change(priority=1), lease)
    leased = [numbers(cast("list[Assignment]", applied.outcomes[at])) for at in (0, 1, 3)]
    assert leased == [[1, 2], [3, 4], [7, 5]]
    assert numbers(await world.lease(session, free=9)) == [6]


async def test_nothing_starts_while_the_installation_is_suspended(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    for mode in (Mode.SUSPENDED, Mode.MAINTENANCE):
        await world.do(SetMode(SERVER, mode))
        assert await world.lease(session) == []
    await world.do(SetMode(SERVER, Mode.ACTIVE))
    assert len(await world.lease(session)) == 1


async def test_work_submitted_to_an_emptied_lane_is_leased(world: World) -> None:
    session = await world.open_session()
    for number in (1, 2, 3):
        await world.submit()
        assert numbers(await world.lease(session, free=5)) == [number]
        assert await world.lease(session, free=5) == []


async def test_leased_work_is_leased_to_nobody_else(world: World) -> None:
    await world.submit()
    one = await world.open_session(secret=b"one")
    two = await world.open_session(secret=b"two")
    assert len(await world.lease(one, two)) == 1
    assert await world.lease(one, two) == []


async def test_the_place_in_the_queue_is_told(world: World) -> None:
    await world.apply(*(submit_change(priority=one % 2) for one in range(10)))
    await world.submit("bag")
    await world.submit(queue="other", priority=9)
    (record,) = await world.store.get("default", [11])
    assert record is not None
    assert (await world.store.standing(record.operation, 100)).ahead == 10
    assert (await world.store.standing(record.operation, 4)).ahead == 4
    (record,) = await world.store.get("default", [6])
    assert record is not None
    assert (await world.store.standing(record.operation, 100)).ahead == 2


async def test_the_lease_of_a_batch_of_reports_keeps_the_order(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(6)))
    session = await world.open_session()
    leased = await world.lease(session, free=3)
    reports: list[Report] = [report_change(session, one, done()) for one in leased]
    applied = await world.apply(*reports, Lease((Grant(session.session, session.epoch, 0),)))
    assert numbers(cast("list[Assignment]", applied.outcomes[-1])) == [4, 5, 6]

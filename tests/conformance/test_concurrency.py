"""Concurrency keys: never more leases than the limit, and nothing waits for longer than that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from longshore.core.callers import Caller
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import (
    Cancel,
    Change,
    CloseSession,
    ExpireSessions,
    Grant,
    Lease,
    Move,
    Opened,
    Resume,
    Submit,
    Suspend,
    Wake,
)
from longshore.core.events import EventKind
from longshore.core.operations import PARKED, State
from longshore.core.policies import Policy
from longshore.core.reports import Assignment, Released
from tests.conformance.codec import plan_request, step
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


def keyed(
    key: str = "press",
    limit: int = 1,
    *arguments: Any,
    policy: Policy | None = None,
    **more: Any,
) -> Submit:
    kept = (policy or Policy())._replace(concurrency_limit=limit)
    return submit_change(*arguments, concurrency_key=key, policy=kept, **more)


def lease_of(session: Opened, free: int = 10) -> Lease:
    return Lease((Grant(session.session, session.epoch, free),))


async def leased(world: World, session: Opened) -> list[int]:
    return numbers(await world.lease(session, free=10))


async def one_of_three_runs(world: World, **more: Any) -> tuple[Opened, Assignment]:
    """Submit three with one key; return the session and the one that runs."""
    await world.apply(*(keyed(**more) for _ in range(3)))
    session = await world.open_session()
    (assignment,) = await world.lease(session, free=10)
    assert assignment.operation.number == 1
    return session, assignment


async def test_leases_of_many_sessions_keep_to_the_limit(world: World) -> None:
    await world.apply(*(keyed(limit=3) for _ in range(8)))
    sessions = [await world.open_session(secret=bytes([one])) for one in range(5)]
    first = await world.lease(*sessions, free=1)
    assert numbers(first) == [1, 2, 3]
    assert len({one.session for one in first}) == 3
    assert await world.lease(*sessions, free=1) == []
    by_number = {one.session: one for one in sessions}
    for assignment in first[:2]:
        await world.report(by_number[assignment.session], assignment, done())
    assert numbers(await world.lease(*sessions, free=1)) == [4, 5]


async def test_a_limit_holds_within_one_batch(world: World) -> None:
    session = await world.open_session()
    lease = lease_of(session)
    applied = await world.apply(keyed(), keyed(), lease, keyed(), lease)
    outcomes = [cast("list[Assignment]", applied.outcomes[at]) for at in (2, 4)]
    assert [numbers(one) for one in outcomes] == [[1], []]


async def test_work_without_the_key_passes_what_waits_for_it(world: World) -> None:
    await world.apply(keyed(), keyed(), keyed("other"), submit_change(), keyed())
    session = await world.open_session()
    assert await leased(world, session) == [1, 3, 4]


async def test_what_waits_for_its_key_is_still_queued_and_nobody_is_told(world: World) -> None:
    session, _ = await one_of_three_runs(world)
    (record,) = await world.store.get("default", [2])
    assert record is not None
    assert (record.operation.state, record.operation.wake_time) == (State.QUEUED, PARKED)
    assert record.operation.parked
    assert not record.operation.waiting
    assert [event.kind for event in await world.events() if event.number == 2] == [
        EventKind.SUBMITTED
    ]
    applied = await world.apply(lease_of(session))
    assert applied.next_wake is None


Way = Callable[[Opened, Assignment], list[Change]]

#: How a lease ends, and which of the three starts then; time passes before the last change.
WAYS: dict[str, tuple[Way, int]] = {
    "success": (lambda session, one: [report_change(session, one, done())], 2),
    "failure": (lambda session, one: [report_change(session, one, failed())], 2),
    "permanent failure": (
        lambda session, one: [report_change(session, one, failed(permanent=True))],
        2,
    ),
    "release": (lambda session, one: [report_change(session, one, Released())], 1),
    "cancel by force": (lambda _session, one: [Cancel(ME, number_of(one), force=True)], 2),
    "end of a cancel's grace": (lambda _session, one: [Cancel(ME, number_of(one)), Wake()], 2),
    "run timeout": (lambda _session, _one: [Wake()], 2),
    "loss of the session": (
        lambda session, _one: [ExpireSessions(((session.session, session.epoch),))],
        2,
    ),
    "goodbye": (lambda session, _one: [CloseSession(ME, session.session, session.epoch)], 2),
}


def number_of(assignment: Assignment) -> int:
    return assignment.operation.number


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_next_starts_however_a_lease_ends(
    world: World, way: str, together: bool
) -> None:
    session, assignment = await one_of_three_runs(world, policy=Policy(run_timeout=5 * MINUTE))
    other = await world.open_session(secret=b"other")
    end, wanted = WAYS[way]
    *before, last = end(session, assignment)
    await world.apply(*before)
    world.pass_time(5 * MINUTE)
    if together:
        applied = await world.apply(last, lease_of(other))
        assert numbers(cast("list[Assignment]", applied.outcomes[1])) == [wanted]
    else:
        await world.apply(last)
        await world.reopen()
        assert await leased(world, other) == [wanted]


async def test_a_retry_competes_again_when_it_is_due(world: World) -> None:
    session, assignment = await one_of_three_runs(world)
    await world.report(session, assignment, failed())
    (second,) = await world.lease(session, free=10)
    world.pass_time(SECOND)
    await world.wake()
    assert await leased(world, session) == []
    await world.report(session, second, done())
    assert await leased(world, session) == [1]


async def test_the_parked_compete_in_the_order_of_their_places(world: World) -> None:
    await world.apply(keyed(), keyed(), keyed(priority=5), keyed(priority=5), keyed())
    session = await world.open_session()
    order: list[int] = []
    while found := await world.lease(session, free=10):
        (assignment,) = found
        order += numbers(found)
        await world.report(session, assignment, done())
    assert order == [3, 4, 1, 2, 5]


async def test_a_late_one_of_higher_priority_goes_first(world: World) -> None:
    session, assignment = await one_of_three_runs(world)
    await world.apply(keyed(priority=1))
    assert await leased(world, session) == []
    await world.report(session, assignment, done())
    assert await leased(world, session) == [4]


async def test_every_operation_keeps_to_the_limit_of_its_own(world: World) -> None:
    limits = [1, 1, 3, 2, 3, 1]
    await world.apply(*(keyed(limit=limit) for limit in limits))
    session = await world.open_session()
    first, third, fourth = await world.lease(session, free=10)
    assert numbers([first, third, fourth]) == [1, 3, 5]
    await world.report(session, first, done())
    assert await leased(world, session) == []  # Two run, and 4 may be the second at most.
    await world.report(session, third, done())
    assert await leased(world, session) == [4]


async def test_what_has_room_by_its_own_limit_is_not_kept_by_many_that_have_none(
    world: World,
) -> None:
    await world.apply(keyed(limit=2), keyed(limit=2), *(keyed(limit=1) for _ in range(30)))
    session = await world.open_session()
    first, _ = await world.lease(session, free=10)
    await world.apply(keyed(limit=2))
    assert await leased(world, session) == []
    await world.report(session, first, done())
    assert await leased(world, session) == [33]


async def test_keys_of_two_tenants_have_nothing_in_common(world: World) -> None:
    await world.apply(keyed(), keyed(), keyed(tenant="acme"), keyed(tenant="acme"))
    mine = await world.open_session()
    theirs = await world.open_session(secret=b"theirs", tenant="acme")
    assert numbers(await world.lease(mine, theirs, free=5)) == [1, 3]


async def test_a_key_is_shared_by_queues_lanes_and_kinds(world: World) -> None:
    await world.apply(keyed(), keyed("press", 1, "bag"), keyed(queue="night"), keyed(kind=2))
    session = await world.open_session("scan", "bag", queues=["default", "night"])
    order: list[int] = []
    while found := await world.lease(session, free=10):
        order += numbers(found)
        await world.report(session, found[0], done())
    assert order == [1, 2, 3, 4]


async def test_a_paused_queue_does_not_keep_the_key_from_another(world: World) -> None:
    await world.apply(keyed(), keyed(queue="night", priority=9), keyed())
    session = await world.open_session(queues=["default", "night"])
    (assignment,) = await world.lease(session, free=10)
    assert number_of(assignment) == 2
    await world.apply(keyed(queue="night", priority=9))
    assert await leased(world, session) == []
    await world.do(UpdateQueue(ME, "night", paused=True))
    await world.report(session, assignment, done())
    assert await leased(world, session) == [1]


async def test_work_that_no_worker_can_do_does_not_keep_the_key_from_others(
    world: World,
) -> None:
    both = await world.open_session("scan", "bag", secret=b"both")
    await world.apply(keyed(), keyed("press", 1, "bag"), keyed())
    (assignment,) = await world.lease(both, free=10)
    await world.report(both, assignment, done())
    await world.do(CloseSession(ME, both.session, both.epoch))
    scanner = await world.open_session("scan", secret=b"scanner")
    assert await leased(world, scanner) == [3]


async def test_work_that_waits_for_its_queue_does_not_keep_the_key_from_others(
    world: World,
) -> None:
    await world.apply(keyed(), keyed(queue="night"), keyed(), submit_change(queue="night"))
    session = await world.open_session(queues=["default", "night"])
    first, foreign = await world.lease(session, free=10)
    assert numbers([first, foreign]) == [1, 4]
    await world.do(UpdateQueue(ME, "night", limit=1))
    await world.report(session, first, done())
    assert await leased(world, session) == [3]


@pytest.mark.parametrize("change", [Cancel(ME, 2), Suspend(ME, 2)], ids=["cancel", "suspend"])
async def test_the_next_competes_for_one_that_gives_up_its_place(
    world: World, change: Any
) -> None:
    session, assignment = await one_of_three_runs(world)
    await world.report(session, assignment, done())
    await world.do(change)
    assert await leased(world, session) == [3]


async def test_what_is_resumed_competes_anew(world: World) -> None:
    session, assignment = await one_of_three_runs(world)
    await world.apply(Suspend(ME, 2), Resume(ME, 2))
    assert await leased(world, session) == []
    await world.report(session, assignment, done())
    assert await leased(world, session) == [2]


async def test_what_is_moved_competes_in_its_new_queue(world: World) -> None:
    await world.apply(*(keyed(kind=2) for _ in range(3)))
    session = await world.open_session(queues=["default", "night"])
    (assignment,) = await world.lease(session, free=10)
    await world.do(Move(ME, 2, "night"))
    await world.do(UpdateQueue(ME, "default", paused=True))
    await world.report(session, assignment, done())
    assert await leased(world, session) == [2]


async def test_what_is_moved_while_its_key_is_free_needs_no_other_lease_to_end(
    world: World,
) -> None:
    await world.apply(*(keyed(kind=2) for _ in range(3)))
    session = await world.open_session(queues=["default", "night"])
    (assignment,) = await world.lease(session, free=10)
    await world.report(session, assignment, done())
    await world.do(Move(ME, 3, "night"))
    await world.do(UpdateQueue(ME, "default", paused=True))
    assert await leased(world, session) == [3]


async def test_one_that_competed_and_moves_leaves_its_place_to_the_next(world: World) -> None:
    await world.apply(*(keyed(kind=2) for _ in range(3)))
    session = await world.open_session()
    (assignment,) = await world.lease(session, free=10)
    await world.report(session, assignment, done())
    await world.do(Move(ME, 2, "night"))
    assert await leased(world, session) == [3]


async def test_a_plan_keeps_its_lease_from_action_to_action(world: World) -> None:
    request = plan_request(step("scan"), step("scan"))
    await world.apply(keyed(steps=2, request=request), keyed())
    session = await world.open_session()
    (assignment,) = await world.lease(session, free=10)
    await world.report(session, assignment, done(), 1)
    assert await leased(world, session) == []
    await world.report(session, assignment, done(), 2)
    assert await leased(world, session) == [2]


async def test_a_plan_that_ends_before_its_first_action_lets_the_next_start(
    world: World,
) -> None:
    request = plan_request(step("scan", paths={"path": "nowhere"}))
    await world.apply(keyed(steps=1, request=request), keyed())
    session = await world.open_session()
    assert await leased(world, session) == []
    assert await leased(world, session) == [2]


async def test_a_start_time_and_a_key_go_together(world: World) -> None:
    await world.apply(keyed(), keyed(not_before=NOON + SECOND))
    session = await world.open_session()
    (assignment,) = await world.lease(session, free=10)
    await world.report(session, assignment, done())
    assert await leased(world, session) == []
    world.pass_time(SECOND)
    await world.wake()
    assert await leased(world, session) == [2]


async def test_a_restart_keeps_leases_and_what_waits_for_them(world: World) -> None:
    session, assignment = await one_of_three_runs(world)
    await world.reopen()
    assert await leased(world, session) == []
    await world.apply(keyed())
    assert await leased(world, session) == []
    await world.report(session, assignment, done())
    await world.reopen()
    assert await leased(world, session) == [2]


async def test_the_holders_of_a_key_and_of_a_queue_are_told(world: World) -> None:
    session, assignment = await one_of_three_runs(world)
    await world.submit("bag")
    waiting = await world.record(assignment.operation._replace(number=2))
    standing = await world.store.standing(waiting.operation, 100)
    assert (standing.key_running, standing.queue_running) == (1, 1)
    assert list(standing.key_holders) == [assignment.operation.id]
    assert list(standing.queue_holders) == [assignment.operation.id]
    await world.report(session, assignment, done())
    standing = await world.store.standing(waiting.operation, 100)
    assert (standing.key_running, list(standing.key_holders)) == (0, [])


async def test_a_lease_goes_on_past_a_thousand_that_wait_for_one_key(world: World) -> None:
    for _ in range(3):
        await world.apply(*(keyed() for _ in range(500)))
    await world.apply(*(submit_change() for _ in range(3)))
    session = await world.open_session()
    lease = Lease((Grant(session.session, session.epoch, 2),))
    applied = await world.apply(lease)
    assert numbers(cast("list[Assignment]", applied.outcomes[0])) == [1]
    assert applied.next_wake == world.now
    lease = Lease((Grant(session.session, session.epoch, 1),))
    applied = await world.apply(Wake(), lease)
    assert numbers(cast("list[Assignment]", applied.outcomes[1])) == [1_501]
    assert (await world.apply(Wake(), lease)).next_wake is None

"""The order in which launches start, and how it is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Direction, MoveLaunches, Resume, Suspend
from longshore.core.errors import OperationNotFound, WrongState
from longshore.core.events import EventKind
from longshore.core.filters import UNFINISHED
from longshore.core.operations import Kind, Operation, State
from longshore.core.orders import Order, SortKey
from longshore.core.policies import Policy
from tests.conformance.world import SECOND, World, done, failed, new_id, numbers

ME = Caller("default", "ada")
QUEUE = "operations"

#: As the queue of launches is shown.
START_ORDER = Order(
    (
        SortKey("running", descending=True),
        SortKey("priority", descending=True),
        SortKey("position"),
        SortKey("number"),
    )
)

TOP, UP, DOWN, BOTTOM = Direction


async def launch(world: World, **more: Any) -> Operation:
    return await world.submit(kind=Kind.LAUNCH, queue=QUEUE, **more)


async def launches(world: World, *priorities: int) -> None:
    for priority in priorities:
        await launch(world, priority=priority)


async def move(world: World, direction: Direction, *moved: int) -> list[int]:
    found: list[Operation] = await world.do(MoveLaunches(ME, moved, direction))
    return [one.number for one in found]


async def shown(world: World) -> list[int]:
    return numbers(await world.find(UNFINISHED, START_ORDER, kind=Kind.LAUNCH))


async def started(world: World) -> list[int]:
    session = await world.open_session(queues=[QUEUE])
    return numbers(await world.lease(session, free=100))


async def test_launches_start_by_priority_then_in_the_order_of_submits(world: World) -> None:
    await launches(world, 0, 5, 0, 5)
    assert await shown(world) == [2, 4, 1, 3]
    assert await started(world) == [2, 4, 1, 3]


@pytest.mark.parametrize(
    "direction, moved, order",
    [
        (TOP, [3], [3, 1, 2, 4, 5]),
        (TOP, [4, 2], [2, 4, 1, 3, 5]),
        (TOP, [1], [1, 2, 3, 4, 5]),
        (TOP, [3, 1], [1, 3, 2, 4, 5]),
        (UP, [3], [1, 3, 2, 4, 5]),
        (UP, [4, 3], [1, 3, 4, 2, 5]),
        (UP, [2, 4], [2, 1, 4, 3, 5]),
        (UP, [1], [1, 2, 3, 4, 5]),
        (UP, [1, 2], [1, 2, 3, 4, 5]),
        (UP, [1, 3], [1, 3, 2, 4, 5]),
        (DOWN, [3], [1, 2, 4, 3, 5]),
        (DOWN, [2, 3], [1, 4, 2, 3, 5]),
        (DOWN, [4, 5], [1, 2, 3, 4, 5]),
        (DOWN, [5, 3], [1, 2, 4, 3, 5]),
        (BOTTOM, [2], [1, 3, 4, 5, 2]),
        (BOTTOM, [4, 1], [2, 3, 5, 1, 4]),
        (BOTTOM, [5], [1, 2, 3, 4, 5]),
        (TOP, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        (BOTTOM, [5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
    ],
)
async def test_launches_are_moved(
    world: World, direction: Direction, moved: list[int], order: list[int]
) -> None:
    await launches(world, 0, 0, 0, 0, 0)
    answered = await move(world, direction, *moved)
    assert answered == [one for one in order if one in moved]
    assert await shown(world) == order
    await world.reopen()
    assert await shown(world) == order
    assert await started(world) == order


async def test_a_move_that_changes_nothing_is_not_told(world: World) -> None:
    await launches(world, 3, 0)
    applied = await world.apply(
        MoveLaunches(ME, (1,), TOP), MoveLaunches(ME, (1,), UP), MoveLaunches(ME, (2,), BOTTOM)
    )
    assert applied.events == []
    (record, _) = await world.store.get("default", [1, 2])
    assert record is not None
    assert record.operation.priority == 3


@pytest.mark.parametrize(
    "direction, moved, priorities",
    [
        (TOP, [4], {4: 9}),
        (TOP, [3, 4], {3: 9, 4: 9}),
        (TOP, [1, 4], {1: 9, 4: 9}),
        (UP, [3], {3: 5, 2: 0}),
        (DOWN, [1], {1: 5, 2: 9}),
        (BOTTOM, [1], {1: 0}),
        (BOTTOM, [1, 4], {1: 0, 4: 0}),
    ],
)
async def test_what_is_moved_takes_the_priority_of_its_new_place(
    world: World, direction: Direction, moved: list[int], priorities: dict[int, int]
) -> None:
    await launches(world, 9, 5, 0, 0)
    before = await shown(world)
    assert before == [1, 2, 3, 4]
    await move(world, direction, *moved)
    expected = {1: 9, 2: 5, 3: 0, 4: 0} | priorities
    found = await world.store.get("default", [1, 2, 3, 4])
    assert {one.operation.number: one.operation.priority for one in found if one} == expected
    assert await shown(world) == await started(world)


async def test_a_move_is_told_with_the_priority(world: World) -> None:
    await launches(world, 7, 0)
    await world.do(MoveLaunches(ME, (2,), TOP))
    (event,) = [one for one in await world.events() if one.kind == EventKind.MOVED]
    assert (event.number, event.state) == (2, State.QUEUED)
    assert json.loads(event.detail or "") == {"from": QUEUE, "to": QUEUE, "priority": 7}
    (record,) = await world.store.get("default", [2])
    assert record is not None
    assert record.operation.revision == event.revision


async def test_what_runs_is_shown_first_and_skipped(world: World) -> None:
    await launches(world, 0, 0, 0, 0)
    session = await world.open_session(queues=[QUEUE])
    await world.lease_one(session)
    assert await move(world, TOP, 1, 4) == [4]
    assert await shown(world) == [1, 4, 2, 3]


async def test_a_launch_is_named_by_id_too_and_twice_is_once(world: World) -> None:
    await launches(world, 0, 0)
    last = await launch(world)
    moved = await world.do(MoveLaunches(ME, (last.id, 3, last.id), TOP))
    assert [one.number for one in moved] == [3]


async def test_if_none_waits_nothing_is_moved(world: World) -> None:
    await launches(world, 0, 0)
    session = await world.open_session(queues=[QUEUE])
    await world.report(session, await world.lease_one(session), done())
    await world.lease_one(session)
    refusal = await world.refused(MoveLaunches(ME, (2, 1), TOP))
    assert isinstance(refusal, WrongState)
    assert refusal.facts["state"] == "RUNNING"
    assert refusal.facts["expected"] == "SUSPENDED or QUEUED"


async def test_only_launches_of_the_callers_are_moved(world: World) -> None:
    await launches(world, 0, 0)
    foreign = await launch(world, tenant="acme")
    task = await world.submit()
    for unknown in (foreign.id, foreign.number, task.number, 99, new_id()):
        change = MoveLaunches(ME, (2, unknown), TOP)
        assert isinstance(await world.refused(change), OperationNotFound)
    assert await shown(world) == [1, 2]


async def test_new_submits_come_after_what_was_moved_to_the_bottom(world: World) -> None:
    await launches(world, 0, 0, 0)
    await move(world, BOTTOM, 1)
    await move(world, BOTTOM, 2)
    await launch(world)
    await world.reopen()
    await launch(world)
    assert await shown(world) == [3, 1, 2, 4, 5]
    assert await started(world) == [3, 1, 2, 4, 5]


async def test_new_submits_of_a_batch_come_after_what_it_moved(world: World) -> None:
    await launches(world, 0, 0)
    change = MoveLaunches(ME, (1,), BOTTOM)
    await world.apply(change)
    await launches(world, 1, 0)
    await world.apply(MoveLaunches(ME, (3,), BOTTOM), MoveLaunches(ME, (2,), DOWN))
    await launch(world)
    assert await shown(world) == [1, 2, 4, 3, 5]


async def test_a_launch_that_comes_later_may_still_be_more_urgent(world: World) -> None:
    await launches(world, 0, 0)
    await move(world, TOP, 2)
    await launch(world, priority=1)
    assert await shown(world) == [3, 2, 1]


async def test_what_is_held_keeps_its_place_and_can_be_moved(world: World) -> None:
    await launches(world, 0, 0, 0)
    await world.do(Suspend(ME, 2))
    assert await shown(world) == [1, 2, 3]
    assert await move(world, TOP, 2) == [2]
    assert await shown(world) == [2, 1, 3]
    assert await move(world, DOWN, 2) == [2]
    assert await shown(world) == [1, 2, 3]
    await move(world, UP, 3)
    await world.do(Resume(ME, 2))
    assert await started(world) == [1, 3, 2]


async def test_what_waits_for_its_next_attempt_is_part_of_the_order(world: World) -> None:
    await launches(world, 0, 0)
    session = await world.open_session(queues=[QUEUE])
    await world.report(session, await world.lease_one(session), failed())
    assert await shown(world) == [1, 2]
    assert await move(world, DOWN, 1) == [1]
    world.pass_time(SECOND)
    await world.wake()
    assert await started(world) == [2, 1]


async def test_a_retry_that_ties_with_what_was_moved_keeps_one_order(world: World) -> None:
    await launches(world, 0, 0, 0)
    session = await world.open_session(queues=[QUEUE])
    running = await world.lease_one(session)
    await move(world, TOP, 3)
    await world.report(session, running, failed())
    found = await world.store.get("default", [1, 3])
    assert len({one.operation.position for one in found if one}) == 1
    order = await shown(world)
    assert order == [1, 3, 2]
    assert await move(world, UP, 3) == [3]
    assert await shown(world) == [3, 1, 2]
    world.pass_time(SECOND)
    await world.wake()
    assert await started(world) == [3, 1, 2]


async def test_what_waits_for_its_concurrency_key_is_moved_too(world: World) -> None:
    for _ in range(3):
        await launch(world, concurrency_key="k", policy=Policy(concurrency_limit=1))
    session = await world.open_session(queues=[QUEUE])
    (first,) = await world.lease(session, free=5)
    assert await move(world, TOP, 3) == [3]
    await world.report(session, first, done())
    assert numbers(await world.lease(session, free=5)) == [3]


async def test_what_waits_for_its_key_and_moves_up_passes_what_competes_for_it(
    world: World,
) -> None:
    for _ in range(3):
        await launch(world, concurrency_key="k", policy=Policy(concurrency_limit=1))
    session = await world.open_session(queues=[QUEUE])
    (first,) = await world.lease(session, free=5)
    await world.report(session, first, done())
    await move(world, TOP, 3)
    assert numbers(await world.lease(session, free=5)) == [3]


async def test_what_competed_for_its_key_and_moves_down_is_passed(world: World) -> None:
    for _ in range(3):
        await launch(world, concurrency_key="k", policy=Policy(concurrency_limit=1))
    session = await world.open_session(queues=[QUEUE])
    (first,) = await world.lease(session, free=5)
    await world.report(session, first, done())
    await move(world, BOTTOM, 2)
    assert numbers(await world.lease(session, free=5)) == [3]


async def test_tenants_have_each_an_order_of_their_own(world: World) -> None:
    await launch(world, tenant="acme", priority=9)
    await launches(world, 0, 0)
    await move(world, TOP, 3)
    assert await shown(world) == [3, 2]
    (record,) = await world.store.get("default", [3])
    assert record is not None
    assert record.operation.priority == 0


async def test_a_canceled_launch_leaves_the_order(world: World) -> None:
    await launches(world, 0, 0, 0)
    await world.do(Cancel(ME, 2))
    assert await move(world, UP, 3) == [3]
    assert await shown(world) == [3, 1]

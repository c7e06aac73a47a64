"""Fairness keys: of equal priority leases go round by key, so nobody waits for a thousand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import (
    Cancel,
    CloseSession,
    Move,
    Opened,
    Resubmit,
    Resume,
    Submit,
    Suspend,
)
from longshore.core.operations import State
from longshore.core.policies import Policy
from tests.conformance.world import (
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    failed,
    new_id,
    numbers,
    submit_change,
)

ME = Caller("default", "ada")


def of(key: str | None, *arguments: Any, **more: Any) -> Submit:
    return submit_change(*arguments, fairness_key=key, **more)


async def submit_many(world: World, key: str | None, count: int, **more: Any) -> None:
    for start in range(0, count, 500):
        await world.apply(*(of(key, **more) for _ in range(min(500, count - start))))


async def run_next(world: World, session: Opened) -> int:
    """Run what is leased next to its end and return its number."""
    assignment = await world.lease_one(session)
    await world.report(session, assignment, done())
    return assignment.operation.number


async def run_all(world: World, session: Opened) -> list[int]:
    order: list[int] = []
    while found := await world.lease(session):
        await world.report(session, found[0], done())
        order += numbers(found)
    return order


async def keys_in_order(world: World, session: Opened, count: int) -> str:
    """Return the keys of what is leased next, "-" for none."""
    found: list[str] = []
    for _ in range(count):
        assignment = await world.lease_one(session)
        await world.report(session, assignment, done())
        found.append(assignment.operation.fairness_key or "-")
    return "".join(found)


@pytest.mark.parametrize("key", ["a", None], ids=["of a key", "without a key"])
async def test_one_behind_a_thousand_of_another_key_starts_soon(
    world: World, key: str | None
) -> None:
    await submit_many(world, key, 1_000)
    session = await world.open_session()
    for _ in range(10):
        await run_next(world, session)
    late = await world.do(of("b"))
    started = [await run_next(world, session) for _ in range(3)]
    assert late.operation.number in started


async def test_one_behind_a_thousand_of_the_same_batch_starts_soon(world: World) -> None:
    await world.apply(*(of("a") for _ in range(1_000)), of("b"))
    session = await world.open_session()
    assert 1_001 in numbers(await world.lease(session, free=4))


async def test_a_late_one_starts_soon_after_a_restart(world: World) -> None:
    await submit_many(world, "a", 1_000)
    session = await world.open_session()
    await run_next(world, session)
    await world.reopen()
    await world.apply(of("b"))
    await world.reopen()
    assert 1_001 in numbers(await world.lease(session, free=4))


async def test_three_keys_go_round(world: World) -> None:
    for key in "abc":
        await world.apply(*(of(key) for _ in range(4)))
    session = await world.open_session()
    rounds = await keys_in_order(world, session, 12)
    assert sorted(rounds) == sorted("abc" * 4)
    for start in range(1, 10):
        assert len(set(rounds[start : start + 3])) >= 2
    for key in "abc":
        assert key in rounds[:5]


async def test_of_one_key_the_order_of_submits_is_kept(world: World) -> None:
    await world.apply(*(of(key) for key in "aabbabba"))
    session = await world.open_session()
    order = await run_all(world, session)
    assert [one for one in order if one in (1, 2, 5, 8)] == [1, 2, 5, 8]
    assert [one for one in order if one in (3, 4, 6, 7)] == [3, 4, 6, 7]


async def test_having_no_key_is_a_key_like_any_other(world: World) -> None:
    await submit_many(world, "a", 20)
    await submit_many(world, None, 20)
    session = await world.open_session()
    order = await keys_in_order(world, session, 20)
    assert 9 <= order.count("a") <= 11
    assert 9 <= order.count("-") <= 11


async def test_what_waited_before_keys_came_into_use_stays_before_its_like(
    world: World,
) -> None:
    await submit_many(world, None, 10)
    await world.apply(of("a"))
    await world.reopen()
    late = await world.do(of(None))
    session = await world.open_session()
    order = await run_all(world, session)
    assert order.index(11) <= 2
    assert order[-1] == late.operation.number == 12


async def test_without_keys_the_order_is_that_of_submits(world: World) -> None:
    await submit_many(world, None, 5)
    (record,) = await world.store.get("default", [5])
    assert record is not None
    assert (record.operation.position, record.operation.fairness_key) == (5, None)


async def test_priorities_come_first(world: World) -> None:
    await submit_many(world, "a", 5)
    await submit_many(world, "b", 2, priority=1)
    await submit_many(world, "a", 2, priority=1)
    session = await world.open_session()
    order = await run_all(world, session)
    assert sorted(order[:4]) == [6, 7, 8, 9]
    assert order[4:] == [1, 2, 3, 4, 5]


async def test_every_queue_goes_round_by_itself(world: World) -> None:
    await submit_many(world, "a", 50)
    await world.apply(of("b", queue="night"), submit_change(queue="night"))
    night = await world.open_session(queues=["night"])
    assert await run_all(world, night) == [51, 52]


async def test_leases_go_round_over_all_lanes_of_a_queue(world: World) -> None:
    await world.apply(*(of("a") for _ in range(40)), of("a", "bag"))
    session = await world.open_session("scan", "bag")
    await run_next(world, session)
    await world.apply(of("b", "bag"))
    assert 42 in [await run_next(world, session) for _ in range(3)]


async def test_another_worker_that_runs_ahead_in_its_lane_holds_nobody_back(
    world: World,
) -> None:
    await world.apply(*(of("a") for _ in range(100)), *(of("a", "bag") for _ in range(5)))
    scanner = await world.open_session("scan", secret=b"scanner")
    bagger = await world.open_session("bag", secret=b"bagger")
    assert await run_all(world, bagger) == [101, 102, 103, 104, 105]
    await run_next(world, scanner)
    await world.apply(of("b"))
    assert 106 in [await run_next(world, scanner) for _ in range(3)]


@pytest.mark.parametrize("stuck", [[], ["bag"]], ids=["no worker", "a worker without slots"])
async def test_work_that_stands_still_lets_nobody_overtake_the_rest(
    world: World, stuck: Sequence[str]
) -> None:
    await world.apply(of("z", "bag"))
    if stuck:
        await world.open_session(*stuck, secret=b"stuck")
    session = await world.open_session()
    await submit_many(world, "a", 50)
    order = [await run_next(world, session) for _ in range(20)]
    patient = order[-1] + 1
    for count in itertools.count(1):
        await world.apply(of(f"new {count}"))
        if await run_next(world, session) == patient:
            break
        assert count < 5


async def test_with_new_keys_arriving_for_ever_old_work_is_leased_all_the_same(
    world: World,
) -> None:
    await submit_many(world, "a", 10)
    session = await world.open_session()
    order: list[int] = []
    for count in range(60):
        await world.apply(of(f"new {2 * count}"), of(f"new {2 * count + 1}"))
        order.append(await run_next(world, session))
    assert {1, 2, 3, 4} <= set(order)
    await world.reopen()
    for count in range(200):
        await world.apply(of(f"even newer {count}"))
        order.append(await run_next(world, session))
    assert set(range(1, 8)) <= set(order)


async def test_a_retry_keeps_its_place(world: World) -> None:
    await submit_many(world, "a", 5)
    await submit_many(world, "b", 5)
    session = await world.open_session()
    first = await world.lease_one(session)
    await world.report(session, first, failed())
    await run_next(world, session)
    world.pass_time(SECOND)
    await world.wake()
    assert await run_next(world, session) == first.operation.number


async def test_a_thousand_that_become_due_at_once_keep_nobody_waiting(world: World) -> None:
    await submit_many(world, "a", 1_000, not_before=NOON + MINUTE)
    await submit_many(world, "b", 20)
    session = await world.open_session()
    await run_next(world, session)
    world.pass_time(MINUTE)
    await world.wake()
    order = await keys_in_order(world, session, 10)
    assert 4 <= order.count("b") <= 6


async def test_what_is_held_takes_its_turn_when_it_is_resumed(world: World) -> None:
    await submit_many(world, "a", 6, suspended=True)
    await submit_many(world, "b", 6)
    session = await world.open_session()
    await run_next(world, session)
    await world.apply(*(Resume(ME, number) for number in range(1, 7)))
    order = await keys_in_order(world, session, 6)
    assert 2 <= order.count("a") <= 4
    await world.do(Suspend(ME, 6))
    await world.do(Resume(ME, 6))
    assert 6 in await run_all(world, session)


async def test_what_only_waits_for_its_start_takes_no_turn_from_its_like(world: World) -> None:
    await submit_many(world, "a", 100, not_before=NOON + MINUTE)
    await submit_many(world, "b", 100)
    late = await world.do(of("a"))
    session = await world.open_session()
    assert late.operation.number in [await run_next(world, session) for _ in range(3)]


async def test_many_that_are_moved_into_a_queue_go_round_with_what_waits_there(
    world: World,
) -> None:
    await submit_many(world, "a", 20, kind=2, queue="night")
    await submit_many(world, "b", 20)
    await world.apply(*(Move(ME, number, "default") for number in range(1, 21)))
    session = await world.open_session()
    order = await keys_in_order(world, session, 10)
    assert 4 <= order.count("b") <= 6


async def test_what_is_moved_to_a_queue_without_keys_stands_as_it_was_submitted(
    world: World,
) -> None:
    await submit_many(world, "a", 3, kind=2)
    await world.apply(*(submit_change(kind=2) for _ in range(3)), submit_change(queue="night"))
    moved = await world.do(Move(ME, 6, "night"))
    assert (moved.position, moved.fairness_key) == (6, None)
    night = await world.open_session(queues=["night"])
    assert await run_all(world, night) == [6, 7]


async def test_a_resubmit_goes_round_by_the_same_key(world: World) -> None:
    await submit_many(world, "a", 3)
    await submit_many(world, "b", 3)
    await world.do(Cancel(ME, 1))
    again = await world.do(Resubmit(ME, 1, new_id()))
    assert again.operation.fairness_key == "a"
    session = await world.open_session()
    order = await run_all(world, session)
    assert [one for one in order if one in (2, 3, 7)] == [2, 3, 7]


async def test_an_idle_queue_begins_anew_with_the_order_of_submits(world: World) -> None:
    await submit_many(world, "a", 3)
    session = await world.open_session()
    await run_all(world, session)
    anew = await world.do(of("b"))
    assert anew.operation.position == anew.operation.number


async def test_what_waits_for_its_concurrency_key_keeps_its_turn(world: World) -> None:
    one = {"concurrency_key": "press", "policy": Policy(concurrency_limit=1)}
    await submit_many(world, "a", 5, **one)
    session = await world.open_session()
    (first,) = await world.lease(session, free=5)
    await world.apply(of("a", **one), of("b"))
    await world.report(session, first, done())
    assert await run_all(world, session) == [2, 3, 4, 5, 6, 7]


async def test_the_place_of_what_no_session_serves_follows_its_own_lane(world: World) -> None:
    await world.apply(of("z", "bag"))
    session = await world.open_session()
    await submit_many(world, "a", 50)
    for _ in range(20):
        await run_next(world, session)
    await world.do(CloseSession(ME, session.session, session.epoch))
    late = [(await world.do(of(f"new {one}"))).operation for one in range(5)]
    session = await world.open_session(secret=b"anew")
    assert await run_next(world, session) < late[0].number
    assert all(one.state == State.QUEUED for one in late)

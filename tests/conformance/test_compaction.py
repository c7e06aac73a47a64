"""Compaction: how far back the log goes, and what is removed with it."""

from __future__ import annotations

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Compact, Wake
from longshore.core.errors import RevisionCompacted
from longshore.core.events import EventKind
from longshore.core.policies import Policy
from tests.conformance.world import DAY, HOUR, NOON, World, numbers, submit_change

ME = Caller("default", "ada")
SHORT = Policy(expire_after=HOUR)


async def expired(world: World, count: int) -> None:
    """Make operations that have ended and expired."""
    changes = [submit_change(policy=SHORT) for _ in range(count)]
    await world.apply(*changes)
    await world.apply(*(Cancel(ME, change.id) for change in changes))
    world.pass_time(HOUR)
    await world.do(Wake())


async def test_the_log_reaches_back_to_the_first_event_that_is_young_enough(
    world: World,
) -> None:
    for _ in range(4):
        await world.submit()
        world.pass_time(HOUR)
    assert await world.do(Compact(NOON + 2 * HOUR)) == 0
    assert (await world.store.catalog()).compacted == 2
    assert numbers(await world.events(2)) == [3, 4]
    with pytest.raises(RevisionCompacted) as caught:
        await world.events(1)
    assert caught.value.facts == {"after_revision": "1", "oldest_revision": "3"}


async def test_compaction_never_goes_back(world: World) -> None:
    for _ in range(4):
        await world.submit()
        world.pass_time(HOUR)
    await world.do(Compact(NOON + 3 * HOUR))
    await world.do(Compact(NOON + HOUR))
    assert (await world.store.catalog()).compacted == 3


async def test_without_a_young_event_everything_is_compacted(world: World) -> None:
    await world.submit()
    await world.do(Compact(NOON + HOUR))
    assert (await world.store.catalog()).compacted == 1
    assert await world.events(1) == []
    operation = await world.submit()
    assert operation.revision == 2


async def test_an_existing_operation_keeps_its_history(world: World) -> None:
    operation = await world.submit()
    world.pass_time(DAY)
    await world.submit()
    await world.do(Compact(NOON + HOUR))
    assert [event.kind for event in await world.history(operation)] == [EventKind.SUBMITTED]


async def test_expired_operations_below_it_are_removed_a_few_at_a_time(world: World) -> None:
    await expired(world, 5)
    world.pass_time(1)
    kept = await world.submit()
    world.pass_time(DAY)
    before = NOON + HOUR + 1
    removed = [await world.do(Compact(before, limit=2)) for _ in range(4)]
    assert removed == [2, 2, 1, 0]
    assert await world.events(world.revision - 1) == (await world.history(kept))[-1:]
    assert await world.events(numbers=frozenset(range(1, 6))) == []


async def test_two_compactions_of_one_batch_remove_different_operations(world: World) -> None:
    await expired(world, 5)
    world.pass_time(DAY)
    compact = Compact(world.now, limit=2)
    applied = await world.apply(compact, compact, compact)
    assert applied.outcomes == [2, 2, 1]
    assert await world.do(compact) == 0


async def test_what_expired_after_it_is_still_told(world: World) -> None:
    await expired(world, 2)
    world.pass_time(1)
    assert await world.do(Compact(world.now - HOUR)) == 0
    compacted = (await world.store.catalog()).compacted
    kinds = [event.kind for event in await world.events(compacted)]
    assert kinds == [EventKind.EXPIRED, EventKind.EXPIRED]


async def test_numbers_and_revisions_are_not_given_again(world: World) -> None:
    await expired(world, 3)
    session = await world.open_session()
    world.pass_time(DAY)
    await world.do(Compact(world.now))
    await world.reopen()
    operation = await world.submit()
    assert operation.number == 4
    assert operation.revision == world.revision
    assert (await world.open_session(secret=b"new")).session == session.session + 1


async def test_removal_leaves_counts_and_lists_alone(world: World) -> None:
    await expired(world, 3)
    operation = await world.submit()
    world.pass_time(DAY)
    await world.do(Compact(world.now))
    assert (await world.store.counts("default")).operations == {("default", 1, 2): 1}
    assert numbers(await world.find()) == [operation.number]


async def test_the_search_by_time_is_exact_however_long_the_log_is(world: World) -> None:
    times: list[int] = []
    for _ in range(40):
        await world.apply(*(submit_change() for _ in range(3)))
        times += [world.now] * 3
        world.pass_time(1_000)
    for asked in range(NOON, world.now, 1_500):
        await world.do(Compact(asked))
        younger = [at for at, time in enumerate(times, start=1) if time >= asked]
        reached = younger[0] - 1 if younger else world.revision
        assert (await world.store.catalog()).compacted == reached


async def test_a_clock_that_jumps_back_does_not_disturb_compaction(world: World) -> None:
    for step in (HOUR, HOUR, -3 * HOUR, HOUR, HOUR):
        await world.submit()
        world.pass_time(step)
    await world.do(Compact(NOON + HOUR))
    compacted = (await world.store.catalog()).compacted
    assert 0 <= compacted <= world.revision
    assert len(await world.events(compacted)) == world.revision - compacted

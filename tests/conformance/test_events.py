"""Events: the log read again, from any revision that is still kept."""

from __future__ import annotations

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Compact, Suspend
from longshore.core.errors import RevisionCompacted, RevisionInFuture
from longshore.core.events import Event, EventKind
from longshore.core.filters import Compare
from longshore.core.operations import Kind, State
from longshore.core.store import Replay
from tests.conformance.world import DAY, World, done, numbers, submit_change

ME = Caller("default", "ada")


async def test_a_replay_shows_what_the_commits_told(world: World) -> None:
    told = list((await world.apply(submit_change(), submit_change())).events)
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.report(session, assignment, done())
    told += (await world.apply(Cancel(ME, 2))).events
    replayed = await world.events()
    assert replayed[:2] == told[:2]
    assert replayed[-1] == told[-1]
    assert numbers(replayed) == [1, 2, 1, 1, 2]
    assert [one.state for one in replayed] == [
        State.QUEUED,
        State.QUEUED,
        State.RUNNING,
        State.SUCCEEDED,
        State.CANCELED,
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_a_replay_can_be_cut_anywhere_and_resumed(world: World, limit: int) -> None:
    for _ in range(3):
        operation = await world.submit()
        await world.open_session(secret=operation.id)
        await world.apply(Suspend(ME, operation.id), Cancel(ME, operation.id))
    whole = await world.events()
    seen: list[Event] = []
    after = 0
    while after < world.revision:
        found = await world.store.events(Replay("default", after, limit=limit))
        assert found.revision > after
        assert all(after < event.revision <= found.revision for event in found.events)
        seen += found.events
        after = found.revision
    assert seen == whole
    assert len(whole) == 9


async def test_a_replay_ends_where_it_is_told_to(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(6)))
    found = await world.store.events(Replay("default", 2, until=4))
    assert [event.revision for event in found.events] == [3, 4]
    assert found.revision == 4
    found = await world.store.events(Replay("default", 2, until=99))
    assert found.revision == 6


async def test_a_replay_says_how_far_it_has_looked(world: World) -> None:
    await world.apply(*(submit_change() for _ in range(5)))
    found = await world.store.events(Replay("acme", 0))
    assert (found.events, found.revision) == ([], 5)
    found = await world.store.events(Replay("default", 5))
    assert (found.events, found.revision) == ([], 5)


async def test_a_replay_from_the_future_is_refused(world: World) -> None:
    operation = await world.submit()
    for selected in (None, frozenset({operation.number})):
        with pytest.raises(RevisionInFuture) as caught:
            await world.store.events(Replay("default", 2, numbers=selected))
        assert caught.value.facts == {"after_revision": "2", "newest_revision": "1"}


async def test_a_replay_from_before_compaction_is_refused_but_a_history_is_whole(
    world: World,
) -> None:
    operation = await world.submit()
    await world.submit()
    world.pass_time(DAY)
    await world.do(Compact(world.now))
    assert await world.events(2) == []
    with pytest.raises(RevisionCompacted):
        await world.events(1)
    assert numbers(await world.history(operation)) == [operation.number]


async def test_a_replay_selects_by_tenant_kind_numbers_and_kinds_of_events(
    world: World,
) -> None:
    await world.apply(
        submit_change(),
        submit_change(kind=Kind.JOB),
        submit_change(tenant="acme"),
        submit_change(),
        Suspend(ME, 1),
        Suspend(ME, 4),
    )
    assert numbers(await world.events()) == [1, 2, 4, 1, 4]
    assert numbers(await world.events(tenant="acme")) == [3]
    assert numbers(await world.events(kind=Kind.JOB)) == [2]
    assert numbers(await world.events(numbers=frozenset({1, 3}))) == [1, 1]
    changed = frozenset({EventKind.STATE_CHANGED})
    assert numbers(await world.events(kinds=changed)) == [1, 4]
    assert numbers(await world.events(kinds=changed, numbers=frozenset({4}))) == [4]


async def test_a_replay_can_be_filtered(world: World) -> None:
    await world.apply(
        submit_change(attributes={"labels": {"team": "a"}}),
        submit_change(attributes={"labels": {"team": "b"}}),
        Suspend(ME, 1),
        Suspend(ME, 2),
    )
    assert numbers(await world.events(filter=Compare("labels.team", "=", "a"))) == [1, 1]
    assert numbers(await world.events(filter=Compare("number", ">", 1))) == [2, 2]


async def test_reserved_queues_are_told_only_to_who_asks_or_names_them(world: World) -> None:
    await world.apply(submit_change(), submit_change(queue="longshore.callbacks"))
    assert numbers(await world.events()) == [1]
    assert numbers(await world.events(reserved=True)) == [1, 2]
    assert numbers(await world.events(numbers=frozenset({2}))) == [2]


async def test_events_without_an_operation_are_never_replayed(world: World) -> None:
    await world.open_session()
    found = await world.store.events(Replay("default", 0))
    assert found.events == []
    assert found.revision == world.revision > 0


async def test_many_operations_can_be_replayed_by_number(world: World) -> None:
    for _ in range(3):
        await world.apply(*(submit_change() for _ in range(400)))
    wanted = frozenset(range(1, 2_001, 3))
    pages: list[list[int]] = []
    after = 0
    while after < world.revision:
        found = await world.store.events(Replay("default", after, numbers=wanted, limit=150))
        pages.append(numbers(found.events))
        after = found.revision
    assert [number for page in pages for number in page] == list(range(1, 1_201, 3))

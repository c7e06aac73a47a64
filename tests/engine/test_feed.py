from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from longshore.core.errors import RevisionInFuture
from longshore.core.events import Event, EventKind
from longshore.core.operations import Kind, Operation, State
from longshore.core.policies import Policy
from longshore.core.reports import Logged, LogKind
from longshore.core.store import Replay
from longshore.engine.feed import Feed, Watcher
from longshore.server.filters import parse_filter
from tests.engine.harness import (
    PATIENCE_SECONDS,
    Machine,
    WorkerAtTest,
    hello,
    submit,
    told,
)

LABELS = ("grain", "timber", "")
FILTERS = (
    "",
    'name = "b*"',
    "labels.cargo = grain",
    "NOT labels.cargo = grain",
    "labels.cargo:*",
    'service = "crane" OR name = "barge"',
    "number > 20 AND number <= 60",
    "submitter = anonymous AND NOT name:*",
)


def by_filter(text: str) -> dict[str, object]:
    return {"filter": parse_filter(text, Kind.TASK) if text else None}


async def stored(machine: Machine, after: int = 0, **question: object) -> list[Event]:
    """Return what the store says that a watcher is to see."""
    events: list[Event] = []
    while True:
        replay = Replay("default", after, limit=1_000, **question)  # type: ignore[arg-type]
        found = await machine.store.events(replay)
        events += found.events
        if found.revision in (after, machine.engine.feed.revision):
            return events
        after = found.revision


def cargo(rng: random.Random) -> str:
    attributes: dict[str, object] = {}
    if label := rng.choice(LABELS):
        attributes["labels"] = {"cargo": label}
    if name := rng.choice(("barge", "bark", "pram", "")):
        attributes["name"] = name
    if service := rng.choice(("crane", "tug", "")):
        attributes["service"] = service
    return json.dumps(attributes)


async def traffic(machine: Machine, seed: int, rounds: int = 60) -> None:
    """Submit, run and cancel work of all sorts, a few at a time."""
    rng = random.Random(seed)
    worker = await machine.worker(hello(slots=4))
    waiting: list[Operation] = []
    for _ in range(rounds):
        queue = rng.choice(("default", "elsewhere", "longshore.own"))
        waiting.append(await machine.submit(attributes=cargo(rng), queue=queue))
        if rng.random() < 0.3:
            await machine.cancel(waiting.pop(rng.randrange(len(waiting))), force=True)
        await finish(worker, rng)
        waiting = [one for one in waiting if not (await machine.get(one)).ended]


async def finish(worker: WorkerAtTest, rng: random.Random) -> None:
    worker.collect(await worker.session.take(0.0))
    for assignment in worker.assignments[:]:
        if rng.random() < 0.5:
            worker.assignments.remove(assignment)
            await worker.report(assignment)


async def follow(
    watcher: Watcher, feed: Feed, until: asyncio.Event, rng: random.Random
) -> list[Event]:
    """Read a watch, now quickly and now slowly, until it knows all that has happened."""
    events: list[Event] = []
    while True:
        over = until.is_set()
        found = await watcher.next(0.01)
        events += found.events
        if over and watcher.cursor == feed.revision and not found.events:
            return events
        for _ in range(rng.randrange(20)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_watch_is_ordered_unique_and_reliable(machine: Machine, seed: int) -> None:
    questions: list[dict[str, object]] = [
        *map(by_filter, FILTERS),
        {"reserved": True},
        {"kind": Kind.TASK},
        {"kind": Kind.JOB},
        {"kinds": frozenset({EventKind.STATE_CHANGED})},
        {"numbers": frozenset(range(10, 30))},
        {
            "numbers": frozenset(range(10, 30)),
            "kinds": frozenset({EventKind.SUBMITTED, EventKind.LOG}),
        },
    ]
    over = asyncio.Event()
    rng = random.Random(seed)

    async def late_watch(question: dict[str, object]) -> tuple[int, list[Event]]:
        for _ in range(rng.randrange(100)):
            await asyncio.sleep(0.001)
        after = rng.choice((0, machine.engine.feed.revision))
        watcher = await machine.watch(after, **question)
        try:
            return after, await follow(watcher, machine.engine.feed, over, rng)
        finally:
            watcher.close()

    watches = [asyncio.create_task(late_watch(one)) for one in questions for _ in range(2)]
    await traffic(machine, seed)
    over.set()
    results = await asyncio.wait_for(asyncio.gather(*watches), PATIENCE_SECONDS)
    for question, (after, events) in zip(
        [one for one in questions for _ in range(2)], results, strict=True
    ):
        assert all(one.revision < other.revision for one, other in pairwise(events))
        assert events == await stored(machine, after, **question), question


async def test_a_slow_watcher_keeps_a_bounded_buffer_and_loses_nothing(
    machine: Machine,
) -> None:
    slow = await machine.watch()
    assert (await slow.next(0.0)).events == []
    for _ in range(5):
        await asyncio.gather(*(machine.engine.writer.write(submit()) for _ in range(1_000)))
        assert sum(map(len, slow._batches)) <= 512  # pyright: ignore[reportPrivateUsage]
    events = await told(slow, 5_000)
    assert [event.revision for event in events] == list(range(1, 5_001))


async def test_a_watcher_that_has_caught_up_leaves_the_store_alone(machine: Machine) -> None:
    watcher = await machine.watch()
    await watcher.next(0.0)
    machine.store.replays.clear()
    for _ in range(3):
        await machine.submit()
        assert len(await told(watcher, 1)) == 1
    assert machine.store.replays == []


async def test_what_was_just_submitted_is_matched_without_reading_it(
    machine: Machine,
) -> None:
    watcher = await machine.watch(filter=parse_filter("name = barge", Kind.TASK))
    await watcher.next(0.0)
    machine.store.read.clear()
    await machine.submit(attributes='{"name":"bark"}')
    operation = await machine.submit(attributes='{"name":"barge"}')
    (event,) = await told(watcher, 1)
    assert event.number == operation.number
    assert not machine.store.read.is_set()


async def test_a_watch_that_begins_while_a_commit_is_matched_misses_nothing(
    machine: Machine,
) -> None:
    operation = await machine.submit(attributes='{"name":"barge"}')
    after = operation.revision
    first = await machine.watch(after, filter=parse_filter("name = barge", Kind.TASK))
    await first.next(0.0)
    machine.store.read.clear()
    machine.store.reads.clear()
    canceling = asyncio.create_task(machine.cancel(operation))
    await asyncio.wait_for(machine.store.read.wait(), PATIENCE_SECONDS)
    second = await machine.watch(after, filter=parse_filter("name = b*", Kind.TASK))
    third = await machine.watch(after)
    assert (await second.next(0.0)).events == (await third.next(0.0)).events == []
    machine.store.reads.set()
    await canceling
    for watcher in (first, second, third):
        (event,) = await told(watcher, 1)
        assert event.number == operation.number


async def test_the_expiry_of_an_old_operation_is_told_to_filtered_watchers(
    machine: Machine,
) -> None:
    operation = await machine.submit(
        policy=Policy(expire_after=600_000), attributes='{"name":"barge"}'
    )
    await machine.cancel(operation)
    question = parse_filter("name = barge", Kind.TASK)
    watcher = await machine.watch(machine.engine.feed.revision, filter=question)
    other = await machine.watch(
        machine.engine.feed.revision, filter=parse_filter("name = bark", Kind.TASK)
    )
    await watcher.next(0.0)
    await other.next(0.0)
    machine.clock.advance(601)
    (event,) = await told(watcher, 1)
    assert (event.kind, event.state) == (EventKind.EXPIRED, State.CANCELED)
    seen = await other.next(0.0)
    assert (seen.events, seen.revision) == ([], event.revision)


async def test_logs_are_told_only_to_those_who_want_them(machine: Machine) -> None:
    operation = await machine.submit()
    numbers = frozenset({operation.number})
    quiet_kinds = frozenset(set(EventKind) - {EventKind.LOG})
    curious = await machine.watch(operation.revision, numbers=numbers)
    quiet = await machine.watch(operation.revision, numbers=numbers, kinds=quiet_kinds)
    await curious.next(0.0)
    await quiet.next(0.0)
    worker = await machine.worker(hello())
    (assignment,) = await worker.assigned()
    await worker.report(assignment, Logged(LogKind.OUTPUT, "hoisting"))
    await worker.report(assignment)
    assert [one.kind for one in await told(curious, 3)] == [
        EventKind.STATE_CHANGED,
        EventKind.LOG,
        EventKind.STATE_CHANGED,
    ]
    assert EventKind.LOG not in [one.kind for one in await told(quiet, 2)]


async def test_silence_carries_the_revision_up_to_which_all_is_told(machine: Machine) -> None:
    watcher = await machine.watch(filter=parse_filter("name = barge", Kind.TASK))
    await watcher.next(0.0)
    operation = await machine.submit()
    assert await watcher.next(0.0) == ([], operation.revision)


async def told_within(patience: float, watcher: Watcher, machine: Machine) -> bool:
    """Submit while a watcher waits, and return whether that wait was for long enough."""
    waiting = asyncio.create_task(watcher.next(patience))
    await asyncio.sleep(0)
    await machine.submit()
    if (await waiting).events:
        return True
    assert len(await told(watcher, 1)) == 1
    return False


async def test_a_wait_lasts_as_long_as_it_asks_whatever_the_one_before_asked(
    machine: Machine,
) -> None:
    watcher = await machine.watch()
    await watcher.next(0.0)
    time = asyncio.get_running_loop().time
    for patience in (PATIENCE_SECONDS, 0.05, 0.2):
        while not await told_within(patience, watcher, machine):
            pass  # It took longer to submit than it was waited for.
        for seconds in (0.1, 0.01):
            start = time()
            assert (
                await asyncio.wait_for(watcher.next(seconds), PATIENCE_SECONDS)
            ).events == []
            assert seconds - 0.002 < time() - start < PATIENCE_SECONDS


async def test_watchers_who_are_told_the_same_share_it(machine: Machine) -> None:
    operation = await machine.submit()
    one, more = (frozenset({operation.number, number}) for number in (operation.number, 99))
    watchers = [
        await machine.watch(operation.revision, numbers=numbers)
        for numbers in (None, None, one, one, more)
    ]
    for watcher in watchers:
        await watcher.next(0.0)
    await machine.cancel(operation)
    anyone, another, *named = [(await watcher.next(0.0)).events for watcher in watchers]
    assert anyone is another
    assert named[0] is named[1] is named[2]
    assert len(named[0]) == 1


async def test_a_commit_with_several_named_operations_is_told_in_order(
    machine: Machine,
) -> None:
    watcher = await machine.watch(numbers=frozenset({1, 2, 3}))
    await watcher.next(0.0)
    await machine.worker(hello(slots=3))
    await asyncio.gather(*(machine.engine.writer.write(submit()) for _ in range(3)))
    events = await told(watcher, 6)
    assert [one.revision for one in events] == sorted(one.revision for one in events)
    assert [one.number for one in events] == [1, 2, 3, 1, 2, 3]


async def test_draining_interrupts_every_watcher(machine: Machine) -> None:
    operation = await machine.submit()
    watchers = [
        await machine.watch(operation.revision),
        await machine.watch(operation.revision, numbers=frozenset({operation.number})),
    ]
    for watcher in watchers:
        await watcher.next(0.0)
    waits = [asyncio.create_task(one.next(600.0)) for one in watchers]
    await asyncio.sleep(0)
    machine.engine.drain()
    assert machine.engine.draining.is_set()
    for wait in waits:
        assert (await asyncio.wait_for(wait, PATIENCE_SECONDS)).events == []


async def test_another_tenant_sees_nothing(machine: Machine) -> None:
    replay = Replay("elsewhere", 0)
    stranger = await machine.engine.watch(replay)
    await stranger.next(0.0)
    await machine.submit()
    assert (await stranger.next(0.0)).events == []


async def test_the_future_cannot_be_watched(machine: Machine) -> None:
    operation = await machine.submit()
    await machine.watch(operation.revision)
    with pytest.raises(RevisionInFuture) as refused:
        await machine.watch(operation.revision + 1)
    assert refused.value.facts["newest_revision"] == str(operation.revision)


@pytest.mark.parametrize("numbers", [None, frozenset({1, 2, 3})])
async def test_a_closed_watcher_leaves_nothing_behind(
    machine: Machine, numbers: frozenset[int] | None
) -> None:
    watchers: Sequence[Watcher] = [await machine.watch(numbers=numbers) for _ in range(3)]
    for watcher in watchers:
        watcher.close()
        watcher.close()
    feed = machine.engine.feed
    assert not feed._by_number  # pyright: ignore[reportPrivateUsage]
    assert not feed._by_matcher  # pyright: ignore[reportPrivateUsage]

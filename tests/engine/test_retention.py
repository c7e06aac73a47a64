from __future__ import annotations

import pytest

from longshore.core.errors import RevisionCompacted
from longshore.core.events import EventKind
from longshore.core.operations import Operation
from longshore.core.policies import Policy
from longshore.core.store import Replay
from tests.engine.harness import Machine, submit, told, waiting

DAY = 86_400.0
SOON = Policy(expire_after=600_000)


async def ended(machine: Machine, policy: Policy = SOON) -> Operation:
    operation = await machine.submit(policy=policy)
    await machine.cancel(operation)
    return operation


async def aged(machine: Machine, days: float) -> None:
    machine.clock.advance(days * DAY)
    await machine.settle()


async def test_what_is_younger_than_the_history_is_kept(machine: Machine) -> None:
    await ended(machine)
    await aged(machine, 6)
    await machine.engine.retention.compact()
    assert machine.engine.catalog.current.compacted == 0
    assert len(await told(await machine.watch(), 3)) == 3


async def test_a_watch_starts_from_the_oldest_kept_revision_and_not_from_before(
    machine: Machine,
) -> None:
    await ended(machine)
    await aged(machine, 8)
    kept = await machine.submit()
    await machine.engine.retention.compact()
    compacted = machine.engine.catalog.current.compacted
    assert compacted >= 2
    first_told = (await told(await machine.watch(compacted), 1))[0]
    assert first_told.revision == compacted + 1
    with pytest.raises(RevisionCompacted) as refused:
        await machine.watch(compacted - 1)
    assert refused.value.facts["oldest_revision"] == str(compacted + 1)
    assert kept.revision > compacted


async def test_a_watcher_that_is_overtaken_by_compaction_is_told(machine: Machine) -> None:
    watcher = await machine.watch()
    await ended(machine)
    await aged(machine, 8)
    await machine.submit()
    await machine.engine.retention.compact()
    with pytest.raises(RevisionCompacted):
        await watcher.next(0.0)


async def test_an_expired_operation_is_gone_after_compaction(machine: Machine) -> None:
    operation = await ended(machine)
    await aged(machine, 1)
    assert await machine.store.get("default", [operation.number]) == [None]
    await aged(machine, 8)
    await machine.engine.retention.compact()
    assert await machine.store.get("default", [operation.number]) == [None]


async def test_an_existing_operation_keeps_all_its_events(machine: Machine) -> None:
    operation = await machine.submit()
    await aged(machine, 8)
    await machine.engine.retention.compact()
    assert machine.engine.catalog.current.compacted >= operation.revision
    history = Replay("default", 0, numbers=frozenset({operation.number}))
    assert [event.kind for event in (await machine.store.events(history)).events] == [
        EventKind.SUBMITTED
    ]


async def test_many_expired_operations_are_removed_in_small_batches(machine: Machine) -> None:
    writer = machine.engine.writer
    await waiting(*(writer.write_all([submit(policy=SOON)]) for _ in range(1_200)))
    for number in range(1, 1_201):
        await machine.cancel(number)
    await aged(machine, 1)
    for _ in range(3):  # They expire in small batches as well.
        await aged(machine, 0.01)
    await aged(machine, 8)
    before = len(machine.store.batches)
    await machine.engine.retention.compact()
    assert len(machine.store.batches) - before == 3


async def test_a_key_is_free_again_when_its_operation_has_expired(machine: Machine) -> None:
    first = await machine.submit(key="k", policy=SOON)
    await machine.cancel(first)
    assert (await machine.submit(key="k", policy=SOON)).id == first.id
    await aged(machine, 1)
    assert (await machine.submit(key="k", policy=SOON)).id != first.id

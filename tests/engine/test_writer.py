from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from longshore.core import limits
from longshore.core.changes import Cancel, Lease, Submit, Submitted
from longshore.core.errors import (
    OperationNotFound,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
)
from longshore.core.operations import State
from longshore.engine.engine import Engine
from longshore.engine.settings import EngineSettings
from longshore.engine.writer import Writer
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite.store import SqliteStore
from tests.engine.harness import (
    CALLER,
    PATIENCE_SECONDS,
    Machine,
    StillClock,
    hello,
    plan_with_missing_argument,
    submit,
    told,
    waiting,
)


def submits_of(machine: Machine) -> list[int]:
    counts = [sum(type(one) is Submit for one in batch) for batch in machine.store.batches]
    return [count for count in counts if count]


async def test_many_waiting_callers_share_few_commits(machine: Machine) -> None:
    writes = [machine.engine.writer.write(submit()) for _ in range(2_000)]
    outcomes = await asyncio.gather(*writes)
    assert (
        len({one.operation.number for one in outcomes if isinstance(one, Submitted)}) == 2_000
    )
    assert len(submits_of(machine)) <= 4


async def test_a_batch_stays_within_its_limit_however_the_changes_arrive(
    machine: Machine,
) -> None:
    writer = machine.engine.writer
    await waiting(*(writer.write_all([submit() for _ in range(300)]) for _ in range(10)))
    assert sum(submits_of(machine)) == 3_000
    assert max(submits_of(machine)) <= limits.WRITER_CHANGES


async def test_a_batch_stays_within_its_bytes(machine: Machine) -> None:
    body = b"\x00" * (limits.PAYLOAD_BYTES - 100)
    writer = machine.engine.writer
    await waiting(*(writer.write_all([submit(body=body)]) for _ in range(9)))
    assert max(submits_of(machine)) <= 4


async def test_a_refusal_disturbs_nobody_in_its_batch(machine: Machine) -> None:
    writer = machine.engine.writer
    (before,), (refused,), (after,) = await waiting(
        writer.write_all([submit()]),
        writer.write_all([Cancel(CALLER, 10**9)]),
        writer.write_all([submit()]),
    )
    assert isinstance(refused, OperationNotFound)
    assert isinstance(before, Submitted)
    assert isinstance(after, Submitted)
    assert after.operation.revision == before.operation.revision + 1


async def test_two_equal_submits_of_one_batch_give_one_operation(machine: Machine) -> None:
    writer = machine.engine.writer
    (first,), (second,) = await waiting(
        writer.write_all([submit(key="k")]), writer.write_all([submit(key="k")])
    )
    assert isinstance(first, Submitted)
    assert isinstance(second, Submitted)
    assert first.operation.id == second.operation.id
    assert (first.created, second.created) == (True, False)
    assert len(submits_of(machine)) == 1


async def test_nothing_to_write_is_answered_at_once(machine: Machine) -> None:
    assert await machine.engine.writer.write_all([]) == []


async def test_overload_refuses_submits_and_nothing_else(machine: Machine) -> None:
    writer = machine.engine.writer
    await machine.engine.files.sweep()  # So that the engine's own first one is over, too.
    accepted = [writer.write_all([submit()]) for _ in range(limits.WRITER_WAITING)]
    with pytest.raises(Overloaded):
        writer.write_all([submit()])
    cancel = writer.write_all([Cancel(CALLER, 1)])
    outcomes = await waiting(*accepted, cancel)
    assert all(isinstance(one, Submitted) for (one,) in outcomes[:-1])
    await waiting(writer.write_all([submit()]))


async def test_a_delayed_start_is_leased_when_its_time_has_come(machine: Machine) -> None:
    worker = await machine.worker(hello())
    operation = await machine.submit(not_before=machine.clock.now() + 60_000)
    await machine.settle()
    assert (await machine.get(operation)).state == State.QUEUED
    machine.clock.advance(61)
    assert (await worker.assigned())[0].operation.number == operation.number


async def test_a_delayed_start_outlives_a_restart(tmp_path: Path, clock: StillClock) -> None:
    path = tmp_path / "longshore.db"
    async with Machine(path, clock) as before:
        operation = await before.submit(not_before=clock.now() + 60_000)
    clock.advance(61)
    async with Machine(path, clock) as after:
        worker = await after.worker(hello())
        assert (await worker.assigned())[0].operation.number == operation.number


async def test_the_writer_wakes_by_itself_when_something_is_due(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "longshore.db", ProtoCodec())
    async with Engine(store, ObstoreBlobs(f"{tmp_path}/files")) as engine:
        session = await engine.sessions.open(hello())
        await engine.writer.write(submit(not_before=engine.clock.now() + 50))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (outgoing := await session.take(PATIENCE_SECONDS)).assignments:
                pass
        assert len(outgoing.assignments) == 1


async def test_submit_and_lease_share_one_commit(machine: Machine) -> None:
    worker = await machine.worker(hello())
    await machine.settle()
    before = len(machine.store.batches)
    await machine.submit()
    await worker.assigned()
    batch = machine.store.batches[before]
    assert [type(change) for change in batch] == [Submit, Lease]


async def test_a_plan_that_cannot_begin_does_not_keep_the_next_one_waiting(
    machine: Machine,
) -> None:
    broken = await machine.submit(body=plan_with_missing_argument(), steps=1)
    sound = await machine.submit()
    worker = await machine.worker(hello(slots=1))
    assert (await worker.assigned())[0].operation.number == sound.number
    assert (await machine.get(broken)).state == State.FAILED


async def test_a_store_that_cannot_write_fails_all_callers_and_the_engine(
    machine: Machine,
) -> None:
    writer = machine.engine.writer
    machine.store.failure = StoreUnavailable("the disk is full")
    first = writer.write_all([submit()])
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await asyncio.wait_for(first, PATIENCE_SECONDS)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await asyncio.wait_for(asyncio.shield(machine.engine.failed), PATIENCE_SECONDS)
    with pytest.raises(StoreUnavailable):
        writer.write_all([submit()])


async def test_a_store_that_may_be_back_is_waited_for(machine: Machine) -> None:
    writer, store = machine.engine.writer, machine.store
    store.recovers = True
    watcher = await machine.watch()
    store.failure = StoreUnavailable("the network is down")
    with pytest.raises(StoreUnavailable, match="network is down"):
        await asyncio.wait_for(writer.write_all([submit()]), PATIENCE_SECONDS)
    store.failure = None
    await asyncio.wait_for(machine.engine.presence.here.wait(), PATIENCE_SECONDS)
    operation = await machine.submit()
    assert (await told(watcher, 1))[0].number == operation.number
    assert not machine.engine.failed.done()


async def test_while_the_store_is_gone_nothing_is_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, store = machine.engine.writer, machine.store
    store.recovers = True
    monkeypatch.setattr(store, "news", gone)
    store.failure = StoreUnavailable("the network is down")
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(writer.write_all([submit()]), PATIENCE_SECONDS)
    await asyncio.wait_for(machine.engine.presence.gone.wait(), PATIENCE_SECONDS)
    batches = len(store.batches)
    with pytest.raises(StoreUnavailable, match="try again soon"):
        writer.write_all([submit()])
    assert len(store.batches) == batches


async def test_an_engine_can_be_stopped_while_the_store_is_gone(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Machine(tmp_path / "longshore.db", clock) as machine:
        store = machine.store
        store.recovers = True
        monkeypatch.setattr(store, "news", gone)
        store.failure = StoreUnavailable("the network is down")
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(machine.engine.writer.write(submit()), PATIENCE_SECONDS)
    assert not machine.engine.failed.done()


async def test_workers_ask_anew_what_they_hold_if_nobody_knows_what_was_written(
    machine: Machine,
) -> None:
    store = machine.store
    store.recovers = True
    await machine.submit()
    worker = await machine.worker(hello(slots=2))
    (assignment,) = await worker.assigned()
    store.failure = OutcomeUnknown()
    with pytest.raises(OutcomeUnknown):
        await machine.submit()
    store.failure = None
    assert (await worker.listen()).end
    await asyncio.wait_for(machine.engine.presence.here.wait(), PATIENCE_SECONDS)
    back = await machine.worker(hello(slots=2))
    assert [one.operation for one in await back.assigned()] == [assignment.operation]


async def gone() -> None:
    raise StoreUnavailable("the network is down")


async def test_whatever_goes_wrong_in_the_writer_nobody_waits_for_ever(
    machine: Machine,
) -> None:
    machine.store.failure = RuntimeError("a bug")
    write = machine.engine.writer.write_all([submit()])
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(write, PATIENCE_SECONDS)
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(asyncio.shield(machine.engine.failed), PATIENCE_SECONDS)


async def test_what_was_accepted_is_written_before_the_engine_stops(
    tmp_path: Path, clock: StillClock
) -> None:
    path = tmp_path / "longshore.db"
    async with Machine(path, clock) as machine:
        writes = [machine.engine.writer.write_all([submit()]) for _ in range(3_000)]
    outcomes = await waiting(*writes)
    async with Machine(path, clock) as machine:
        for (outcome,) in outcomes[::100]:
            assert isinstance(outcome, Submitted)
            assert (await machine.get(outcome.operation)).id == outcome.operation.id


async def test_a_write_after_the_end_is_refused_at_once(
    tmp_path: Path, clock: StillClock
) -> None:
    async with Machine(tmp_path / "longshore.db", clock) as machine:
        writer: Writer = machine.engine.writer
    with pytest.raises(StoreUnavailable):
        writer.write_all([submit()])


@pytest.mark.parametrize("name", EngineSettings.__slots__)
def test_a_span_of_nothing_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        EngineSettings(**{name: 0})

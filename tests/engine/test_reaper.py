from __future__ import annotations

import asyncio
from pathlib import Path

from longshore.core.changes import ExpireSessions
from longshore.core.operations import State
from longshore.core.policies import Policy
from longshore.engine.settings import EngineSettings
from tests.engine.harness import (
    PATIENCE_SECONDS,
    Machine,
    StillClock,
    WorkerAtTest,
    held,
    hello,
)

BEAT = 5.0
TIME_TO_LIVE = 30.0


async def ticks(machine: Machine, seconds: float) -> None:
    """Let time pass as it does while the server is well: the reaper looks once a beat."""
    while seconds > 0:
        machine.clock.advance(min(BEAT, seconds))
        await machine.engine.reaper.reap()
        seconds -= BEAT


async def holder_that_left(machine: Machine) -> WorkerAtTest:
    """A worker with a lease, whose stream ends in the server's second time to live."""
    await ticks(machine, TIME_TO_LIVE + BEAT)
    await machine.submit(policy=Policy(initial_backoff=0))
    worker = await machine.worker(hello())
    await worker.assigned()
    machine.engine.sessions.leave(worker.session)
    return worker


async def test_a_silent_session_is_expired_after_its_time_to_live(machine: Machine) -> None:
    worker = await holder_that_left(machine)
    operation = worker.assignments[0].operation
    await ticks(machine, TIME_TO_LIVE)
    assert (await machine.get(operation)).state == State.RUNNING
    await ticks(machine, BEAT)
    assert (await machine.get(operation)).state == State.QUEUED
    assert machine.engine.catalog.current.sessions == {}
    assert machine.engine.sessions.last_heard == {}


async def test_the_lost_attempt_goes_to_another_worker(machine: Machine) -> None:
    await holder_that_left(machine)
    other = await machine.worker(hello(secret=b"2" * 16))
    await ticks(machine, TIME_TO_LIVE + BEAT)
    machine.engine.writer.wake()
    (assignment,) = await other.assigned()
    assert assignment.operation.attempt == 2


async def test_a_session_with_a_stream_is_never_expired(machine: Machine) -> None:
    worker = await machine.worker(hello())
    await ticks(machine, 10 * TIME_TO_LIVE)
    assert list(machine.engine.catalog.current.sessions) == [worker.session.number]


async def test_a_worker_that_comes_back_in_time_keeps_its_lease(machine: Machine) -> None:
    worker = await holder_that_left(machine)
    lease = held(worker.assignments[0])
    await ticks(machine, TIME_TO_LIVE - BEAT)
    worker = await machine.worker(hello(leases=[lease]))
    await ticks(machine, 2 * TIME_TO_LIVE)
    assert worker.session.held == {lease.number: lease.token}


async def test_nothing_is_expired_in_the_first_time_to_live_after_a_start(
    tmp_path: Path, clock: StillClock
) -> None:
    path = tmp_path / "longshore.db"
    async with Machine(path, clock) as before:
        await before.submit()
        worker = await before.worker(hello())
        (assignment,) = await worker.assigned()
    clock.advance(100 * TIME_TO_LIVE)
    async with Machine(path, clock) as after:
        await ticks(after, TIME_TO_LIVE)
        assert (await after.get(assignment.operation)).state == State.RUNNING
        await ticks(after, BEAT)
        assert (await after.get(assignment.operation)).state == State.QUEUED


async def test_nothing_is_expired_for_one_time_to_live_after_a_late_tick(
    machine: Machine,
) -> None:
    worker = await holder_that_left(machine)
    operation = worker.assignments[0].operation
    machine.clock.advance(100 * TIME_TO_LIVE)
    await machine.engine.reaper.reap()
    await ticks(machine, TIME_TO_LIVE - BEAT)
    assert (await machine.get(operation)).state == State.RUNNING
    await ticks(machine, BEAT)
    assert (await machine.get(operation)).state == State.QUEUED


async def test_a_hello_that_broke_off_counts_as_a_sign_of_life(machine: Machine) -> None:
    worker = await holder_that_left(machine)
    await ticks(machine, TIME_TO_LIVE - BEAT)
    again = await machine.worker(hello(leases=[held(worker.assignments[0])]))
    machine.engine.sessions.leave(again.session)
    await ticks(machine, TIME_TO_LIVE)
    assert (await machine.get(worker.assignments[0].operation)).state == State.RUNNING


async def test_a_session_taken_up_while_it_expires_is_left_alone(machine: Machine) -> None:
    worker = await holder_that_left(machine)
    lease = held(worker.assignments[0])
    await ticks(machine, TIME_TO_LIVE)
    opening = machine.worker(hello(leases=[lease]))
    machine.clock.advance(BEAT)
    reaping = machine.engine.reaper.reap()
    back = await opening
    await reaping
    assert back.session.held == {lease.number: lease.token}
    assert (await machine.get(worker.assignments[0].operation)).state == State.RUNNING


async def test_work_that_kills_its_workers_ends_after_its_attempts(machine: Machine) -> None:
    operation = await machine.submit(policy=Policy(initial_backoff=0, max_attempts=3))
    for life in range(3):
        worker = await machine.worker(hello(secret=bytes([life]) * 16))
        machine.engine.writer.wake()
        (assignment,) = await worker.assigned()
        assert assignment.operation.attempt == life + 1
        machine.engine.sessions.leave(worker.session)
        await ticks(machine, 2 * TIME_TO_LIVE)
    ended = await machine.get(operation)
    assert (ended.state, ended.attempt) == (State.FAILED, 3)


async def test_a_failed_look_does_not_end_the_reaper(tmp_path: Path, clock: StillClock) -> None:
    settings = EngineSettings(beat_seconds=0.01, time_to_live_seconds=0.03)
    async with Machine(tmp_path / "longshore.db", clock, settings) as machine:
        worker = await machine.worker(hello())
        machine.engine.sessions.leave(worker.session)
        machine.store.poison = ExpireSessions
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(type(one[0]) is ExpireSessions for one in machine.store.batches):
                clock.advance(0.01)
                await asyncio.sleep(0.01)
            machine.store.poison = None
            while machine.engine.catalog.current.sessions:
                clock.advance(0.01)
                await asyncio.sleep(0.01)

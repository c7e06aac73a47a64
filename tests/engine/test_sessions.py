from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from longshore.core.changes import Cancel, OpenSession
from longshore.core.errors import LeaseLost, SessionTakenOver
from longshore.core.failures import Failure
from longshore.core.operations import State
from longshore.core.policies import Policy
from longshore.core.reports import (
    Completed,
    Failed,
    Progressed,
    Released,
    Stopped,
)
from longshore.engine.conversation import (
    HeldLease,
    StopReason,
    WorkerReport,
)
from tests.engine.harness import (
    CALLER,
    Machine,
    StillClock,
    held,
    hello,
    request,
    waiting,
)

FAILURE = Failure(13, "it broke", b"")


async def test_a_session_never_holds_more_leases_than_slots(machine: Machine) -> None:
    for _ in range(10):
        await machine.submit()
    worker = await machine.worker(hello(slots=3))
    await worker.drain_messages()
    assert len(worker.assignments) == 3
    await worker.report(worker.assignments[0])
    await worker.drain_messages()
    assert len(worker.assignments) == 4
    assert len(worker.session.held) == 3


async def test_progress_frees_no_slot(machine: Machine) -> None:
    await machine.submit()
    await machine.submit()
    worker = await machine.worker(hello(slots=1))
    (first,) = await worker.assigned()
    await worker.report(first, Progressed('{"done":1,"total":2}'))
    await worker.drain_messages()
    assert len(worker.assignments) == 1


async def test_a_report_hands_its_slot_on_in_the_same_commit(machine: Machine) -> None:
    await machine.submit()
    await machine.submit()
    worker = await machine.worker(hello(slots=1))
    (first,) = await worker.assigned()
    before = len(machine.store.batches)
    await worker.report(first)
    await worker.assigned(2)
    assert len(machine.store.batches) == before + 1


async def test_a_resumed_session_gets_the_leases_that_its_worker_lacks(
    machine: Machine,
) -> None:
    await machine.submit()
    lost = await machine.worker(hello())
    (unseen,) = await lost.assigned()
    machine.engine.sessions.leave(lost.session)
    worker = await machine.worker(hello())
    (again,) = await worker.assigned()
    assert held(again) == held(unseen)
    assert (worker.session.resumed, worker.session.epoch) == (True, 2)
    assert (await machine.get(again.operation)).attempt == 1


async def test_a_resumed_session_keeps_what_its_worker_holds(machine: Machine) -> None:
    await machine.submit()
    await machine.submit()
    first = await machine.worker(hello(slots=1))
    (assignment,) = await first.assigned()
    machine.engine.sessions.leave(first.session)
    worker = await machine.worker(hello(slots=1, leases=[held(assignment)]))
    await worker.drain_messages()
    assert worker.assignments == []
    assert worker.stops == []
    acknowledgement = await worker.report(assignment)
    assert acknowledgement.error is None
    assert (await machine.get(assignment.operation)).state == State.SUCCEEDED


async def test_a_worker_is_told_to_stop_what_it_lost_while_away(machine: Machine) -> None:
    operation = await machine.submit()
    first = await machine.worker(hello())
    (assignment,) = await first.assigned()
    machine.engine.sessions.leave(first.session)
    await machine.cancel(operation, force=True)
    worker = await machine.worker(hello(leases=[held(assignment)]))
    (stop,) = await worker.stopped()
    assert stop[:3] == (operation.number, assignment.operation.token, StopReason.LEASE_LOST)


async def test_a_cancel_that_came_while_away_is_ordered_on_return(machine: Machine) -> None:
    operation = await machine.submit()
    first = await machine.worker(hello())
    (assignment,) = await first.assigned()
    machine.engine.sessions.leave(first.session)
    await machine.cancel(operation)
    worker = await machine.worker(hello(leases=[held(assignment)]))
    (stop,) = await worker.stopped()
    assert stop.reason == StopReason.CANCEL_REQUESTED


@pytest.mark.parametrize("force", [False, True])
async def test_a_cancel_in_the_batch_that_resumes_the_session_reaches_the_worker(
    machine: Machine, force: bool
) -> None:
    operation = await machine.submit()
    first = await machine.worker(hello())
    (assignment,) = await first.assigned()
    machine.engine.sessions.leave(first.session)
    opening = asyncio.create_task(machine.worker(hello(leases=[held(assignment)])))
    await asyncio.sleep(0)
    cancel = machine.engine.writer.write_all([Cancel(CALLER, operation.number, force=force)])
    worker = await opening
    await waiting(cancel)
    assert [OpenSession, Cancel] in [
        [type(change) for change in batch][:2] for batch in machine.store.batches
    ]
    (stop,) = await worker.stopped()
    assert stop.token == assignment.operation.token
    await worker.report(assignment, Stopped())
    assert worker.session.free == 1
    assert (await machine.get(operation)).state == State.CANCELED


async def test_the_older_of_two_streams_of_a_session_ends(machine: Machine) -> None:
    await machine.submit()
    older = await machine.worker(hello())
    (assignment,) = await older.assigned()
    younger = await machine.worker(hello(leases=[held(assignment)]))
    with pytest.raises(SessionTakenOver):
        await older.listen()
    with pytest.raises(SessionTakenOver):
        await older.report(assignment)
    assert (await machine.get(assignment.operation)).state == State.RUNNING
    await younger.report(assignment)
    assert (await machine.get(assignment.operation)).state == State.SUCCEEDED


async def test_the_end_of_an_old_stream_leaves_the_younger_one_alone(machine: Machine) -> None:
    older = await machine.worker(hello())
    younger = await machine.worker(hello())
    machine.engine.sessions.leave(older.session)
    await machine.submit()
    assert len(await younger.assigned()) == 1


async def test_of_streams_that_open_at_once_one_lives(machine: Machine) -> None:
    workers = await asyncio.gather(*(machine.worker(hello()) for _ in range(5)))
    assert sorted(worker.session.epoch for worker in workers) == [1, 2, 3, 4, 5]
    assert len(machine.engine.sessions.live) == 1
    youngest = max(workers, key=lambda worker: worker.session.epoch)
    for worker in workers:
        if worker is not youngest:
            with pytest.raises(SessionTakenOver):
                await worker.listen()
    await machine.submit()
    await youngest.assigned()


async def test_another_secret_is_another_session(machine: Machine) -> None:
    one = await machine.worker(hello(secret=b"1" * 16))
    other = await machine.worker(hello(secret=b"2" * 16))
    assert one.session.number != other.session.number
    assert len(machine.engine.sessions.live) == 2


async def test_a_stream_that_ends_while_it_opens_leaves_no_live_session(
    machine: Machine,
) -> None:
    opening = asyncio.create_task(machine.worker(hello()))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    await machine.settle()
    assert machine.engine.sessions.live == {}
    assert len(machine.engine.catalog.current.sessions) == 1


async def test_a_cancel_is_ordered_and_its_slot_stays_taken(machine: Machine) -> None:
    operation = await machine.submit()
    worker = await machine.worker(hello())
    (assignment,) = await worker.assigned()
    await machine.cancel(operation)
    (stop,) = await worker.stopped()
    assert stop.reason == StopReason.CANCEL_REQUESTED
    await machine.submit()
    await worker.drain_messages()
    assert len(worker.assignments) == 1
    await worker.report(assignment, Stopped())
    await worker.assigned(2)
    assert (await machine.get(operation)).state == State.CANCELED


async def test_a_forced_cancel_ends_the_work_but_its_slot_waits_for_the_worker(
    machine: Machine,
) -> None:
    operation = await machine.submit()
    worker = await machine.worker(hello())
    (assignment,) = await worker.assigned()
    await machine.cancel(operation, force=True)
    assert (await machine.get(operation)).state == State.CANCELED
    (stop,) = await worker.stopped()
    assert stop.reason == StopReason.LEASE_LOST
    await machine.submit()
    await worker.drain_messages()
    assert len(worker.assignments) == 1
    acknowledgement = await worker.report(assignment, Completed(b""))
    assert isinstance(acknowledgement.error, LeaseLost)
    await worker.assigned(2)
    assert (await machine.get(operation)).state == State.CANCELED


async def test_a_run_timeout_stops_the_attempt_and_its_slot_waits_for_the_worker(
    machine: Machine,
) -> None:
    policy = Policy(run_timeout=60_000, max_attempts=1)
    operation = await machine.submit(policy=policy)
    await machine.submit()
    worker = await machine.worker(hello())
    (assignment,) = await worker.assigned()
    machine.clock.advance(61)
    (stop,) = await worker.stopped()
    assert stop.reason == StopReason.TIMED_OUT
    assert stop.message == "attempt 1 did not end within its run_timeout of 60 s"
    assert (await machine.get(operation)).state == State.FAILED
    await worker.drain_messages()
    assert len(worker.assignments) == 1
    await worker.report(assignment, Stopped())
    await worker.assigned(2)


async def test_an_attempt_that_is_tried_again_after_its_run_timeout_is_told_so(
    machine: Machine,
) -> None:
    await machine.submit(policy=Policy(run_timeout=60_000))
    worker = await machine.worker(hello())
    await worker.assigned()
    machine.clock.advance(61)
    (stop,) = await worker.stopped()
    assert stop.reason == StopReason.TIMED_OUT


@pytest.mark.parametrize("force", [False, True])
async def test_a_worker_is_told_what_was_said_with_a_cancel(
    machine: Machine, force: bool
) -> None:
    operation = await machine.submit()
    worker = await machine.worker(hello())
    await worker.assigned()
    cancel = Cancel(CALLER, operation.number, message="wrong tape", force=force)
    await machine.engine.writer.write(cancel)
    (stop,) = await worker.stopped()
    assert stop.message == "wrong tape"


async def test_an_attempt_that_outlives_its_lease_runs_beside_the_next_one_in_another_slot(
    machine: Machine,
) -> None:
    policy = Policy(run_timeout=60_000, initial_backoff=0)
    operation = await machine.submit(policy=policy)
    worker = await machine.worker(hello(slots=2))
    (first,) = await worker.assigned()
    machine.clock.advance(61)
    first, second = await worker.assigned(2)
    assert worker.session.free == 0
    assert second.operation.token > first.operation.token
    late = await worker.report(first, Completed(b""))
    assert isinstance(late.error, LeaseLost)
    assert (await machine.get(operation)).state == State.RUNNING
    await worker.report(second)
    assert (await machine.get(operation)).state == State.SUCCEEDED
    assert worker.session.free == 2


async def test_a_stale_report_changes_nothing(machine: Machine) -> None:
    operation = await machine.submit()
    worker = await machine.worker(hello())
    (assignment,) = await worker.assigned()
    await machine.cancel(operation, force=True)
    ended = await machine.get(operation)
    for body in (Completed(b"{}"), Failed(FAILURE, False), Progressed("{}"), Released()):
        acknowledgement = await worker.report(assignment, body)
        assert isinstance(acknowledgement.error, LeaseLost)
    assert await machine.get(operation) == ended


async def test_a_repeated_report_is_applied_once_and_acknowledged(machine: Machine) -> None:
    operation = await machine.submit()
    worker = await machine.worker(hello())
    (assignment,) = await worker.assigned()
    for _ in range(3):
        acknowledgement = await worker.report(assignment, Completed(b""), sequence=1)
        assert acknowledgement.error is None
    ended = await machine.get(operation)
    assert ended.state == State.SUCCEEDED
    assert worker.session.free == 1


async def test_an_end_acknowledged_on_the_next_stream_frees_its_slot(machine: Machine) -> None:
    await machine.submit()
    first = await machine.worker(hello())
    (assignment,) = await first.assigned()
    operation = assignment.operation
    last = WorkerReport(operation.number, operation.token, 1, Completed(b""))
    await first.session.report([last])
    # Its acknowledgement was lost with the stream, so the worker thinks it holds the lease.
    machine.engine.sessions.leave(first.session)
    worker = await machine.worker(hello(leases=[held(assignment)]))
    assert worker.session.free == 0
    acknowledgement = await worker.report(assignment, Completed(b""), sequence=1)
    assert acknowledgement.error is None
    await machine.submit()
    assert len(await worker.assigned()) == 1


async def test_work_handed_back_is_not_counted_and_waits_in_its_place(machine: Machine) -> None:
    first = await machine.submit()
    await machine.submit()
    leaving = await machine.worker(hello(secret=b"1" * 16))
    (assignment,) = await leaving.assigned()
    assert assignment.operation.number == first.number
    leaving.session.drain()
    await leaving.report(assignment, Released())
    assert (await machine.get(first)).attempt == 0
    worker = await machine.worker(hello(secret=b"2" * 16))
    assert (await worker.assigned())[0].operation.number == first.number


async def test_a_draining_worker_is_given_nothing(machine: Machine) -> None:
    worker = await machine.worker(hello())
    worker.session.drain()
    await machine.submit()
    await worker.drain_messages()
    assert worker.assignments == []


async def test_a_plan_goes_on_under_its_lease(machine: Machine) -> None:
    operation = await machine.submit(body=request("carry", "stow"), steps=2)
    await machine.submit()
    worker = await machine.worker(hello(slots=1))
    (first,) = await worker.assigned()
    await worker.report(first)
    _, second = await worker.assigned(2)
    assert (first.action, second.action) == ("carry", "stow")
    assert held(first) == held(second)
    assert worker.session.free == 0
    await worker.report(second)
    assert (await machine.get(operation)).state == State.SUCCEEDED
    await worker.assigned(3)


async def test_a_resumed_session_is_told_the_present_step_of_its_plan(machine: Machine) -> None:
    await machine.submit(body=request("carry", "stow"), steps=2)
    first = await machine.worker(hello())
    (assignment,) = await first.assigned()
    operation = assignment.operation
    await first.session.report(
        [WorkerReport(operation.number, operation.token, 1, Completed(b""))]
    )
    machine.engine.sessions.leave(first.session)
    worker = await machine.worker(hello(leases=[held(assignment)]))
    (present,) = await worker.assigned()
    assert (present.action, present.operation.step) == ("stow", 1)


async def test_a_goodbye_gives_the_work_to_another_worker(machine: Machine) -> None:
    operation = await machine.submit(policy=Policy(initial_backoff=0))
    leaving = await machine.worker(hello(secret=b"1" * 16))
    await leaving.assigned()
    await machine.engine.sessions.close(leaving.session)
    assert leaving.session.number not in machine.engine.sessions.last_heard
    worker = await machine.worker(hello(secret=b"2" * 16))
    machine.engine.writer.wake()
    assert (await worker.assigned())[0].operation.attempt == 2
    assert (await machine.get(operation)).worker == "stevedore"


async def test_the_worker_with_most_free_slots_is_served_first(machine: Machine) -> None:
    small = await machine.worker(hello(secret=b"1" * 16, slots=1))
    large = await machine.worker(hello(secret=b"2" * 16, slots=3))
    for _ in range(2):
        await machine.submit()
    await small.drain_messages()
    await large.drain_messages()
    assert (len(small.assignments), len(large.assignments)) == (0, 2)


async def test_silence_is_a_beat(machine: Machine) -> None:
    worker = await machine.worker(hello())
    await worker.drain_messages()
    assert await worker.session.take(0.001) == ([], [], [], False)


async def test_draining_tells_present_and_future_workers_to_reconnect(machine: Machine) -> None:
    worker = await machine.worker(hello(secret=b"1" * 16))
    machine.engine.drain()
    assert (await worker.listen()).end
    await machine.submit()
    late = await machine.worker(hello(secret=b"2" * 16))
    assert (await late.listen()).end
    await late.drain_messages()
    assert worker.assignments == late.assignments == []


async def test_leases_outlive_a_restart_of_the_server(
    tmp_path: Path, clock: StillClock
) -> None:
    path = tmp_path / "longshore.db"
    async with Machine(path, clock) as before:
        operation = await before.submit()
        worker = await before.worker(hello())
        (assignment,) = await worker.assigned()
    async with Machine(path, clock) as after:
        worker = await after.worker(hello(leases=[held(assignment)]))
        acknowledgement = await worker.report(assignment)
        assert acknowledgement.error is None
        assert (await after.get(operation)).state == State.SUCCEEDED
        assert (await after.get(operation)).attempt == 1


async def test_a_session_that_is_over_begins_anew_and_gives_up_its_leases(
    machine: Machine,
) -> None:
    await machine.submit()
    first = await machine.worker(hello())
    (assignment,) = await first.assigned()
    await machine.engine.sessions.close(first.session)
    worker = await machine.worker(hello(leases=[held(assignment)]))
    assert (worker.session.resumed, worker.session.epoch) == (False, 1)
    (stop,) = await worker.stopped()
    assert stop[:2] == HeldLease(assignment.operation.number, assignment.operation.token)

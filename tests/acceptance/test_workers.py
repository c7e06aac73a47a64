from __future__ import annotations

import asyncio
import random
from pathlib import Path

import grpc.aio
import pytest

from longshore.v1.operation_pb2 import State
from tests.acceptance.checkers import check_everything, ends, is_lease
from tests.acceptance.journal import (
    check_nothing_overlapped,
    check_nothing_ran_twice,
    noted,
    read_journal,
)
from tests.acceptance.office import Office, all_ended, reason_of, retry
from tests.acceptance.processes import Dockhand, Server
from tests.acceptance.waiting import eventually, eventually_answered
from tests.tools.proxy import Proxy

#: Workers are given up after a second of silence.
TIME_TO_LIVE = 1.2
SHORT = ("--beat", "0.3s", "--time-to-live", f"{TIME_TO_LIVE}s")


async def begun(journal: Path, task_id: str, attempt: int = 1) -> None:
    """Wait until a worker has begun an attempt."""
    await eventually(
        lambda: any(note.attempt == attempt for note in noted(journal, "start", task_id)),
        f"the start of attempt {attempt} of {task_id}",
    )


async def test_work_gets_done(store: Path, journal: Path) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
    ):
        tasks = [await office.submit("quick") for _ in range(20)]
        done = await all_ended(office, [task.metadata.id for task in tasks])
        assert {task.status.state for task in done.values()} == {State.STATE_SUCCEEDED}
        check_nothing_ran_twice(journal)
        check_everything(await office.history(), most_attempts=1)


async def test_an_operation_is_leased_by_at_most_one_session_while_workers_die_and_streams_break(
    store: Path, journal: Path
) -> None:
    rng = random.Random(7)
    dead: set[int] = set()
    async with Server(store, *SHORT) as server, Office(server.address) as office:
        async with Proxy(server.address) as proxy, Dockhand(proxy.address, journal) as steady:
            ids: list[str] = []
            for round_ in range(6):
                async with Dockhand(proxy.address, journal, name=f"mortal-{round_}") as mortal:

                    async def works(pid: int = mortal.pid) -> bool:
                        burst = [office.submit("quick", options=retry(20)) for _ in range(12)]
                        ids.extend(one.metadata.id for one in await asyncio.gather(*burst))
                        return any(note.pid == pid for note in read_journal(journal))

                    await eventually_answered(works, "the first work of a worker")
                    proxy.cut()
                    ids += [
                        (await office.submit("quick", options=retry(20))).metadata.id
                        for _ in range(rng.randrange(40))
                    ]
                    dead.add(mortal.pid)
                    await mortal.kill()
            done = await all_ended(office, ids)
            assert steady.running
        events = await office.history()
    assert {task.status.state for task in done.values()} == {State.STATE_SUCCEEDED}
    check_everything(events, most_attempts=20)
    check_nothing_overlapped(journal, frozenset(dead))


async def test_a_worker_that_loses_its_stream_keeps_its_work_and_nothing_runs_twice(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store) as server,
        Proxy(server.address) as proxy,
        Dockhand(proxy.address, journal, slots=3),
        Office(server.address) as office,
    ):
        tasks = [await office.submit("hold", gate=str(gate)) for _ in range(5)]
        await eventually(lambda: len(noted(journal, "start")) == 3, "three works")
        for _ in range(5):
            connections = proxy.connections
            proxy.cut()
            await eventually(lambda: proxy.connections > connections, "a new stream")
        gate.touch()
        done = await all_ended(office, [task.metadata.id for task in tasks])
        assert {task.status.attempt for task in done.values()} == {1}
        check_everything(await office.history(), most_attempts=1)
        check_nothing_ran_twice(journal)
        assert len(noted(journal, "end")) == 5


async def test_a_worker_that_is_cut_off_while_it_drains_keeps_its_work(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store) as server,
        Proxy(server.address) as proxy,
        Dockhand(proxy.address, journal) as worker,
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        await begun(journal, task.metadata.id)
        worker.process.terminate()
        await worker.said("draining")
        connections = proxy.connections
        proxy.cut()
        await eventually(lambda: proxy.connections > connections, "a new stream")
        late = await office.submit("quick")
        gate.touch()
        assert await worker.ended() == 0
        done = await office.get(task.metadata.id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
        assert (await office.get(late.metadata.id)).status.state == State.STATE_QUEUED
        check_nothing_ran_twice(journal)


async def test_reports_made_without_a_stream_are_delivered_later(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store) as server,
        Proxy(server.address) as proxy,
        Dockhand(proxy.address, journal),
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        await begun(journal, task.metadata.id)
        proxy.refuse()
        gate.touch()
        await eventually(lambda: noted(journal, "end"), "the end of the work")
        assert (await office.get(task.metadata.id)).status.state == State.STATE_RUNNING
        proxy.heal()
        done = await office.ended(task.metadata.id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
        check_nothing_ran_twice(journal)


async def test_a_stale_workers_report_changes_nothing(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store, *SHORT) as server,
        Dockhand(server.address, journal, name="sleeper") as sleeper,
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        task_id = task.metadata.id
        await begun(journal, task_id)
        sleeper.freeze()
        async with Dockhand(server.address, journal, name="heir"):
            await begun(journal, task_id, attempt=2)
            gate.touch()
            done = await office.ended(task_id)
            assert (done.status.attempt, done.status.worker) == (2, "heir")
            before = await office.history()
            sleeper.thaw()
            # It finds its gate open, or is told to stop first; neither changes anything.
            await eventually(
                lambda: any(
                    note.pid == sleeper.pid and note.word != "start"
                    for note in read_journal(journal)
                ),
                "the end of the stale work",
            )
            async with Dockhand(server.address, journal, name="witness"):
                others = [await office.submit("quick") for _ in range(12)]
                await all_ended(office, [one.metadata.id for one in others])
        assert await office.get(task_id) == done
        events = await office.history()
        assert [one for one in events if one.operation_id == task_id] == before
        check_everything(events, most_attempts=2)


async def test_attempts_never_exceed_their_limit_for_work_that_kills_its_worker(
    store: Path, journal: Path
) -> None:
    async with Server(store, *SHORT) as server, Office(server.address) as office:
        task = await office.submit("die", options=retry(3))
        task_id = task.metadata.id
        for attempt in (1, 2, 3):
            async with Dockhand(server.address, journal) as worker:
                await begun(journal, task_id, attempt)
                assert await worker.ended() != 0
        async with Dockhand(server.address, journal):
            done = await office.ended(task_id)
            await all_ended(office, [(await office.submit("quick")).metadata.id])
        assert (done.status.state, done.status.attempt) == (State.STATE_FAILED, 3)
        assert len(noted(journal, "start", task_id)) == 3
        check_everything(await office.history(), most_attempts=3)


async def test_failing_work_is_tried_as_often_as_it_may_be(store: Path, journal: Path) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
    ):
        tasks = [await office.submit("fail", options=retry(4)) for _ in range(5)]
        ids = [task.metadata.id for task in tasks]
        done = await all_ended(office, ids)
        assert {task.status.state for task in done.values()} == {State.STATE_FAILED}
        assert all("crane is broken" in task.status.error.message for task in done.values())
        for task_id in ids:
            assert len(noted(journal, "start", task_id)) == 4
        check_everything(await office.history(), most_attempts=4)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_server_that_was_gone_for_longer_than_every_time_to_live_loses_no_lease(
    store: Path, journal: Path, gate: Path, fault: str
) -> None:
    async with (
        Server(store, *SHORT) as first,
        Proxy(first.address) as proxy,
        Dockhand(proxy.address, journal),
        Office(first.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        task_id = task.metadata.id
        await begun(journal, task_id)
        if fault == "killed":
            await first.kill()
        else:
            first.freeze()
        # The absence is the fault: it has to last.
        await asyncio.sleep(3 * TIME_TO_LIVE)
        if fault == "killed":
            async with Server(store, *SHORT) as second, Office(second.address) as other:
                proxy.target = second.address
                await keeps_its_lease(other, task_id, journal, gate)
        else:
            first.thaw()
            await keeps_its_lease(office, task_id, journal, gate)


async def keeps_its_lease(office: Office, task_id: str, journal: Path, gate: Path) -> None:
    """See that a lease outlives the time in which it could be lost by mistake, and its work."""
    # Whatever a reaper does wrongly it has done after this time.
    await asyncio.sleep(2 * TIME_TO_LIVE)
    assert (await office.get(task_id)).status.state == State.STATE_RUNNING
    gate.touch()
    done = await office.ended(task_id)
    assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
    check_nothing_ran_twice(journal)
    check_everything(await office.history(), most_attempts=1)


async def test_a_cancel_that_comes_first_lets_a_success_win_only_before_the_end(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
    ):
        obedient = await office.submit("hold", gate=str(gate))
        stubborn = await office.submit("stubborn", gate=str(gate))
        forced = await office.submit("stubborn", gate=str(gate))
        for task in (obedient, stubborn, forced):
            await begun(journal, task.metadata.id)
        for task in (obedient, stubborn):
            canceling = await office.cancel(task.metadata.id)
            assert canceling.status.cancel_requested
        await office.cancel(forced.metadata.id, force=True)
        done = await office.ended(obedient.metadata.id)
        assert done.status.state == State.STATE_CANCELED
        gate.touch()
        done = await office.ended(stubborn.metadata.id)
        assert done.status.state == State.STATE_SUCCEEDED
        await eventually(lambda: noted(journal, "end", forced.metadata.id), "the forced one")
        await all_ended(office, [(await office.submit("quick")).metadata.id])
        assert (await office.get(forced.metadata.id)).status.state == State.STATE_CANCELED
        check_everything(await office.history(), most_attempts=1)


async def test_a_cancel_after_the_end_is_refused_and_changes_nothing(
    store: Path, journal: Path
) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
    ):
        task = await office.submit("quick")
        done = await office.ended(task.metadata.id)
        for force in (False, True):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await office.cancel(task.metadata.id, force=force)
            assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert reason_of(refused.value) == "WRONG_STATE"
        assert await office.get(task.metadata.id) == done


async def test_cancels_that_race_with_ends_leave_one_end_each(
    store: Path, journal: Path
) -> None:
    rng = random.Random(3)
    async with (
        Server(store) as server,
        Dockhand(server.address, journal, slots=8),
        Office(server.address) as office,
    ):

        async def raced() -> str:
            task_id = (await office.submit("quick")).metadata.id
            await asyncio.sleep(rng.uniform(0, 0.02))
            try:
                await office.cancel(task_id, force=rng.random() < 0.5)
            except grpc.aio.AioRpcError as error:
                refusals.add(reason_of(error))
            return task_id

        await office.connected()
        refusals: set[str] = set()
        ids: list[str] = []
        for _ in range(10):
            ids += await asyncio.gather(*(raced() for _ in range(30)))
        done = await all_ended(office, ids)
        events = await office.history()
        check_everything(events, most_attempts=1)
        assert refusals <= {"WRONG_STATE"}
        assert {one: task.status.state for one, task in done.items()} == ends(events)
        assert len(set(ends(events).values())) == 2, "both orders happened"


async def test_slots_are_never_exceeded(store: Path, journal: Path) -> None:
    async with (
        Server(store) as server,
        Dockhand(server.address, journal, slots=2),
        Office(server.address) as office,
    ):
        ids = [(await office.submit("quick")).metadata.id for _ in range(50)]
        await all_ended(office, ids)
        running = 0
        for event in await office.history():
            running += is_lease(event)
            running -= event.HasField("state_changed") and not is_lease(event)
            assert running <= 2

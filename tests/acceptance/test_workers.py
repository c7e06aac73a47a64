from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from longshore.v1.operation_pb2 import ActionCall, State
from tests.acceptance.checkers import check_everything
from tests.acceptance.journal import (
    check_nothing_overlapped,
    check_nothing_ran_twice,
    noted,
    read_journal,
)
from tests.acceptance.office import Office, all_ended, request, retry
from tests.acceptance.processes import Dockhand, Server
from tests.acceptance.waiting import eventually, eventually_answered
from tests.tools.ports import steady_address
from tests.tools.proxy import Proxy

BEAT = 0.5
#: Workers are given up after so many seconds of silence, which no live one keeps.
TIME_TO_LIVE = 3.0
SHORT = ("--beat", f"{BEAT}s", "--time-to-live", f"{TIME_TO_LIVE}s")
#: Longer than a time to live, and than a reaper takes to see that it is over.
OVER_SECONDS = TIME_TO_LIVE + 2 * BEAT


async def begun(journal: Path, task_id: str, attempt: int = 1) -> None:
    """Wait until a worker has begun an attempt."""
    await eventually(
        lambda: any(note.attempt == attempt for note in noted(journal, "start", task_id)),
        f"the start of attempt {attempt} of {task_id}",
    )


async def cut_off(proxy: Proxy) -> None:
    """Break all connections and wait for the first that comes back."""
    known = proxy.connections
    proxy.cut()
    await eventually(lambda: proxy.connections > known, "a new connection")


async def submit_some(office: Office, ids: list[str], count: int) -> None:
    submits = [office.submit("quick", options=retry(20)) for _ in range(count)]
    ids += [task.metadata.id for task in await asyncio.gather(*submits)]


async def busy(office: Office, ids: list[str], journal: Path, pid: int) -> bool:
    """Submit more work, and tell whether a process has begun any."""
    await submit_some(office, ids, 12)
    return any(note.pid == pid for note in read_journal(journal))


async def test_an_operation_is_leased_by_at_most_one_session_while_workers_die_and_streams_break(
    store: Path, journal: Path
) -> None:
    rng = random.Random(7)
    dead: set[int] = set()
    async with Server(store, *SHORT) as server, Office(server.address) as office:
        async with Proxy(server.address) as proxy, Dockhand(proxy.address, journal) as steady:
            ids: list[str] = []
            for round_ in range(5):
                async with Dockhand(proxy.address, journal, name=f"mortal-{round_}") as mortal:
                    await eventually_answered(
                        partial(busy, office, ids, journal, mortal.pid),
                        "the first work of a worker",
                    )
                    proxy.cut()
                    await submit_some(office, ids, rng.randrange(40))
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
            await cut_off(proxy)
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
        await cut_off(proxy)
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


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_server_that_was_gone_for_longer_than_every_time_to_live_loses_no_lease(
    store: Path, journal: Path, gate: Path, fault: str
) -> None:
    async with (
        Server(store, *SHORT, listen=steady_address()) as first,
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
        await asyncio.sleep(OVER_SECONDS)
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
    await asyncio.sleep(OVER_SECONDS)
    assert (await office.get(task_id)).status.state == State.STATE_RUNNING
    gate.touch()
    done = await office.ended(task_id)
    assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
    check_nothing_ran_twice(journal)
    check_everything(await office.history(), most_attempts=1)


async def test_a_half_open_connection_is_given_up_and_the_work_is_kept(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store, "--beat", "0.3s", "--time-to-live", "20s") as server,
        Proxy(server.address) as proxy,
        Dockhand(proxy.address, journal),
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        await begun(journal, task.metadata.id)
        known = proxy.connections
        proxy.hush()
        await eventually(lambda: proxy.connections > known, "a new connection")
        proxy.heal()
        gate.touch()
        done = await office.ended(task.metadata.id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
        check_nothing_ran_twice(journal)
        check_everything(await office.history(), most_attempts=1)


async def test_when_everything_dies_at_once_the_work_goes_on_where_it_was(
    store: Path, journal: Path, gate: Path
) -> None:
    async with Server(store, *SHORT) as server, Dockhand(server.address, journal) as worker:
        async with Office(server.address) as office:
            first = [(await office.submit("quick")).metadata.id for _ in range(5)]
            await all_ended(office, first)
            rest = [(await office.submit("hold", gate=str(gate))).metadata.id for _ in range(6)]
            await eventually(lambda: len(noted(journal, "start")) == 9, "four works")
        await asyncio.gather(server.kill(), worker.kill())
    gate.touch()
    async with (
        Server(store, *SHORT) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
    ):
        done = await all_ended(office, [*first, *rest])
        check_everything(await office.history(), most_attempts=2)
    assert {task.status.state for task in done.values()} == {State.STATE_SUCCEEDED}
    attempts = [done[task_id].status.attempt for task_id in rest]
    assert sorted(attempts) == [1, 1, 2, 2, 2, 2]
    for task_id in first:
        assert len(noted(journal, "start", task_id)) == 1


async def test_a_plan_goes_on_with_the_action_that_its_worker_did_not_finish(
    store: Path, journal: Path, gate: Path
) -> None:
    quick, hold = ActionCall(action="quick"), ActionCall(action="hold")
    hold.arguments.update({"gate": str(gate)})
    async with Server(store, *SHORT) as server, Office(server.address) as office:
        sent = request("quick")
        del sent.spec.actions[:]
        sent.spec.actions.extend([quick, hold, quick])
        task_id = (await office.ask(sent)).task.metadata.id
        async with Dockhand(server.address, journal) as worker:
            await eventually(lambda: len(noted(journal, "start", task_id)) == 2, "the hold")
            await worker.kill()
        gate.touch()
        async with Dockhand(server.address, journal):
            done = await office.ended(task_id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 2)
        assert [note.attempt for note in noted(journal, "start", task_id)] == [1, 1, 2, 2]
        check_everything(await office.history(), most_attempts=2)

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from longshore.client import Client
from longshore.v1.operation_pb2 import State
from longshore.v1.server_service_pb2 import ServerStatus
from tests.acceptance.checkers import check_everything
from tests.acceptance.journal import check_nothing_ran_twice, noted
from tests.acceptance.office import Office
from tests.acceptance.processes import Dockhand, Server, dockhand_environment
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.tools.ports import steady_address

EMBEDDED = ("--worker", "tests.acceptance.work:worker")


async def is_ending(client: Client) -> bool:
    status = await client.server.status()
    return status.status == ServerStatus.SERVER_STATUS_SHUTDOWN_IN_PROGRESS


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
async def test_an_idle_server_drains_with_exit_code_0(store: Path, number: str) -> None:
    async with Server(store) as server:
        server.signal(signal.Signals[number])
        assert await server.ended() == 0


async def test_embedded_work_gets_its_grace(store: Path, journal: Path, gate: Path) -> None:
    async with (
        Server(store, *EMBEDDED, environment=dockhand_environment(journal)) as server,
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        await eventually(lambda: noted(journal, "start"), "the start of the work")
        server.process.terminate()
        await server.said("draining")
        async with Client(server.address) as client:
            await eventually_answered(lambda: is_ending(client), "the status of a drain")
        assert server.running
        gate.touch()
        assert await server.ended() == 0
    assert len(noted(journal, "end", task.metadata.id)) == 1
    async with Server(store) as server, Office(server.address) as office:
        done = await office.get(task.metadata.id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)


async def test_embedded_work_that_outlives_its_grace_is_done_by_the_next_server(
    store: Path, journal: Path, gate: Path
) -> None:
    environment = dockhand_environment(journal)
    async with (
        Server(store, *EMBEDDED, "--grace", "0.2s", environment=environment) as server,
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        await eventually(lambda: noted(journal, "start"), "the start of the work")
        assert await server.terminate() == 0
    assert noted(journal, "stop", task.metadata.id)
    gate.touch()
    async with (
        Server(store, *EMBEDDED, environment=environment) as server,
        Office(server.address) as office,
    ):
        done = await office.ended(task.metadata.id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 2)
        check_everything(await office.history(), most_attempts=2)


async def test_a_second_signal_ends_the_server_at_once(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store, *EMBEDDED, environment=dockhand_environment(journal)) as server,
        Office(server.address) as office,
    ):
        await office.submit("hold", gate=str(gate))
        await eventually(lambda: noted(journal, "start"), "the start of the work")
        server.process.terminate()
        await server.said("draining")
        assert await server.terminate() != 0


async def test_a_worker_elsewhere_outlives_the_drain_and_goes_on_with_the_next_server(
    store: Path, journal: Path, gate: Path
) -> None:
    async with (
        Server(store, listen=steady_address()) as first,
        Dockhand(first.address, journal) as worker,
    ):
        async with Office(first.address) as office:
            task = await office.submit("hold", gate=str(gate))
        await eventually(lambda: noted(journal, "start"), "the start of the work")
        assert await first.terminate() == 0
        assert worker.running
        async with (
            Server(store, listen=first.address) as second,
            Office(second.address) as office,
        ):
            gate.touch()
            done = await office.ended(task.metadata.id)
        assert (done.status.state, done.status.attempt) == (State.STATE_SUCCEEDED, 1)
        check_nothing_ran_twice(journal)


async def test_a_drained_worker_finishes_its_work_and_hands_back_the_rest(
    store: Path, journal: Path, gate: Path
) -> None:
    async with Server(store) as server, Office(server.address) as office:
        async with Dockhand(server.address, journal, slots=1) as worker:
            held = await office.submit("hold", gate=str(gate))
            waits = await office.submit("quick")
            await eventually(lambda: noted(journal, "start"), "the start of the work")
            worker.process.terminate()
            await worker.said("draining")
            gate.touch()
            assert await worker.ended() == 0
        done = await office.get(held.metadata.id)
        assert done.status.state == State.STATE_SUCCEEDED
        left = await office.get(waits.metadata.id)
        assert (left.status.state, left.status.attempt) == (State.STATE_QUEUED, 0)
        async with Dockhand(server.address, journal):
            done = await office.ended(waits.metadata.id)
            assert done.status.attempt == 1


async def test_a_client_hardly_notices_that_its_server_is_replaced(store: Path) -> None:
    async with (
        Server(store, listen=steady_address()) as first,
        Client(first.address) as client,
    ):
        submits = [
            asyncio.create_task(client.tasks.submit("quick", allow_unregistered=True))
            for _ in range(200)
        ]
        await submits[0]
        assert await first.terminate() == 0
        async with Server(store, listen=first.address) as second:
            handles = await within(asyncio.gather(*submits), "all answers")
            async with Office(second.address) as office:
                tasks = await office.all_tasks()
    assert {task.metadata.id for task in tasks} == {handle.id for handle in handles}
    assert len(tasks) == 200

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import grpc.aio
import pytest

from longshore.v1.operation_pb2 import State
from tests.acceptance.checkers import check_everything, ends, is_lease
from tests.acceptance.journal import noted
from tests.acceptance.office import Office, all_ended, reason_of, retry
from tests.acceptance.processes import Dockhand, Server
from tests.acceptance.waiting import eventually

SLOTS = 4


class Harbour(NamedTuple):
    """A server with one worker, which all tests of this module share."""

    address: str
    journal: Path


@pytest.fixture(scope="module")
async def harbour(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harbour]:
    folder = tmp_path_factory.mktemp("ends")
    journal = folder / "journal"
    async with (
        Server(folder / "longshore.db") as server,
        Dockhand(server.address, journal, slots=SLOTS),
        Office(server.address) as office,
    ):
        await office.connected()
        yield Harbour(server.address, journal)
        check_everything(await office.history(), most_attempts=4)


@pytest.fixture
async def office(harbour: Harbour) -> AsyncIterator[Office]:
    async with Office(harbour.address) as caller:
        yield caller


async def begun(harbour: Harbour, task_id: str) -> None:
    await eventually(lambda: noted(harbour.journal, "start", task_id), "the start of work")


async def submit_many(office: Office, action: str, count: int, **how: object) -> list[str]:
    submits = [office.submit(action, **how) for _ in range(count)]  # type: ignore[arg-type]
    return [task.metadata.id for task in await asyncio.gather(*submits)]


async def test_work_is_done_once(harbour: Harbour, office: Office) -> None:
    ids = await submit_many(office, "quick", 100)
    done = await all_ended(office, ids)
    assert {task.status.state for task in done.values()} == {State.STATE_SUCCEEDED}
    assert {task.status.attempt for task in done.values()} == {1}
    for task_id in ids:
        assert len(noted(harbour.journal, "start", task_id)) == 1


async def test_slots_are_never_exceeded(office: Office) -> None:
    before = await office.revision()
    await all_ended(office, await submit_many(office, "quick", 100))
    running = most = 0
    for event in await office.history(after=before):
        if event.HasField("state_changed"):
            running += 1 if is_lease(event) else -1
            most = max(most, running)
    assert most == SLOTS


async def test_failing_work_is_tried_as_often_as_it_may_be(
    harbour: Harbour, office: Office
) -> None:
    ids = await submit_many(office, "fail", 5, options=retry(4))
    done = await all_ended(office, ids)
    assert {task.status.state for task in done.values()} == {State.STATE_FAILED}
    assert all("crane is broken" in task.status.error.message for task in done.values())
    for task_id in ids:
        assert len(noted(harbour.journal, "start", task_id)) == 4


async def test_a_cancel_lets_a_success_win_that_comes_before_the_end(
    harbour: Harbour, office: Office, gate: Path
) -> None:
    obedient = await office.submit("hold", gate=str(gate))
    stubborn = await office.submit("stubborn", gate=str(gate))
    forced = await office.submit("stubborn", gate=str(gate))
    for task in (obedient, stubborn, forced):
        await begun(harbour, task.metadata.id)
    for task in (obedient, stubborn):
        canceling = await office.cancel(task.metadata.id)
        assert canceling.status.cancel_requested
    await office.cancel(forced.metadata.id, force=True)
    done = await office.ended(obedient.metadata.id)
    assert done.status.state == State.STATE_CANCELED
    gate.touch()
    done = await office.ended(stubborn.metadata.id)
    assert done.status.state == State.STATE_SUCCEEDED
    await eventually(lambda: noted(harbour.journal, "end", forced.metadata.id), "an end")
    # The slots are free again, so what was forced has been reported meanwhile.
    await all_ended(office, await submit_many(office, "quick", 2 * SLOTS))
    assert (await office.get(forced.metadata.id)).status.state == State.STATE_CANCELED


@pytest.mark.parametrize("force", [False, True])
async def test_a_cancel_after_the_end_is_refused_and_changes_nothing(
    office: Office, force: bool
) -> None:
    task = await office.submit("quick")
    done = await office.ended(task.metadata.id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await office.cancel(task.metadata.id, force=force)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(refused.value) == "WRONG_STATE"
    assert await office.get(task.metadata.id) == done


async def test_cancels_that_race_with_ends_leave_one_end_each(office: Office) -> None:
    rng = random.Random(3)
    refusals: set[str] = set()
    before = await office.revision()

    async def raced() -> str:
        task_id = (await office.submit("quick")).metadata.id
        # The moment is the fault; any will do.
        await asyncio.sleep(rng.uniform(0, 0.02 + len(ids) / 10_000))
        try:
            await office.cancel(task_id, force=rng.random() < 0.5)
        except grpc.aio.AioRpcError as error:
            refusals.add(reason_of(error))
        return task_id

    ids: list[str] = []
    both = {State.STATE_SUCCEEDED, State.STATE_CANCELED}
    done = await all_ended(office, ids)
    while (
        {task.status.state for task in done.values()} != both or not refusals or len(ids) < 300
    ):
        ids += await asyncio.gather(*(raced() for _ in range(30)))
        done = await all_ended(office, ids)
    assert refusals == {"WRONG_STATE"}
    told = ends(await office.history(after=before))
    assert {one: task.status.state for one, task in done.items()} == told

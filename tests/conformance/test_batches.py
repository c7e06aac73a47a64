"""Batches: refusals disturb nobody, faults fail the guilty alone, and a full disk is said."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Submitted, Suspend
from longshore.core.errors import OperationNotFound, StoreUnavailable, WrongState
from longshore.core.operations import State
from tests.conformance.codec import request_for
from tests.conformance.world import World, done, new_id, numbers, report_change, submit_change

ME = Caller("default", "ada")

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("a text that is none", {"attributes": "\ud800"}),
    ("a number that does not fit", {"priority": 2**70}),
    ("a value of no type", {"traceparent": object()}),
]


async def test_outcomes_come_in_the_order_of_the_changes(world: World) -> None:
    first, second = submit_change(), submit_change()
    applied = await world.apply(
        first, Cancel(ME, first.id), Cancel(ME, first.id), Suspend(ME, new_id()), second
    )
    kinds = [type(outcome).__name__ for outcome in applied.outcomes]
    assert kinds == ["Submitted", "Operation", "WrongState", "OperationNotFound", "Submitted"]


async def test_a_refusal_disturbs_nobody(world: World) -> None:
    running = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    applied = await world.apply(
        submit_change(),
        Suspend(ME, running.id),
        report_change(session, assignment, done()),
        Cancel(ME, 99),
    )
    assert isinstance(applied.outcomes[1], WrongState)
    assert isinstance(applied.outcomes[3], OperationNotFound)
    assert (await world.see(running)).state == State.SUCCEEDED
    assert numbers(await world.find()) == [2, 1]


async def test_an_empty_batch_does_nothing(world: World) -> None:
    applied = await world.apply()
    assert (applied.outcomes, applied.events, applied.revision) == ([], [], 0)


@pytest.mark.parametrize("what, broken", BROKEN)
async def test_a_change_that_cannot_be_written_fails_alone(
    world: World, what: str, broken: dict[str, Any]
) -> None:
    guilty = submit_change()._replace(**broken)
    applied = await world.apply(submit_change(), guilty, submit_change())
    assert isinstance(applied.outcomes[1], Exception), what
    assert not isinstance(applied.outcomes[1], StoreUnavailable)
    assert numbers(await world.find()) == [2, 1]
    assert list(applied.created()) == [1, 2]


@pytest.mark.parametrize("what, broken", BROKEN)
async def test_a_change_that_cannot_be_written_fails_when_it_is_alone(
    world: World, what: str, broken: dict[str, Any]
) -> None:
    applied = await world.apply(submit_change()._replace(**broken))
    assert isinstance(applied.outcomes[0], Exception), what
    assert await world.submit()


async def test_an_id_that_exists_already_fails_its_change_alone(world: World) -> None:
    operation = await world.submit()
    applied = await world.apply(submit_change()._replace(id=operation.id), submit_change())
    assert isinstance(applied.outcomes[0], ValueError)
    assert isinstance(applied.outcomes[1], Submitted)
    assert numbers(await world.find()) == [2, 1]


async def test_a_decision_that_breaks_fails_alone(world: World) -> None:
    broken = await world.submit(request=b"no request")
    session = await world.open_session()
    with pytest.raises(ValueError, match="Expecting value"):
        await world.lease(session)
    assert await world.see(broken) == broken
    applied = await world.apply(Cancel(ME, broken.id), submit_change())
    assert not any(isinstance(outcome, Exception) for outcome in applied.outcomes)


async def test_a_full_disk_is_said_and_loses_nothing(world: World) -> None:
    kept = await world.submit()
    large = request_for("scan", padding="x" * 500_000)
    with world.disk_full():
        with pytest.raises(StoreUnavailable):
            await world.store.apply([submit_change(request=large)])
        with pytest.raises(StoreUnavailable):
            await world.store.apply([submit_change(request=large) for _ in range(3)])
        assert await world.see(kept) == kept
        assert numbers(await world.find()) == [kept.number]
    assert (await world.submit(request=large)).number == kept.number + 1


async def test_what_still_fits_on_a_full_disk_is_done(world: World) -> None:
    kept = await world.submit()
    large = submit_change(request=request_for("scan", padding="x" * 500_000))
    with world.disk_full():
        applied = await world.apply(large, Cancel(ME, kept.id), Cancel(ME, 99))
    refused, canceled, unknown = applied.outcomes
    assert isinstance(refused, StoreUnavailable)
    assert isinstance(unknown, OperationNotFound)
    assert canceled == await world.see(kept)


async def test_what_is_being_committed_is_kept_although_its_caller_is_gone(
    world: World,
) -> None:
    applying = asyncio.create_task(world.store.apply([submit_change()]))
    await asyncio.sleep(0)
    applying.cancel()
    with contextlib.suppress(asyncio.CancelledError):  # It may have been done already.
        await applying
    applied = await world.store.apply([submit_change()])
    assert [event.revision for event in applied.events] == [2]
    assert numbers(await world.find()) == [2, 1]


async def test_readers_see_a_batch_whole_or_not_at_all(world: World) -> None:
    async def read() -> set[int]:
        listed = {len((await world.find(limit=1_000)).records) for _ in range(30)}
        replayed = {len(await world.events()) for _ in range(30)}
        return listed | replayed

    reading = asyncio.create_task(read())
    for _ in range(10):
        await world.store.apply([submit_change() for _ in range(20)])
    assert all(count % 20 == 0 for count in await reading)

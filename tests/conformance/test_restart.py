"""Restart: what was applied is there, what a worker holds is still its own."""

from __future__ import annotations

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Publication
from longshore.core.errors import StoreUnavailable
from longshore.core.operations import Part, State
from longshore.core.policies import Policy
from longshore.core.reports import Reported
from tests.conformance.world import DAY, NOON, SECOND, World, done, failed, numbers

ME = Caller("default", "ada")


async def test_everything_is_as_it_was(world: World) -> None:
    await world.submit(key="k", attributes={"labels": {"team": "a"}})
    await world.submit("bag", queue="night", priority=3)
    session = await world.open_session(services=[Publication("archive", b"v1")], slots=4)
    await world.report(session, await world.lease_one(session), done(x=1))
    await world.submit(not_before=NOON + DAY)
    page = await world.find(parts=tuple(Part))
    events = await world.events()
    catalog = await world.store.catalog()
    counts = await world.store.counts("default")
    await world.reopen()
    assert await world.find(parts=tuple(Part)) == page
    assert await world.events() == events
    assert await world.store.catalog() == catalog
    assert await world.store.counts("default") == counts


async def test_waiting_work_is_leased_after_a_restart(world: World) -> None:
    for priority in (0, 1):
        await world.submit(priority=priority)
    await world.reopen()
    session = await world.open_session()
    assert numbers(await world.lease(session, free=5)) == [2, 1]


async def test_a_worker_keeps_its_lease_over_a_restart(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.reopen()
    resumed = await world.open_session()
    assert resumed.resumed
    assert resumed.held == [assignment]
    assert await world.report(resumed, assignment, done()) == Reported(ended=True)
    assert (await world.see(operation)).state == State.SUCCEEDED


async def test_a_key_is_known_after_a_restart(world: World) -> None:
    operation = await world.submit(key="k")
    await world.reopen()
    assert (await world.submit(key="k")) == operation


async def test_what_is_due_is_known_after_a_restart(world: World) -> None:
    await world.submit(not_before=NOON + SECOND)
    failing = await world.submit(policy=Policy(initial_backoff=5 * SECOND))
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), failed())
    await world.reopen()
    assert (await world.apply()).next_wake == NOON + SECOND
    world.pass_time(5 * SECOND)
    await world.wake()
    assert numbers(await world.lease(session, free=5)) == [1, failing.number]


async def test_a_closed_store_says_so(world: World) -> None:
    await world.store.close()
    await world.store.close()
    with pytest.raises(StoreUnavailable):
        await world.store.get("default", [1])
    with pytest.raises(StoreUnavailable):
        await world.store.apply([Cancel(ME, 1)])
    await world.open()

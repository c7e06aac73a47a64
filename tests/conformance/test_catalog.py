"""The small state of the installation: modes, queues, lanes, services, sessions."""

from __future__ import annotations

import json

from longshore.core.callers import SERVER
from longshore.core.changes import Mode, SetMode
from longshore.core.events import EventKind
from longshore.core.installation import Queue
from longshore.core.lanes import Lane
from tests.conformance.world import World, submit_change


async def test_a_new_store_is_active_and_empty(world: World) -> None:
    catalog = await world.store.catalog()
    assert (catalog.revision, catalog.compacted) == (0, 0)
    assert catalog.mode == Mode.ACTIVE
    assert catalog.resume_on_restart
    assert not catalog.services
    assert not catalog.sessions
    assert not catalog.lanes
    assert not catalog.queues
    assert not catalog.contracts
    assert not catalog.schedules


async def test_a_mode_is_kept_and_told_once(world: World) -> None:
    change = SetMode(SERVER, Mode.MAINTENANCE, resume_on_restart=False)
    applied = await world.apply(change, change)
    (event,) = applied.events
    assert (event.kind, event.number) == (EventKind.MODE, 0)
    assert json.loads(event.detail or "") == {
        "mode": "MAINTENANCE",
        "resume_on_restart": False,
    }
    await world.reopen()
    catalog = await world.store.catalog()
    assert (catalog.mode, catalog.resume_on_restart) == (Mode.MAINTENANCE, False)


async def test_equal_queues_and_sets_of_actions_share_a_lane(world: World) -> None:
    await world.apply(
        submit_change(actions=["a", "b"]),
        submit_change(actions=["b", "a"]),
        submit_change(actions=["a"]),
        submit_change(actions=["a"], queue="night"),
        submit_change(actions=["a"], tenant="acme"),
    )
    await world.submit(actions=["a"])
    assert (await world.store.catalog()).lanes == {
        1: Lane(1, "default", "default", ("a", "b")),
        2: Lane(2, "default", "default", ("a",)),
        3: Lane(3, "default", "night", ("a",)),
        4: Lane(4, "acme", "default", ("a",)),
    }


async def test_who_submits_names_no_queue(world: World) -> None:
    await world.submit(queue="asked-for")
    await world.open_session(queues=["served"])
    assert (await world.store.catalog()).queues == {("default", "served"): Queue()}


async def test_the_catalog_carries_the_revision_of_its_snapshot(world: World) -> None:
    await world.submit()
    assert (await world.store.catalog()).revision == 1

"""Schedules: kept as they were sent, and fired once for each due time."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from longshore.core.callers import SERVER, Account, Caller
from longshore.core.catalog_changes import (
    ApplySchedule,
    DeleteSchedule,
    DeregisterAccount,
    RegisterAccount,
)
from longshore.core.changes import FireSchedule, Mode, SetMode, Submit, Submitted
from longshore.core.errors import (
    AccountNotFound,
    Maintenance,
    RequestIdReused,
    ScheduleNotFound,
)
from longshore.core.events import EventKind
from longshore.core.installation import Schedule
from tests.conformance.world import HOUR, NOON, World, numbers, submit_change

ME = Caller("default", "ada")
DUE = NOON + HOUR


def apply(document: bytes = b"v1", due: int | None = DUE, name: str = "hourly") -> Any:
    return ApplySchedule(ME, name, document, due)


def fire(*submits: Submit, due: int = DUE, document: bytes = b"v1") -> FireSchedule:
    return FireSchedule(ME, "hourly", document, due, submits, due + HOUR)


async def kept(world: World) -> dict[tuple[str, str], Schedule]:
    return dict((await world.store.catalog()).schedules)


async def test_a_schedule_is_kept_and_told(world: World) -> None:
    applied = await world.apply(apply())
    schedule = Schedule(b"v1", "ada", DUE)
    assert applied.outcomes == [schedule]
    (event,) = applied.events
    assert (event.kind, event.number) == (EventKind.CATALOG, 0)
    assert json.loads(event.detail or "") == {"schedule": "hourly"}
    await world.reopen()
    assert await kept(world) == {("default", "hourly"): schedule}


async def test_the_same_document_again_changes_nothing(world: World) -> None:
    await world.do(apply())
    applied = await world.apply(apply(due=DUE + HOUR))
    assert (applied.outcomes, applied.events) == ([Schedule(b"v1", "ada", DUE)], [])


async def test_another_document_keeps_what_was_submitted_last(world: World) -> None:
    await world.do(apply())
    (submitted,) = cast("list[Submitted]", await world.do(fire(submit_change())))
    changed = await world.do(apply(b"v2", None))
    assert changed == Schedule(b"v2", "ada", None, submitted.operation.id)


async def test_a_schedule_is_deleted_and_told(world: World) -> None:
    await world.do(apply())
    applied = await world.apply(DeleteSchedule(ME, "hourly"), DeleteSchedule(ME, "hourly"))
    assert applied.outcomes[0] is None
    assert isinstance(applied.outcomes[1], ScheduleNotFound)
    assert len(applied.events) == 1
    await world.reopen()
    assert await kept(world) == {}


async def test_what_is_due_is_submitted_once_however_many_ask(world: World) -> None:
    await world.do(apply())
    applied = await world.apply(fire(submit_change()), fire(submit_change()))
    first, second = applied.outcomes
    assert [one.created for one in cast("list[Submitted]", first)] == [True]
    assert second is None
    await world.reopen()
    assert await world.do(fire(submit_change())) is None
    assert numbers(await world.find()) == [1]
    (record,) = await world.store.get("default", [1])
    assert record is not None
    assert await kept(world) == {
        ("default", "hourly"): Schedule(b"v1", "ada", DUE + HOUR, record.operation.id)
    }


async def test_the_next_due_time_is_fired_in_its_turn(world: World) -> None:
    await world.do(apply())
    await world.do(fire(submit_change()))
    (submitted,) = await world.do(fire(submit_change(), due=DUE + HOUR))
    schedule = (await kept(world))["default", "hourly"]
    assert (schedule.next_time, schedule.last_id) == (DUE + 2 * HOUR, submitted.operation.id)


@pytest.mark.parametrize(
    "other", [{"due": DUE + 1}, {"document": b"v0"}], ids=["due time", "document"]
)
async def test_what_has_changed_meanwhile_is_not_fired(
    world: World, other: dict[str, Any]
) -> None:
    await world.do(apply())
    assert await world.do(fire(submit_change(), **other)) is None
    assert numbers(await world.find()) == []


async def test_what_was_deleted_meanwhile_is_not_fired(world: World) -> None:
    await world.do(apply())
    applied = await world.apply(DeleteSchedule(ME, "hourly"), fire(submit_change()))
    assert applied.outcomes[1] is None


async def test_missed_times_are_submitted_together_or_skipped(world: World) -> None:
    await world.do(apply())
    done = await world.do(fire(submit_change(), submit_change()))
    assert [one.operation.number for one in done] == [1, 2]
    assert await world.do(fire(due=DUE + HOUR)) == []
    schedule = (await kept(world))["default", "hourly"]
    assert schedule.next_time == DUE + 2 * HOUR
    assert schedule.last_id == done[1].operation.id


async def test_a_due_time_with_a_key_finds_what_was_submitted_for_it(world: World) -> None:
    earlier = await world.submit(key="hourly-1")
    await world.do(apply())
    (found,) = await world.do(fire(submit_change(key="hourly-1")))
    assert (found.created, found.operation) == (False, earlier)


async def test_maintenance_leaves_a_schedule_untouched(world: World) -> None:
    await world.do(apply())
    await world.do(SetMode(SERVER, Mode.MAINTENANCE))
    assert isinstance(await world.refused(fire(submit_change())), Maintenance)
    assert (await kept(world))["default", "hourly"].next_time == DUE
    await world.do(SetMode(SERVER, Mode.ACTIVE))
    assert len(await world.do(fire(submit_change()))) == 1


async def test_a_refused_submit_lets_none_of_the_others_be(world: World) -> None:
    await world.do(apply())
    ocr = Account("ocr", "ada@example.org")
    await world.do(RegisterAccount(ME, ocr))
    await world.submit(key="k", digest=b"one")
    refused: list[tuple[Submit, type[Exception]]] = [
        (submit_change(account=Account("ocr", "nobody")), AccountNotFound),
        (submit_change(key="k", digest=b"two"), RequestIdReused),
    ]
    for submit, error in refused:
        change = fire(submit_change(account=ocr), submit)
        applied = await world.apply(change, submit_change(key="another batch"))
        assert isinstance(applied.outcomes[0], error)
        assert (await kept(world))["default", "hourly"] == Schedule(b"v1", "ada", DUE)
    assert numbers(await world.find()) == [2, 1]
    await world.do(DeregisterAccount(ME, ocr))
    assert isinstance(await world.refused(fire(submit_change(account=ocr))), AccountNotFound)


async def test_a_schedule_belongs_to_its_tenant(world: World) -> None:
    await world.do(apply()._replace(caller=Caller("acme", "bob")))
    assert await world.do(fire(submit_change())) is None
    assert isinstance(await world.refused(DeleteSchedule(ME, "hourly")), ScheduleNotFound)

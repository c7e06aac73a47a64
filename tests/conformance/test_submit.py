"""Submitting: durable, in order, and once per key."""

from __future__ import annotations

from typing import Any, cast

import pytest

from longshore.core.callers import SERVER, Caller
from longshore.core.changes import Key, Mode, Recall, SetMode, Submitted, Wake
from longshore.core.errors import Maintenance, RequestIdReused
from longshore.core.events import EventKind
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Part, State
from longshore.core.policies import Policy
from tests.conformance.codec import request_for
from tests.conformance.world import (
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    numbers,
    submit_change,
)


async def test_a_submitted_operation_is_found_as_it_was_sent(world: World) -> None:
    change = submit_change(
        request=request_for("scan", path="/data"),
        kind=Kind.LAUNCH,
        queue="night",
        priority=7,
        policy=Policy(max_attempts=5),
        traceparent="00-trace",
        facts_request_id="req-1",
        attributes={"name": "nightly", "labels": {"team": "ingest"}},
    )
    submitted = await world.do(change)
    (record,) = await world.store.get("default", [change.id], [Part.REQUEST])
    assert record is not None
    assert record.operation == submitted.operation
    assert record.facts == submitted.facts
    assert record.queue == "night"
    assert record.documents == {Part.REQUEST: change.request}
    assert record.operation.kind == Kind.LAUNCH
    assert record.operation.state == State.QUEUED
    assert record.operation.priority == 7
    assert record.operation.policy == Policy(max_attempts=5).encode()
    assert record.operation.update_time == NOON
    assert record.facts.submitter == "ada"
    assert record.facts.create_time == NOON
    assert record.facts.traceparent == "00-trace"
    assert record.facts.request_id == "req-1"
    assert record.facts.attributes == change.attributes


async def test_numbers_and_revisions_grow_by_one(world: World) -> None:
    applied = await world.apply(*(submit_change() for _ in range(3)))
    submitted = cast("list[Submitted]", applied.outcomes)
    assert [one.operation.number for one in submitted] == [1, 2, 3]
    assert [one.operation.revision for one in submitted] == [1, 2, 3]
    assert [event.kind for event in applied.events] == [EventKind.SUBMITTED] * 3
    created = applied.created()
    assert list(created) == [1, 2, 3]
    assert list(created.values()) == await world.store.get("default", [1, 2, 3])


async def test_operations_are_found_in_the_order_asked_for(world: World) -> None:
    first, second = await world.submit(), await world.submit()
    found = await world.store.get("default", [second.id, 99, first.number, second.number])
    assert [one and one.operation.number for one in found] == [2, None, 1, 2]


async def test_ten_thousand_operations_are_found_at_once(world: World) -> None:
    for _ in range(2):
        await world.apply(*(submit_change() for _ in range(600)))
    wanted = range(1, 10_001)
    found = await world.store.get("default", wanted)
    assert [one.operation.number for one in found if one] == list(range(1, 1_201))
    assert found[1_200:] == [None] * 8_800


async def test_another_tenant_finds_nothing(world: World) -> None:
    operation = await world.submit(tenant="acme")
    assert await world.store.get("default", [operation.id, operation.number]) == [None, None]


async def test_a_repeated_key_finds_the_first_operation(world: World) -> None:
    first = await world.do(submit_change(key="k"))
    again = await world.do(submit_change(key="k"))
    assert first.created
    assert not again.created
    assert (again.operation, again.facts) == (first.operation, first.facts)
    assert numbers(await world.find()) == [1]


async def test_of_two_simultaneous_submits_with_one_key_the_second_finds_the_first(
    world: World,
) -> None:
    applied = await world.apply(submit_change(key="k"), submit_change(key="k"))
    first, second = cast("list[Submitted]", applied.outcomes)
    assert (first.created, second.created) == (True, False)
    assert second.operation == first.operation
    assert len(applied.events) == 1


async def test_a_key_finds_the_operation_as_it_is_now(world: World) -> None:
    await world.submit(key="k")
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), done())
    again = await world.do(submit_change(key="k"))
    assert again.operation.state == State.SUCCEEDED


async def test_a_key_with_another_body_is_refused(world: World) -> None:
    operation = await world.submit(key="k", digest=b"one")
    refusal = await world.refused(submit_change(key="k", digest=b"two"))
    assert isinstance(refusal, RequestIdReused)
    assert refusal.facts == {"request_id": "k", "operation_id": text_of(operation.id)}


async def test_a_key_with_another_body_is_refused_in_the_same_batch(world: World) -> None:
    applied = await world.apply(
        submit_change(key="k", digest=b"one"), submit_change(key="k", digest=b"two")
    )
    assert isinstance(applied.outcomes[1], RequestIdReused)


@pytest.mark.parametrize("other", [{"tenant": "acme"}, {"principal": "bob"}, {"key": "K"}])
async def test_a_key_belongs_to_tenant_and_submitter(
    world: World, other: dict[str, Any]
) -> None:
    await world.submit(key="k")
    asked: dict[str, Any] = {"key": "k", **other}
    again = await world.do(submit_change(**asked))
    assert again.created


async def test_a_key_is_free_again_once_its_operation_has_expired(world: World) -> None:
    operation = await world.submit(key="k", policy=Policy(expire_after=10 * MINUTE))
    session = await world.open_session()
    await world.report(session, await world.lease_one(session), done())
    world.pass_time(10 * MINUTE)
    applied = await world.apply(Wake(), submit_change(key="k"), submit_change(key="k"))
    _, anew, again = cast("list[Submitted]", applied.outcomes)
    assert anew.created
    assert anew.operation.number > operation.number
    assert not again.created
    assert not (await world.do(submit_change(key="k"))).created


async def test_maintenance_refuses_new_work_but_finds_what_was_submitted(world: World) -> None:
    await world.submit(key="k")
    await world.do(SetMode(SERVER, Mode.MAINTENANCE))
    assert isinstance(await world.refused(submit_change()), Maintenance)
    assert not (await world.do(submit_change(key="k"))).created


async def test_what_was_submitted_with_a_key_is_recalled(world: World) -> None:
    operation = await world.submit(key="k", digest=b"one")
    ada = Caller(principal="ada")
    found = await world.do(Recall(ada, Key("k", b"one"), None))
    assert (found.operation, found.created) == (operation, False)
    assert await world.do(Recall(ada, Key("other", b"one"), "external")) is None
    assert await world.do(Recall(Caller(principal="bob"), Key("k", b"one"), None)) is None
    refusal = await world.refused(Recall(ada, Key("k", b"two"), None))
    assert isinstance(refusal, RequestIdReused)


async def test_work_that_is_submitted_suspended_is_not_leased(world: World) -> None:
    operation = await world.submit(suspended=True)
    session = await world.open_session()
    assert operation.state == State.SUSPENDED
    assert await world.lease(session) == []


async def test_a_start_time_in_the_past_is_none(world: World) -> None:
    operation = await world.submit(not_before=NOON - SECOND)
    assert operation.waiting


async def test_submits_are_told_to_history(world: World) -> None:
    operation = await world.submit()
    (event,) = await world.history(operation)
    assert (event.kind, event.state) == (EventKind.SUBMITTED, State.QUEUED)
    assert (event.id, event.tenant, event.operation_kind) == (operation.id, "default", 1)
    assert event.time == NOON

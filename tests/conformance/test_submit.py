"""Submitting: durable, counted, and once per key."""

from __future__ import annotations

from longshore.core.changes import Submitted
from longshore.core.events import EventKind
from longshore.core.operations import Part, State
from longshore.core.policies import Policy
from tests.conformance.codec import request_for
from tests.conformance.world import NOON, World, numbers, submit_change


async def test_a_submitted_operation_is_found_as_it_was_sent(world: World) -> None:
    change = submit_change(
        request=request_for("scan", path="/data"),
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
    assert record.queue == "default"
    assert record.documents == {Part.REQUEST: change.request}
    assert record.operation.state == State.QUEUED
    assert record.operation.priority == 7
    assert record.operation.policy == Policy(max_attempts=5).encode()
    assert record.facts.submitter == "ada"
    assert record.facts.create_time == NOON
    assert record.facts.traceparent == "00-trace"
    assert record.facts.request_id == "req-1"


async def test_numbers_and_revisions_grow_by_one(world: World) -> None:
    applied = await world.apply(*(submit_change() for _ in range(3)))
    operations = [
        outcome.operation for outcome in applied.outcomes if isinstance(outcome, Submitted)
    ]
    assert [one.number for one in operations] == [1, 2, 3]
    assert [one.revision for one in operations] == [1, 2, 3]
    assert [event.kind for event in applied.events] == [EventKind.SUBMITTED] * 3
    assert sorted(applied.created) == [1, 2, 3]


async def test_a_repeated_key_finds_the_first_operation(world: World) -> None:
    first = await world.do(submit_change(key="k"))
    again = await world.do(submit_change(key="k"))
    assert first.created
    assert not again.created
    assert again.operation == first.operation
    assert again.facts == first.facts
    assert numbers(await world.find()) == [1]

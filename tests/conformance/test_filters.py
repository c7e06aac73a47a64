"""Filters: a list finds what the same filter matches in memory, whatever is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.callers import Caller
from longshore.core.changes import Cancel
from longshore.core.fields import FieldType, field_named
from longshore.core.filters import (
    And,
    Compare,
    Filter,
    Not,
    Or,
    Pattern,
    Present,
    matches,
)
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Record, State
from longshore.core.policies import Policy
from tests.conformance.world import (
    NOON,
    SECOND,
    World,
    done,
    failed,
    numbers,
    submit_change,
)

ME = Caller("default", "ada")

#: Texts with every character that SQL gives a meaning to, and one that it folds.
TEXTS = ["a", "A", "ab", "a%b", "a_b", "a*b", "a[b]", "a?b", "ä", "Ä", "'", '"', "a\\b", "1"]
LABELS = ["team", "a.b", 'qu"ote', "back\\slash", "labels", "ü", "x'y", "1", "$"]


def fact(record: Record) -> dict[str, Any]:
    """Return all fields of a record that are set."""
    operation, facts, queue, _ = record
    attributes = json.loads(facts.attributes or "{}")
    labels = attributes.pop("labels", {})
    ended = operation.state >= State.FAILED
    fields = {
        "id": text_of(operation.id),
        "number": operation.number,
        "submitter": facts.submitter,
        "request_id": facts.request_id,
        "create_time": facts.create_time,
        "kind": operation.kind,
        "state": operation.state,
        "queue": queue,
        "priority": operation.priority,
        "cancel_requested": bool(operation.cancel),
        "update_time": operation.update_time,
        "start_time": operation.start_time,
        "end_time": operation.end_time,
        "expire_time": operation.wake_time if ended else None,
        **attributes,
        **{f"labels.{name}": value for name, value in labels.items()},
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


async def populate(world: World) -> dict[int, dict[str, Any]]:
    """Make operations that differ in every field; return their fields by number."""
    for number, text in enumerate(TEXTS):
        await world.apply(
            submit_change(
                principal=text,
                kind=(Kind.TASK, Kind.JOB)[number % 2],
                queue=text,
                priority=number % 10,
                facts_request_id=text if number % 3 else "",
                policy=Policy(max_attempts=1 + number % 2),
                attributes=None
                if number == 4
                else {
                    "name": text,
                    "template_id": number - 3,
                    "dfiid": text_of(bytes([number] * 16)),
                    "labels": {LABELS[number % len(LABELS)]: text, "all": TEXTS[-number]},
                },
            )
        )
        world.pass_time(SECOND)
    session = await world.open_session(queues=TEXTS[:6])
    leased = await world.lease(session, free=6)
    await world.report(session, leased[0], done())
    await world.report(session, leased[1], failed(permanent=True))
    await world.report(session, leased[2], failed())
    await world.do(Cancel(ME, leased[3].operation.id))
    await world.do(Cancel(ME, 14))
    records = (await world.find()).records
    assert len(records) == len(TEXTS)
    return {record.operation.number: fact(record) for record in records}


FIELDS = [
    "id",
    "number",
    "submitter",
    "request_id",
    "create_time",
    "kind",
    "state",
    "queue",
    "priority",
    "cancel_requested",
    "update_time",
    "start_time",
    "end_time",
    "expire_time",
    "name",
    "template_id",
    "dfiid",
    "labels.all",
    "labels.none",
    *(f"labels.{name}" for name in LABELS),
]


def comparisons(known: dict[int, dict[str, Any]]) -> st.SearchStrategy[Filter]:
    """Return comparisons of all fields with values that occur, and with some that do not."""

    def compare(field: str) -> st.SearchStrategy[Filter]:
        kind = field_named(field).type
        occurring = sorted({fields[field] for fields in known.values() if field in fields})
        if kind in (FieldType.TEXT, FieldType.ID):
            others: list[Any] = TEXTS if kind is FieldType.TEXT else [text_of(bytes(16))]
        else:
            others = [0, 1] if kind is FieldType.BOOL else [0, 2, NOON + SECOND]
        values = st.sampled_from([*occurring, *others])
        exact = kind in (FieldType.ID, FieldType.BOOL, FieldType.KIND)
        operators = st.sampled_from(["="] if exact else ["=", "<", "<=", ">", ">="])
        either = [st.builds(Compare, st.just(field), operators, values)]
        if kind in (FieldType.TEXT, FieldType.ID):
            either.append(st.builds(Compare, st.just(field), st.just("="), patterns(values)))
        return st.one_of(st.just(Present(field)), *either)

    return st.sampled_from(FIELDS).flatmap(compare)


def patterns(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Pattern]:
    cut = st.tuples(texts, st.integers(0, 2), st.integers(1, 3)).map(
        lambda drawn: drawn[0][drawn[1] : drawn[1] + drawn[2]] or drawn[0]
    )
    ends = st.sampled_from([(True, False), (False, True), (True, True)])
    return st.tuples(cut, ends).map(lambda drawn: Pattern(drawn[0], *drawn[1]))


def trees(leaves: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


async def test_a_list_finds_what_its_filter_matches(world: World) -> None:
    known = await populate(world)
    wanted: list[Filter] = []

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(trees(comparisons(known)))
    def draw(one: Filter) -> None:
        wanted.append(one)

    draw()
    for one in wanted:
        found = numbers(await world.find(one, limit=1_000))
        expected = [number for number in known if matches(one, known[number].get)]
        assert found == expected, one


@pytest.mark.parametrize(
    "wanted, found",
    [
        (Compare("name", "=", Pattern("a%", open_end=True)), [4]),
        (Compare("name", "=", Pattern("_b", open_start=True)), []),
        (Compare("name", "=", Pattern("b", open_start=True)), [13, 8, 6, 4, 3]),
        (Compare("name", "=", "A"), [2]),
        (Compare("labels.none", "=", "x"), []),
        (Compare("queue", "=", Pattern("ä", True, True)), [9]),
    ],
)
async def test_no_character_of_a_text_is_special(
    world: World, wanted: Filter, found: list[int]
) -> None:
    await populate(world)
    assert numbers(await world.find(wanted)) == found


async def test_the_negation_of_a_comparison_with_what_is_unset_holds(world: World) -> None:
    known = await populate(world)
    assert len(numbers(await world.find(Not(Compare("labels.none", "=", "x"))))) == len(known)

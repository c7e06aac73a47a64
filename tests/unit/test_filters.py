from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from longshore.core.errors import FilterFieldChanges, InvalidFilter, LimitExceeded
from longshore.core.fields import FIELDS
from longshore.core.filters import (
    EVERYTHING,
    Compare,
    Filter,
    Pattern,
    Present,
    all_of,
    any_of,
    canonical,
    matches,
    names_reserved_queue,
    negation,
    refuse_changing_fields,
)
from longshore.core.installation import is_reserved
from longshore.core.operations import Kind, State
from longshore.server.filters import FILTER_BYTES, FILTER_DEPTH, parse_filter

ID: Final = "0192f3a4-0000-7000-8000-00000000abcd"
FACTS: Final[Mapping[str, str | int]] = {
    "id": ID,
    "number": 42,
    "submitter": "ingest",
    "create_time": 1_700_000_000_123,  # 2023-11-14T22:13:20.123Z
    "state": State.RUNNING,
    "queue": "default",
    "priority": 3,
    "cancel_requested": False,
    "name": "bag *1*",
    "service": "archive",
    "labels.team": "été",
    "labels.app/name": 'a "b" \\',
}


def task(text: str) -> Filter:
    return parse_filter(text, Kind.TASK)


def passes(text: str, **facts: str | int) -> bool:
    return matches(task(text), {**FACTS, **facts}.get)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \t\n ",
        "service = archive",
        "service=archive",
        "service:archive",
        "service = 'archive'",
        'service = "archive"',
        "service = arch*",
        "service = *hive",
        "service : '*chi*'",
        "service != other",
        "service != x*",
        "service < archivf",
        "service >= archive",
        "(service = archive)",
        "NOT service = other",
        "-service = other",
        "-(service = other)",
        "number = 42",
        "number = '42'",
        "number > -5",
        "number<=42",
        "state = RUNNING",
        "state = running",
        "state = STATE_RUNNING",
        "state = state_Running",
        "state >= QUEUED state < FAILED",
        "cancel_requested = false",
        "cancel_requested != true",
        f"id = {ID}",
        f"id = '{ID.upper()}'",
        "id = 0192F3A4-*",
        "id = *abcd",
        "create_time = 2023-11-14T22:13:20.123Z",
        "create_time = 2023-11-14T22:13:20.123999Z",
        "create_time = '2023-11-14 23:13:20.123+01:00'",
        "create_time = 2023-11-14t16:43:20.123-05:30",
        "create_time > 2023-11-14T22:13:20z",
        "name = 'bag \\*1\\*'",
        "name = 'bag \\**'",
        "labels.team = été",
        "labels.team > z",
        "labels.app/name = 'a \"b\" \\\\'",
        'labels.\'app/name\' = "a \\"b\\" \\\\"',
        "labels.team:*",
        "labels.team = *",
        "labels.none != x",
        "NOT labels.none = x",
        "NOT labels.none:*",
        "labels.none != *",
        "NOT account < z",
        "account = ''",
        "account:''",
        "service != ''",
        "labels.none = ''",
    ],
)
def test_a_filter_lets_pass_what_it_describes(text: str) -> None:
    assert passes(text)


@pytest.mark.parametrize(
    "text",
    [
        "service = Archive",
        "service = arc",
        "service != archive",
        "service != arch*",
        "service < archive",
        "number > 42",
        "state = QUEUED",
        "cancel_requested = true",
        "id = 0192f3a5*",
        "create_time < 2023-11-14T22:13:20.123Z",
        "name = 'bag \\*'",
        "labels.team = ete",
        "labels.none = x",
        "labels.none:*",
        "account != ''",
        "service = ''",
        "labels.none != ''",
        "account < z",
        "account >= a",
        "NOT account != x",
        "end_time > 2000-01-01T00:00:00Z",
    ],
)
def test_a_filter_holds_back_what_it_does_not_describe(text: str) -> None:
    assert not passes(text)


@pytest.mark.parametrize(
    "text, same",
    [
        ("name=a AND name=b OR name=c", "name=a AND (name=b OR name=c)"),
        ("name=a OR name=b AND name=c", "(name=a OR name=b) AND name=c"),
        ("name=a name=b OR name=c", "name=a AND (name=b OR name=c)"),
        ("name=a name=b AND name=c", "name=a AND name=b AND name=c"),
        ("name=a AND (name=b AND name=c)", "name=a name=b name=c"),
        ("NOT name=a OR name=b", "(NOT name=a) OR name=b"),
        ("-name=a name=b", "(-name=a) AND name=b"),
        ("NOT(name=a)", "name!=a"),
        ("NOT name!=a", "name=a"),
        ("name:a", "name = 'a'"),
        ("name:*", "name='**'"),
        ("name=''", "NOT name:*"),
        ("name!=''", "name:*"),
        ("name=AND", "name='AND'"),
        ("name = -1:2.5", "name='-1:2.5'"),
        ("labels.NOT=x", "labels.'NOT'=x"),
        ("create_time<2016-12-31T23:59:60Z", "create_time<2016-12-31T23:59:59.999Z"),
    ],
)
def test_filters_that_mean_the_same_are_the_same(text: str, same: str) -> None:
    assert task(text) == task(same)
    assert canonical(task(text)) == canonical(task(same))


@pytest.mark.parametrize(
    "text, position, said",
    [
        ("foo", 3, "expected an operator"),
        ("name", 4, "expected an operator"),
        ("name=", 5, "expected a value"),
        ("name=(a)", 5, "expected a value"),
        ("name==a", 5, "expected a value"),
        ("name=a=b", 6, "expected AND, OR, another comparison or the end"),
        ("name=a)", 6, "expected AND, OR, another comparison or the end"),
        ("(name=a", 7, "another comparison or )"),
        ("AND", 0, "expected a comparison"),
        ("name=a OR", 9, "expected a comparison"),
        ("name=a AND AND name=b", 11, "expected a comparison"),
        ("NOT NOT name=a", 4, "expected a comparison"),
        ("()", 1, "expected a comparison"),
        ("=a", 0, "expected a comparison"),
        ("name='a", 5, "a quote that nothing closes"),
        ("labels.'a=b", 7, "a quote that nothing closes"),
        ("name=a\\", 6, "found '\\\\'"),
        ("colour=red", 0, "unknown field 'colour'; known: account, "),
        ("labels.=red", 0, "labels.KEY"),
        ("labels.'a\\b'=red", 0, "a backslash stands before"),
        ("name=a contract=x", 7, "unknown field 'contract'"),
        ("number=1.5", 7, "number: expected a whole number"),
        ("number=٣", 7, "number: expected a whole number"),
        ("number=9223372036854775808", 7, "number: expected a whole number"),
        ("number=1*", 7, "goes with texts and ids"),
        ("state=DONE", 6, "SUSPENDED, QUEUED, RUNNING, FAILED, SUCCEEDED, CANCELED"),
        ("state=STATE_UNSPECIFIED", 6, "expected a state"),
        ("cancel_requested=yes", 17, "expected true or false"),
        ("cancel_requested>false", 17, "only = != :"),
        ("id=42", 3, "expected an id"),
        (f"id>{ID}", 3, "only = != :"),
        ("id=x*", 3, "expected a part of an id"),
        ("create_time>2024", 12, "expected a time such as"),
        ("create_time>2024-02-30T00:00:00Z", 12, "expected a time such as"),
        ("create_time>2024-01-01T00:00:61Z", 12, "expected a time such as"),
        ("create_time>2024-01-01T00:00:00", 12, "expected a time such as"),
        ("create_time>2024-01-01T00:00:00+24:00", 12, "expected a time such as"),
        ("create_time>0000-01-01T00:00:00Z", 12, "expected a time such as"),
        ("create_time>0001-01-01T00:00:00+00:01", 12, "expected a time such as"),
        ("create_time>9999-12-31T23:59:59-00:01", 12, "expected a time such as"),
        ("name=a*b", 5, "at the beginning or the end"),
        ("name<a*", 5, "goes with = != :"),
        (r"name='a\n'", 5, "a backslash stands before"),
        ("name=a\0", 6, "NUL"),
        ("name=a\ud800", 6, "surrogate"),
    ],
)
def test_a_malformed_filter_is_refused_where_it_goes_wrong(
    text: str, position: int, said: str
) -> None:
    with pytest.raises(InvalidFilter) as refused:
        task(text)
    assert refused.value.facts == {"position": str(position)}
    assert said in str(refused.value)


def test_a_filter_has_a_limited_length() -> None:
    fitting = f"name={'é' * ((FILTER_BYTES - 5) // 2)}"
    assert task(fitting)
    with pytest.raises(LimitExceeded) as refused:
        task(fitting + "é")
    assert refused.value.facts == {"field": "filter", "limit": "4096", "value": "4097"}


def test_parentheses_have_a_limited_depth() -> None:
    assert task("(" * FILTER_DEPTH + "name=a" + ")" * FILTER_DEPTH)
    with pytest.raises(InvalidFilter) as refused:
        task("(" * (FILTER_DEPTH + 1) + "name=a" + ")" * (FILTER_DEPTH + 1))
    assert refused.value.facts == {"position": str(FILTER_DEPTH)}


def test_a_filter_of_the_longest_length_and_many_parts_is_evaluated() -> None:
    many = task("name=a " * (FILTER_BYTES // 7))
    assert matches(many, {"name": "a"}.get)


@pytest.mark.parametrize("kind", [None, *Kind])
def test_each_kind_has_the_fields_of_all_and_its_own(kind: Kind | None) -> None:
    own = {
        None: {"kind"},
        Kind.TASK: {"name", "service", "account"},
        Kind.JOB: {"contract", "action", "trigger", "contract_type", "actor", "external_id"}
        | {"template_id", "template_name", "template_revision", "dfiid", "lcid"},
        Kind.LAUNCH: {"service"},
    }
    common = {"id", "number", "submitter", "request_id", "create_time", "state", "queue"}
    times = {"update_time", "start_time", "end_time", "expire_time"}
    assert set(FIELDS[kind]) == common | times | {"priority", "cancel_requested"} | own[kind]
    for name in FIELDS[kind]:
        assert parse_filter(f"{name}:*", kind) == Present(name)


def test_operations_of_all_kinds_are_filtered_by_kind() -> None:
    assert parse_filter("kind = KIND_JOB", None) == Compare("kind", "=", Kind.JOB)
    assert parse_filter("kind:launch", None) == Compare("kind", "=", Kind.LAUNCH)
    with pytest.raises(InvalidFilter, match="a kind: TASK, JOB, LAUNCH"):
        parse_filter("kind = x", None)


@pytest.mark.parametrize(
    "field",
    [name for name, field in FIELDS[Kind.TASK].items() if field.changes],
)
def test_a_watch_is_not_filtered_by_what_changes(field: str) -> None:
    with pytest.raises(FilterFieldChanges) as refused:
        refuse_changing_fields(task(f"name=a OR NOT (number=1 AND {field}:*)"))
    assert refused.value.facts == {"field": field}


def test_a_watch_is_filtered_by_what_does_not_change() -> None:
    fixed = "id:* number=1 submitter=a request_id=b labels.k=c create_time:* name=d service=e"
    refuse_changing_fields(task(fixed))


@pytest.mark.parametrize(
    "text, named",
    [
        ("queue = longshore.callbacks", True),
        ("queue : 'longshore.*'", True),
        ("name = a OR (queue = longshore.callbacks AND state = QUEUED)", True),
        ("NOT queue != longshore.callbacks", True),
        ("queue != longshore.callbacks", False),
        ("NOT queue = longshore.callbacks", False),
        ("queue = *callbacks", False),
        ("queue = long*", False),
        ("queue:*", False),
        ("name = longshore.callbacks", False),
        ("", False),
    ],
)
def test_reserved_queues_are_shown_when_they_are_named(text: str, named: bool) -> None:
    assert names_reserved_queue(task(text)) is named


def test_queues_of_the_server_are_reserved() -> None:
    assert is_reserved("longshore.callbacks")
    assert not is_reserved("longshore")


@given(st.text())
def test_any_text_is_a_filter_or_refused_as_one(text: str) -> None:
    refused_cleanly(text)


@given(
    st.lists(
        st.sampled_from(
            [
                *("AND", "OR", "NOT", "-", "(", ")", "=", "!=", "<", "<=", ":", ">", "*"),
                *("'", '"', "\\", "\\*", "\0", "é", "state", "name", "labels.", "labels.'a'"),
                *("number", "create_time", "QUEUED", "a*", "12", "2024-01-01T00:00:00Z"),
            ]
        )
    ).map(" ".join)
    | st.text("()='\"*\\-: aname<>!NOTORD.\n", max_size=40)
)
def test_any_jumble_of_the_words_of_filters_is_a_filter_or_refused_as_one(text: str) -> None:
    refused_cleanly(text)


def refused_cleanly(text: str) -> None:
    for kind in (None, *Kind):
        try:
            read = parse_filter(text, kind)
        except InvalidFilter as error:
            place = int(error.facts["position"])
        except LimitExceeded:
            place = 0
        else:
            place = 0
            assert parse_filter(canonical(read), kind) == read
        assert 0 <= place <= len(text)


# Filters as trees, each with a function of our own that says what it means.

Facts: TypeAlias = Mapping[str, Any]
Meaning: TypeAlias = tuple[Filter, Callable[[Facts], bool]]

texts = st.text("ab*\\'\"é \U0001f600", max_size=4)
fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": texts,
    "labels.a b": texts,
    "labels.team": texts,
    "number": st.integers(-3, 3),
    "priority": st.integers(-(2**63), 2**63 - 1),
    "state": st.sampled_from([int(state) for state in State]),
    "create_time": st.integers(-62_135_596_800_000, 253_402_300_799_999),
}
comparisons: Final[dict[Any, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@st.composite
def compared(draw: st.DrawFn) -> Meaning:
    name = draw(st.sampled_from(sorted(fields)))
    sign = draw(st.sampled_from(sorted(comparisons)))
    value = draw(fields[name])
    if (sign, value) == ("=", ""):  # An empty text is one that is not set.
        return negation(Present(name)), lambda facts: name not in facts
    return Compare(
        name, sign, value
    ), lambda facts: name in facts and comparisons[sign](facts[name], value)


@st.composite
def patterned(draw: st.DrawFn) -> Meaning:
    text = draw(texts.filter(bool))
    start, end = draw(st.sampled_from([(True, True), (True, False), (False, True)]))

    def meaning(facts: Facts) -> bool:
        value = facts.get("name")
        if value is None:
            return False
        places = [n for n in range(len(value) + 1) if value[n : n + len(text)] == text]
        return any((start or n == 0) and (end or n + len(text) == len(value)) for n in places)

    return Compare("name", "=", Pattern(text, start, end)), meaning


@st.composite
def present(draw: st.DrawFn) -> Meaning:
    name = draw(st.sampled_from(sorted(fields)))
    return Present(name), lambda facts: name in facts


def opposite(meaning: Meaning) -> Meaning:
    part, holds = meaning
    return negation(part), lambda facts: not holds(facts)


def conjunction(meanings: list[Meaning]) -> Meaning:
    whole = all_of(part for part, _ in meanings)
    return whole, lambda facts: all(holds(facts) for _, holds in meanings)


def disjunction(meanings: list[Meaning]) -> Meaning:
    whole = any_of(part for part, _ in meanings)
    return whole, lambda facts: any(holds(facts) for _, holds in meanings)


def combined(parts: st.SearchStrategy[Meaning]) -> st.SearchStrategy[Meaning]:
    several = st.lists(parts, min_size=2, max_size=3)
    return parts.map(opposite) | several.map(conjunction) | several.map(disjunction)


meanings = st.recursive(compared() | patterned() | present(), combined, max_leaves=8)
facts = st.fixed_dictionaries({}, optional=fields)


@given(meanings, facts)
def test_a_filter_passes_what_its_parts_mean(meaning: Meaning, of: dict[str, Any]) -> None:
    wanted, holds = meaning
    assert matches(wanted, of.get) is bool(holds(of))


@given(meanings)
def test_the_canonical_text_of_a_filter_reads_back_as_it(meaning: Meaning) -> None:
    wanted, _ = meaning
    text = canonical(wanted)
    assume(len(text.encode()) <= FILTER_BYTES)
    assert task(text) == wanted


def test_the_empty_filter_leaves_nothing_out() -> None:
    assert task("") == EVERYTHING
    assert matches(EVERYTHING, lambda _: None)

"""Values between Python and the contract."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from longshore.client import InvalidValue, call, from_struct, task, to_struct
from longshore.client.values import to_timestamp


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"path": "/x", "deep": {"list": [1, "two", None, True, {"three": 3.5}]}},
        {"largest": 2**53, "smallest": -(2**53), "zero": 0, "beyond": 1e300},
        {"umlaut ü": "λ 🚢", "": "an empty name"},
    ],
)
def test_an_object_comes_back_as_it_went(value: dict[str, Any]) -> None:
    back = from_struct(to_struct(value))
    assert back == value
    assert {name: type(one) for name, one in back.items()} == {
        name: type(one) for name, one in value.items()
    }


def test_tuples_and_other_mappings_are_json_as_well() -> None:
    assert from_struct(to_struct({"a": (1, 2), "b": OrderedDict(c=1)})) == {
        "a": [1, 2],
        "b": {"c": 1},
    }


@pytest.mark.parametrize(
    "value, said",
    [
        ({"a": {"b": [0, math.nan]}}, "arguments.a.b[1]: nan is no JSON number"),
        ({"a": -math.inf}, "arguments.a: -inf is no JSON number"),
        ({"a": 2**53 + 1}, "arguments.a: 9007199254740993 is beyond 2^53"),
        ({"a": [{"b": b"bytes"}]}, "arguments.a[0].b: bytes is no JSON type"),
        ({"a": {1: 2}}, "arguments.a: the key 1 is no string"),
        ({"a": {"b": datetime.now(UTC)}}, "arguments.a.b: datetime is no JSON type"),
        ({"a": "\ud800"}, "arguments.a: '\\ud800' is no Unicode text"),
        ({"a": {1, 2}}, "arguments.a: set is no JSON type"),
    ],
)
def test_what_is_no_json_is_refused_where_it_stands(value: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        to_struct(value, "arguments")
    assert said in str(refused.value)


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidValue, match="nested more than"):
        to_struct({"a": endless})


def test_the_deepest_value_that_is_taken_can_be_parsed() -> None:
    value: dict[str, Any] = {}
    for _ in range(29):
        value = {"a": value}
    request = task("scan", value)
    assert type(request).FromString(request.SerializeToString()) == request
    with pytest.raises(InvalidValue):
        task("scan", {"a": value})


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(InvalidValue, match="start_time: a time needs a time zone"):
        task("scan", start_time=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    stamp = to_timestamp(datetime(2026, 1, 1, tzinfo=UTC), "start_time")
    assert stamp.ToJsonString() == "2026-01-01T00:00:00Z"


def test_a_span_as_start_time_counts_from_now() -> None:
    before = datetime.now(UTC)
    start = task("scan", start_time=timedelta(minutes=5)).options.start_time
    assert start.ToDatetime(tzinfo=UTC) >= before + timedelta(minutes=5)


def test_a_task_of_one_action_carries_its_options() -> None:
    request = task(
        "digest",
        {"path": "/x"},
        service="archive",
        name="a digest",
        queue="night",
        priority=9,
        labels={"team": "north"},
        run_timeout=timedelta(seconds=1.5),
        max_attempts=0,
        max_backoff=timedelta(minutes=1),
        suspended=True,
        request_id="r-1",
    )
    assert request.spec.actions[0].action == "digest"
    assert request.spec.service == "archive"
    assert request.options.queue == "night"
    assert request.options.labels == {"team": "north"}
    assert request.options.run_timeout.ToMilliseconds() == 1_500
    assert request.options.retry.HasField("max_attempts")
    assert not request.options.retry.HasField("initial_backoff")
    assert request.request_id == "r-1"


def test_options_that_are_not_given_are_left_to_the_server() -> None:
    request = task("scan")
    assert not request.options.ListFields()
    assert not request.spec.HasField("context")


def test_every_task_has_a_request_id_of_its_own() -> None:
    assert task("scan").request_id != task("scan").request_id
    assert task("scan", request_id="").request_id == ""


def test_a_plan_passes_values_by_path() -> None:
    request = task(
        plan=[
            call("scan", {"path": "/x"}, results=["files"], assign={"found": "files"}),
            call("digest", paths={"path": "found[1]/path"}),
        ],
        context={"target": "/y"},
    )
    first, second = request.spec.actions
    assert list(first.results) == ["files"]
    assert (first.assign[0].target, first.assign[0].value) == ("found", "files")
    assert second.argument_paths == {"path": "found[1]/path"}
    assert from_struct(request.spec.context) == {"target": "/y"}


def test_a_task_has_either_an_action_or_a_plan() -> None:
    for fields in ({}, {"action": "scan", "plan": [call("scan")]}):
        with pytest.raises(InvalidValue, match="either an action or a plan"):
            task(**fields)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="stand in its calls"):
        task("", {"path": "/x"}, plan=[call("scan")])

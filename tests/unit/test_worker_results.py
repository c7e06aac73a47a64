"""What a function returns is kept as JSON, or refused with the place where it is none."""

from __future__ import annotations

import enum
import math
from collections import UserDict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from pydantic import BaseModel

from longshore.client import from_struct
from longshore.worker import structs
from longshore.worker.errors import NotJson
from longshore.worker.failures import Failure
from longshore.worker.results import outcome_of


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2


@dataclass
class Point:
    x: int
    when: date


class Place(BaseModel):
    path: Path
    points: list[Point]


def kept(value: Any) -> dict[str, Any]:
    outcome = outcome_of("test", value)
    assert isinstance(outcome, bytes), outcome
    return from_struct(Struct.FromString(outcome))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"": ""},
        {"text": "ä€😀", "none": None, "yes": True, "no": False, "int": -3, "float": 0.5},
        {"long": "x" * 127, "longer": "x" * 128, "longest": "x" * 100_000},
        {"list": [], "dict": {}, "nested": [{"a": [1, [2, {"b": None}]]}]},
        {"whole": 2**53, "negative": -(2**53), "large": 1e300},
        {str(number): number for number in range(1_000)},
    ],
)
def test_objects_are_kept_as_they_are(value: dict[str, Any]) -> None:
    assert kept(value) == value
    message = Struct()
    message.update(value)
    assert Struct.FromString(structs.encode(value)) == message


def test_nothing_is_an_empty_object_and_all_else_a_value() -> None:
    assert outcome_of("test", None) == b""
    assert kept(3) == {"value": 3}
    assert kept("text") == {"value": "text"}
    assert kept(False) == {"value": False}
    assert kept([1, (2, 3)]) == {"value": [1, [2, 3]]}


def test_models_and_what_looks_like_json_become_json() -> None:
    point = Point(1, date(2026, 3, 1))
    shown = {"x": 1, "when": "2026-03-01"}
    assert kept(point) == shown
    assert kept(Place(path=Path("/a"), points=[point])) == {"path": "/a", "points": [shown]}
    assert kept({"points": [point], "more": UserDict({"a": 1})}) == {
        "points": [shown],
        "more": {"a": 1},
    }
    assert kept({"colour": Colour.RED, "level": Level.HIGH}) == {"colour": "red", "level": 2}


def nested(depth: int, kind: type) -> Any:
    value: Any = {}
    for _ in range(depth - 1):
        value = {"a": value} if kind is dict else [value]
    return value if kind is dict else {"a": value}


def test_depth_has_a_limit_below_that_of_protobuf() -> None:
    assert kept(nested(30, dict))
    assert kept(nested(29, list))
    for kind in (dict, list):
        with pytest.raises(NotJson, match="nested more than 30"):
            structs.encode(nested(31, kind))


def test_a_list_that_holds_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert isinstance(outcome_of("test", endless), Failure)


@pytest.mark.parametrize(
    "value, fault",
    [
        ({"a": {"b": [1, object()]}}, "a.b.1 is of type 'object'"),
        ({"a": {1: 2}}, "a has a key of type 'int'"),
        ({"a": math.nan}, "a is nan"),
        ({"a": -math.inf}, "a is -inf"),
        ({"a": 2**53 + 1}, "a is a whole number beyond 2^53"),
        ({"a": "\udc80"}, "a is no Unicode"),
        ({"\udc80": 1}, "is no Unicode"),
        ({"a": b"bytes"}, "a is of type 'bytes'"),
        ({"a": date(2026, 3, 1)}, "a is of type 'date'"),
        ({1, 2}, "value is of type 'set'"),
        (Place, "value is of type"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(value: Any, fault: str) -> None:
    outcome = outcome_of("test", value)
    assert isinstance(outcome, Failure)
    assert outcome.permanent
    assert outcome.error.message.startswith(
        "action 'test' returned something that is no JSON: "
    )
    assert fault in outcome.error.message


def test_a_model_with_a_number_that_is_none_is_refused() -> None:
    @dataclass
    class Measure:
        value: float

    assert isinstance(outcome_of("test", Measure(math.nan)), Failure)

from __future__ import annotations

from itertools import starmap
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from longshore.server.parameters import Table
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, ServiceAction


def table(**parameters: dict[str, Any]) -> Table:
    return Table(ServiceAction(slug="act", parameters=list(starmap(made, parameters.items()))))


def made(slug: str, fields: dict[str, Any]) -> Parameter:
    kind = ParameterType.Value(f"PARAMETER_TYPE_{fields.pop('type', 'STRING')}")
    return Parameter(slug=slug, type=kind, **fields)


def wrong(checked: Table, arguments: dict[str, Any], *from_paths: str) -> dict[str, str]:
    struct = Struct()
    struct.update(arguments)
    found = checked.violations(struct.fields, from_paths, "call")
    return {one.field.removeprefix("call."): one.reason for one in found}


TYPES: list[tuple[str, list[Any], list[Any]]] = [
    ("STRING", ["", "a"], [1, True, None, [], {}]),
    ("INTEGER", [0, -3, 2**53], ["1", 1.5, 2.0**60, True, None]),
    ("NUMBER", [0, 1.5, 1e300], ["1", float("nan"), float("inf"), True]),
    ("BOOLEAN", [True, False], [0, "true", None]),
    (
        "DATE",
        [
            "2026-01-31",
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00",
            "2026-01-31T12:00:00.5+05:30",
        ],
        ["31.1.2026", "", 20260131],
    ),
    ("LIST", [[], [1, "a"]], [{}, "a", [float("nan")]]),
    ("OBJECT", [{}, {"a": [1]}], [[], "a", {"a": float("inf")}]),
    ("FILE", ["0198c2d4-0000-7000-8000-000000000000"], [1, None]),
]


@pytest.mark.parametrize("kind, fits, does_not", TYPES)
def test_a_type_takes_its_values_only(kind: str, fits: list[Any], does_not: list[Any]) -> None:
    checked = table(a={"type": kind})
    for value in fits:
        assert wrong(checked, {"a": value}) == {}
    for value in does_not:
        assert list(wrong(checked, {"a": value}).values()) == ["INVALID"]


@pytest.mark.parametrize(
    "text",
    [
        "20170102",
        "1483326245",
        "2017-W01-1",
        "2017W011",
        "20170102T030405",
        "2017-01-02T03",
        "2017-01-02T030405",
        "2017-01-02T03:04:05,5",
        "2017-01-02T03:04+0100",
        "2017-01-02T03:04+01:60",
        "2017-01-02T24:00",
        "2017-01-02x03:04",
        "2017-02-29",
        "\u0662017-01-02",
        "2017-01-02\n",
    ],
)
def test_dates_are_written_so_that_nobody_reads_them_as_something_else(text: str) -> None:
    assert wrong(table(a={"type": "DATE"}), {"a": text}) == {"arguments.a": "INVALID"}


def test_null_stands_for_what_may_be_left_out() -> None:
    assert wrong(table(a={"optional": True}), {"a": None}) == {}
    assert wrong(table(a={}), {"a": None}) == {"arguments.a": "INVALID"}


def test_names_are_checked_also_where_values_come_later() -> None:
    checked = table(a={}, b={"optional": True})
    assert wrong(checked, {}) == {"arguments.a": "MISSING"}
    assert wrong(checked, {}, "a") == {}
    assert wrong(checked, {"a": "x"}, "c") == {"argument_paths[c]": "UNKNOWN"}
    assert wrong(checked, {"a": "x", "d": 1}) == {"arguments.d": "UNKNOWN"}


def test_only_listed_values_may_be_sent() -> None:
    assert wrong(table(a={"values": ["x", "y"]}), {"a": "x"}) == {}
    assert wrong(table(a={"values": ["x"]}), {"a": "z"}) == {"arguments.a": "NOT_PERMITTED"}
    listed = table(a={"type": "LIST", "values": ["1", "true", "x"]})
    assert wrong(listed, {"a": [1, True, "x"]}) == {}
    assert wrong(listed, {"a": [2]}) == {"arguments.a": "NOT_PERMITTED"}


def test_an_action_without_parameters_takes_none() -> None:
    assert wrong(table(), {}) == {}
    assert wrong(table(), {"a": 1}) == {"arguments.a": "UNKNOWN"}

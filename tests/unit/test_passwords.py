from __future__ import annotations

from typing import Any, cast

import pytest
from google.protobuf.json_format import MessageToDict

from longshore.core.paths import Path
from longshore.server.directory import Offers
from longshore.server.passwords import hide, hide_arguments, hide_in_calls, secret_paths
from longshore.server.paths import parse_value
from longshore.server.structs import to_struct
from longshore.v1.operation_pb2 import ActionCall, Assignment

OFFERS = Offers({}, {}, frozenset(), {("bank", "pay"): frozenset({"pin", "token"})}, {})


def pay(**argument_paths: str) -> ActionCall:
    return ActionCall(action="pay", argument_paths=argument_paths)


def copying(**targets: str) -> ActionCall:
    assign = [Assignment(target=target, value=value) for target, value in targets.items()]
    return ActionCall(action="copy", assign=assign)


def secrets(*calls: ActionCall) -> set[str]:
    return set(map(str, secret_paths(calls, "bank", OFFERS)))


def hidden(value: dict[str, Any], *paths: str) -> Any:
    struct = to_struct(value)
    found = hide(struct, [cast("Path", parse_value(path)) for path in paths])
    assert found == (MessageToDict(struct) != MessageToDict(to_struct(value)))
    return MessageToDict(struct)


@pytest.mark.parametrize(
    "argument, paths",
    [
        ("a", {"a"}),
        ("login/pin", {"login/pin"}),
        ("$a/b", {"$a/b"}),
        ("'hush'", set[str]()),
        ("concat(a, '-', b/c)", {"a", "b/c"}),
    ],
)
def test_what_a_password_is_read_from_is_secret(argument: str, paths: set[str]) -> None:
    assert secrets(pay(pin=argument, amount="sum")) == paths


def test_what_no_password_is_read_from_is_not_secret() -> None:
    assert secrets(pay(amount="a")) == set()
    assert secrets(ActionCall(action="look", argument_paths={"pin": "a"})) == set()
    elsewhere = secret_paths([pay(pin="a")], "shop", OFFERS)
    assert elsewhere == []


def test_a_secret_is_followed_to_where_it_was_copied_from() -> None:
    assert secrets(copying(b="a"), pay(pin="b")) == {"a", "b"}
    assert secrets(copying(b="a"), copying(c="b"), pay(pin="c")) == {"a", "b", "c"}
    assert secrets(copying(login="given"), pay(pin="login/pin")) == {"given", "login/pin"}
    assert secrets(copying(**{"login/pin": "a"}), pay(pin="login")) == {"a", "login"}


def test_what_is_copied_elsewhere_or_later_is_not_secret() -> None:
    assert secrets(copying(b="a", c="d"), pay(pin="b")) == {"a", "b"}
    assert secrets(pay(pin="b"), copying(b="a")) == {"b"}
    assert secrets(copying(**{"login/user": "a"}), pay(pin="login/pin")) == {"login/pin"}


@pytest.mark.parametrize(
    "paths, shown",
    [
        (["a"], {"a": None, "b": {"c": 2, "d": [{"e": 3}, {"e": 4}]}}),
        (["b/c"], {"a": 1, "b": {"c": None, "d": [{"e": 3}, {"e": 4}]}}),
        (["$b/c"], {"a": 1, "b": {"c": None, "d": [{"e": 3}, {"e": 4}]}}),
        (["b/d[2]/e"], {"a": 1, "b": {"c": 2, "d": [{"e": 3}, {"e": None}]}}),
        (["b/d[last()]"], {"a": 1, "b": {"c": 2, "d": [{"e": 3}, None]}}),
        (["b/d[e='3']/e", "a"], {"a": None, "b": {"c": 2, "d": [{"e": None}, {"e": 4}]}}),
        (["b/d/e"], {"a": 1, "b": {"c": 2, "d": [{"e": None}, {"e": 4}]}}),
        (["b/c/../../a"], {"a": None, "b": {"c": 2, "d": [{"e": 3}, {"e": 4}]}}),
        (["b", "b/c"], {"a": 1, "b": None}),
        (["/"], {"a": None, "b": None}),
        (["x", "b/x", "b/d[7]", "a/x"], {"a": 1, "b": {"c": 2, "d": [{"e": 3}, {"e": 4}]}}),
    ],
)
def test_null_stands_in_the_place_of_secrets(paths: list[str], shown: dict[str, Any]) -> None:
    assert hidden({"a": 1, "b": {"c": 2, "d": [{"e": 3}, {"e": 4}]}}, *paths) == shown


def test_calls_are_shown_without_what_they_hold_themselves() -> None:
    call = ActionCall(
        action="pay",
        arguments=to_struct({"pin": 1234, "sum": 3}),
        argument_paths={"token": "concat('hu', 'sh')", "to": "'ada'"},
    )
    before = copying(t="'hush'", u="'plain'")
    read = pay(token="t")
    assert hide_in_calls([call, before, read], "bank", OFFERS)
    assert MessageToDict(call.arguments) == {"pin": None, "sum": 3}
    assert call.argument_paths == {"token": "''", "to": "'ada'"}
    assert [one.value for one in before.assign] == ["''", "'plain'"]
    assert not hide_in_calls([copying(a="'b'"), read], "bank", OFFERS)
    assert not hide_in_calls([call], "shop", OFFERS)


def test_arguments_are_shown_without_passwords() -> None:
    arguments = to_struct({"pin": {"digits": [1, 2]}, "sum": 3})
    assert hide_arguments(arguments, "bank", "pay", OFFERS)
    assert MessageToDict(arguments) == {"pin": None, "sum": 3}
    assert not hide_arguments(arguments, "bank", "look", OFFERS)

"""What a function takes is published and checked as its signature says."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, Field, Secret, SecretStr

from longshore.v1.catalog_service_pb2 import Parameter, ParameterType
from longshore.worker import Context, File
from longshore.worker.doors import Door
from longshore.worker.errors import InvalidArguments
from longshore.worker.parameters import checked, signature_of
from longshore.worker.porter import Claim
from longshore.worker.remote_files import RemoteFiles


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Account(BaseModel):
    name: str
    secret: SecretStr


class Box(BaseModel):
    width: int
    height: int = 1


@dataclass
class Label:
    text: str


def take(
    text: str,
    described: Annotated[str, Field(title="Name", description="What it is for.", max_length=3)],
    path: Path,
    count: int,
    share: float,
    either: float,
    sure: bool,
    day: date,
    moment: datetime,
    names: list[str],
    several: set[Colour],
    facts: dict[str, Any],
    box: Box,
    label: Label,
    colour: Colour,
    mode: Literal["fast", "slow"],
    level: Level,
    secret: SecretStr,
    context: Context,
    file: File,
    files: list[File],
    table: File | None = None,
    perhaps: str | None = None,
    token: Annotated[SecretStr | None, Field(title="Token", description="If asked.")] = None,
) -> None: ...


SIGNATURE = signature_of(take)
MESSAGES = {one.name: one.to_message() for one in SIGNATURE.parameters}


def type_of(name: str) -> str:
    return ParameterType.Name(MESSAGES[name].type).removeprefix("PARAMETER_TYPE_").lower()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("text", "string"),
        ("described", "string"),
        ("path", "string"),
        ("count", "integer"),
        ("share", "number"),
        ("either", "number"),
        ("sure", "boolean"),
        ("day", "date"),
        ("moment", "date"),
        ("names", "list"),
        ("several", "list"),
        ("facts", "object"),
        ("box", "object"),
        ("label", "object"),
        ("colour", "string"),
        ("mode", "string"),
        ("level", "integer"),
        ("secret", "string"),
        ("file", "file"),
        ("files", "list"),
        ("table", "file"),
        ("perhaps", "string"),
        ("token", "string"),
    ],
)
def test_every_hint_has_a_type(name: str, expected: str) -> None:
    assert type_of(name) == expected


def test_a_parameter_is_published_with_all_that_is_known_of_it() -> None:
    assert MESSAGES["described"] == Parameter(
        slug="described",
        name="Name",
        type=ParameterType.PARAMETER_TYPE_STRING,
        description="What it is for.",
    )
    assert [name for name, one in MESSAGES.items() if one.password] == ["secret", "token"]
    assert [name for name, one in MESSAGES.items() if one.optional] == [
        "table",
        "perhaps",
        "token",
    ]
    assert (MESSAGES["token"].name, MESSAGES["token"].description) == ("Token", "If asked.")


def test_whatever_holds_a_secret_is_published_as_one() -> None:
    def use(
        some: tuple[SecretStr, ...],
        named: dict[str, SecretStr],
        account: Account,
        accounts: list[Account] | None,
        generic: Secret[str] | None,
        plain: Box,
        names: list[str],
    ) -> None: ...

    published = [one.to_message() for one in signature_of(use).parameters]
    assert [one.slug for one in published if one.password] == [
        "some",
        "named",
        "account",
        "accounts",
        "generic",
    ]


def test_only_names_that_were_given_are_published() -> None:
    assert [name for name, one in MESSAGES.items() if one.name] == ["described", "token"]


def test_the_values_of_choices_are_published() -> None:
    assert list(MESSAGES["mode"].values) == ["fast", "slow"]
    assert list(MESSAGES["colour"].values) == ["red", "blue"]
    assert list(MESSAGES["several"].values) == ["red", "blue"]
    assert not MESSAGES["level"].values


def test_the_context_is_not_published_whatever_its_name() -> None:
    assert SIGNATURE.context == "context"
    assert "context" not in MESSAGES

    def other(anything_else: Context) -> None: ...

    assert signature_of(other) == ((), "anything_else")


def without_hints(parameters: str) -> Callable[..., None]:
    """Return a function that no type checker has seen."""
    found: dict[str, Any] = {}
    exec(f"def function({parameters}): ...", found)
    function: Callable[..., None] = found["function"]
    return function


def anything(value: Any) -> None: ...


def several(value: str | int) -> None: ...


def function(value: Callable[[], None]) -> None: ...


def variadic(*values: str) -> None: ...


def keywords(**values: str) -> None: ...


def by_place(value: str, /) -> None: ...


def unresolved(value: str) -> None: ...


unresolved.__annotations__["value"] = "Missing"


@pytest.mark.parametrize(
    "wrong",
    [
        without_hints("value"),
        anything,
        several,
        function,
        variadic,
        keywords,
        by_place,
        unresolved,
    ],
)
def test_what_cannot_be_published_is_refused(wrong: Callable[..., None]) -> None:
    with pytest.raises(TypeError):
        signature_of(wrong)


def test_a_parameter_without_a_hint_is_of_the_type_of_its_default() -> None:
    [depth] = signature_of(without_hints("depth=3")).parameters
    assert depth.to_message().type == ParameterType.PARAMETER_TYPE_INTEGER


def call(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    claim = Claim(Door("", 0, b"", b""), 0, Path())
    return checked(signature_of(function).parameters, arguments, lambda: RemoteFiles(claim))


def test_a_file_is_named_by_its_id_or_its_address() -> None:
    def use(file: File, files: list[File], table: File | None = None) -> None: ...

    address = "https://example.org/a%20b.csv?x=1"
    found = call(use, file="0198c2d4", files=["files/0198c2d5", address])
    assert (found["file"].id, found["file"].uri) == ("0198c2d4", "0198c2d4")
    assert [(one.id, one.uri) for one in found["files"]] == [
        ("0198c2d5", "files/0198c2d5"),
        ("", address),
    ]
    assert call(use, file="0198c2d4", files=[], table=None)["table"] is None


@pytest.mark.parametrize("uri", ["ftp://example.org/x", "file:///etc/passwd", "http://", "", 7])
def test_a_file_has_no_other_address(uri: object) -> None:
    def use(file: File) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        call(use, file=uri)
    [fault] = refused.value.violations
    assert (fault.field, fault.reason) == ("arguments.file", "INVALID")


def test_arguments_become_what_the_hints_say() -> None:
    def use(
        count: int, share: float, day: date, box: Box, secret: SecretStr, when: datetime
    ) -> None: ...

    found = call(
        use,
        count=3,
        share=2,
        day="2026-03-01",
        box={"width": 2},
        secret="hush",
        when="2026-03-01T12:00:00Z",
    )
    assert found["count"] == 3
    assert isinstance(found["share"], float)
    assert found["day"] == date(2026, 3, 1)
    assert found["box"] == Box(width=2)
    assert found["secret"].get_secret_value() == "hush"
    assert found["when"].year == 2026


@pytest.mark.parametrize(
    "text",
    ["2017-01-02", "2017-01-02T03:04:05", "2017-01-02 03:04", "2017-01-02T23:00:00.5-05:00"],
)
def test_of_a_point_in_time_a_date_is_the_day(text: str) -> None:
    def use(
        day: date, perhaps: date | None, described: Annotated[date, Field(ge=date(2017, 1, 2))]
    ) -> None: ...

    found = call(use, day=text, perhaps=text, described=text)
    assert set(found.values()) == {date(2017, 1, 2)}


@pytest.mark.parametrize(
    "value", ["20170102", "2017-01-02T03:04x", "2017-02-29T03:04", 20170102]
)
def test_what_is_no_point_in_time_has_no_day(value: object) -> None:
    def use(day: date) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        call(use, day=value)
    [fault] = refused.value.violations
    assert (fault.field, fault.reason) == ("arguments.day", "INVALID")


def test_what_is_left_out_takes_the_functions_own_default() -> None:
    def use(names: list[str] | None = None, depth: int = 3) -> None: ...

    assert call(use) == {}
    assert call(use, names=None, depth=None) == {"names": None}


def test_all_faults_are_named_at_once_and_no_values() -> None:
    def use(count: int, mode: Literal["fast"], box: Box, secret: SecretStr) -> None: ...

    with pytest.raises(InvalidArguments) as raised:
        call(use, count="hunter2", mode="hunter2", box={"width": "hunter2"}, extra="hunter2")
    assert {(one.field, one.reason) for one in raised.value.violations} == {
        ("arguments.count", "INVALID"),
        ("arguments.mode", "INVALID"),
        ("arguments.box.width", "INVALID"),
        ("arguments.secret", "MISSING"),
        ("arguments.extra", "UNKNOWN"),
    }
    assert "hunter2" not in str(raised.value)


def _is_a_pass_phrase(value: str) -> str:
    raise ValueError(f"{value!r} is no pass phrase")


def test_of_a_password_no_words_of_its_validator_are_told() -> None:
    def use(
        phrase: Annotated[SecretStr, BeforeValidator(_is_a_pass_phrase)],
        keys: dict[str, SecretStr],
    ) -> None: ...

    with pytest.raises(InvalidArguments) as raised:
        call(use, phrase="hunter2", keys={"hunter2": 3})
    assert [(one.field, one.description) for one in raised.value.violations] == [
        ("arguments.phrase", "is not taken (value_error)"),
        ("arguments.keys", "is not taken (string_type)"),
    ]
    assert "hunter2" not in str(raised.value)

"""Structs: JSON objects on the wire, read and written by hand because it is done so often."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from longshore.core.limits import STRUCT_DEPTH
from longshore.core.paths import Json, Object

_WHOLE: Final = 2**53  #: Up to here every whole number is a double of its own.
_TOO_DEEP: Final = f"objects and lists within each other go at most {STRUCT_DEPTH} deep"


class Unrepresentable(ValueError):
    """A value that no Struct of ours may hold; the path says where it is."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(f"{path}: {description}" if path else description)
        self.path = path
        self.description = description


def to_object(struct: Struct) -> Object:
    """Return the JSON object of a Struct; whole numbers up to 2^53 become int."""
    return {name: _to_json(value) for name, value in struct.fields.items()}


def _to_json(value: Value) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _WHOLE else number
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return to_object(value.struct_value)
        case "list_value":
            return [_to_json(element) for element in value.list_value.values]
        case _:
            return None


def to_struct(value: Object) -> Struct:
    """Return the Struct of a JSON object. Raises `Unrepresentable`."""
    struct = Struct()
    _fill(struct, value, "", 1)
    return struct


def _fill(struct: Struct, value: Object, path: str, depth: int) -> None:
    if depth > STRUCT_DEPTH:
        raise Unrepresentable(path, _TOO_DEEP)
    for name, member in value.items():
        _put(struct.fields[name], member, f"{path}.{name}" if path else name, depth)


def _put(place: Value, value: Json, path: str, depth: int) -> None:
    match value:
        case None:
            place.null_value = 0  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        case str():
            place.string_value = value
        case bool():
            place.bool_value = value
        case int() | float():
            place.number_value = _finite(value, path)
        case dict():
            _fill(place.struct_value, value, path, depth + 1)
            place.struct_value.SetInParent()
        case list():
            _extend(place.list_value, value, path, depth + 1)


def _finite(value: float, path: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Unrepresentable(path, "a number must be finite")
    return number


def _extend(place: ListValue, values: list[Json], path: str, depth: int) -> None:
    if depth > STRUCT_DEPTH:
        raise Unrepresentable(path, _TOO_DEEP)
    place.SetInParent()
    for index, element in enumerate(values):
        _put(place.values.add(), element, f"{path}[{index}]", depth)


def parse(document: bytes) -> Struct:
    """Return a serialized Struct that holds only what JSON can. Raises `Unrepresentable`."""
    try:
        struct = Struct.FromString(document)
    except DecodeError:
        raise Unrepresentable(
            "", f"not a serialized Struct, or not so that {_TOO_DEEP}"
        ) from None
    flaw = flaw_of_object(struct.fields)
    if flaw is not None:
        raise Unrepresentable(flaw.where.removeprefix("."), flaw.description)
    return struct


class Flaw(NamedTuple):
    """What is not JSON within a value, or is too deep: `.files[2].size`, and what about it."""

    where: str
    description: str


def flaw_of_object(fields: Mapping[str, Value], depth: int = 1) -> Flaw | None:
    """Return the first flaw of an object."""
    if depth > STRUCT_DEPTH:
        return Flaw("", _TOO_DEEP)
    for name, value in fields.items():
        flaw = flaw_of(value, value.WhichOneof("kind"), depth)
        if flaw is not None:
            return Flaw(f".{name}{flaw.where}", flaw.description)
    return None


def flaw_of(value: Value, kind: str | None, depth: int = 1) -> Flaw | None:
    """Return the first flaw of a member of an object that is itself at a depth."""
    match kind:
        case "string_value" | "bool_value" | "null_value":
            return None
        case "number_value":
            if math.isfinite(value.number_value):
                return None
            return Flaw("", "a number must be finite, not NaN or infinite")
        case "struct_value":
            return flaw_of_object(value.struct_value.fields, depth + 1)
        case "list_value":
            return _flaw_of_list(value.list_value.values, depth + 1)
        case _:
            return Flaw("", "a value of no kind; null is a kind")


def _flaw_of_list(values: Iterable[Value], depth: int) -> Flaw | None:
    if depth > STRUCT_DEPTH:
        return Flaw("", _TOO_DEEP)
    for index, value in enumerate(values):
        flaw = flaw_of(value, value.WhichOneof("kind"), depth)
        if flaw is not None:
            return Flaw(f"[{index}]{flaw.where}", flaw.description)
    return None

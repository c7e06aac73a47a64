"""Between Python's values and the contract's: JSON objects, times and spans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from longshore.client.errors import InvalidValue

#: Whole numbers beyond this would change on their way: JSON's numbers are doubles.
_EXACT: Final = 2**53

#: Levels of nesting. Parsers of protobuf give up soon after; a list in itself has no end.
_DEEPEST: Final = 30


def to_struct(values: Mapping[str, Any], where: str = "") -> Struct:
    """Return a JSON object as a message, or raise `InvalidValue` naming the path."""
    return Struct(fields=_members(values, where, 0))


def from_struct(struct: Struct) -> dict[str, Any]:
    """Return a JSON object; whole numbers up to 2^53 become `int`."""
    return {name: _from_value(value) for name, value in struct.fields.items()}


def to_timestamp(time: datetime | timedelta, where: str) -> Timestamp:
    """Return a moment: a time with its zone, or a span from now on."""
    moment = datetime.now(UTC) + time if isinstance(time, timedelta) else time
    if moment.tzinfo is None:
        raise InvalidValue(f"{where}: a time needs a time zone")
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def to_duration(span: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def _members(values: Mapping[Any, Any], where: str, depth: int) -> dict[str, Value]:
    if depth >= _DEEPEST:
        raise InvalidValue(f"{where[:60]}…: nested more than {_DEEPEST} levels deep")
    members: dict[str, Value] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise InvalidValue(f"{where or 'object'}: the key {name!r} is no string")
        members[_text(name, where)] = _to_value(value, f"{where}.{name}".lstrip("."), depth + 1)
    return members


def _to_value(value: object, where: str, depth: int) -> Value:
    if value is None:
        return Value(null_value=NullValue.NULL_VALUE)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, str):
        return Value(string_value=_text(value, where))
    if isinstance(value, int | float):
        return Value(number_value=_number(value, where))
    if _is_object(value):
        return Value(struct_value=Struct(fields=_members(value, where, depth)))
    if _is_list(value):
        return Value(list_value=ListValue(values=_items(value, where, depth)))
    raise InvalidValue(f"{where}: {type(value).__name__} is no JSON type")


def _is_object(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _items(values: Sequence[Any], where: str, depth: int) -> list[Value]:
    if depth >= _DEEPEST:
        raise InvalidValue(f"{where[:60]}…: nested more than {_DEEPEST} levels deep")
    return [_to_value(one, f"{where}[{index}]", depth + 1) for index, one in enumerate(values)]


def _number(value: float, where: str) -> float:
    if isinstance(value, int):
        if abs(value) > _EXACT:
            raise InvalidValue(f"{where}: {value} is beyond 2^53; send it as a string")
    elif not math.isfinite(value):
        raise InvalidValue(f"{where}: {value} is no JSON number")
    return value


def _text(value: str, where: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{where}: {value!r} is no Unicode text") from None
    return value


def _from_value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _EXACT else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(one) for one in value.list_value.values]
        case _:
            return None

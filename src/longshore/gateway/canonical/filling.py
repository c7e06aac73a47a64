"""Filling: messages from proto3 JSON, at a fraction of what protobuf's own reader costs.

Only what is usual is read here, JSON of the very type that a field is printed as. Whatever else
a field may be written as, and whatever is wrong, is left to protobuf's reader, which takes
everything once more: what this has filled already it fills in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from longshore.gateway.canonical.printing import LARGE

#: Fills a message with a value that is so many levels deep.
_Fill: TypeAlias = Callable[[Any, Any, int], None]

#: What protobuf raises for values that a message cannot have; most of it is the first.
UNREADABLE: Final = (
    json_format.ParseError,
    ArithmeticError,
    AttributeError,
    TypeError,
    ValueError,
)

_DEEPEST: Final = 32  #: Levels; protobuf knows better where it is too much.

_SMALL: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_FIXED32,
        FieldDescriptor.TYPE_SFIXED32,
    }
)


class _Unusual(Exception):
    """Not read here."""


def fill(message: Message, values: Mapping[str, Any]) -> None:
    """Merge values of JSON into a message. Raises `UNREADABLE`."""
    try:
        _filler_of(message.DESCRIPTOR)(message, values, 0)
    except (_Unusual, *UNREADABLE):
        json_format.ParseDict(dict(values), message)


@cache
def _filler_of(kind: Descriptor) -> _Fill:
    if kind.full_name in _KNOWN:
        return _KNOWN[kind.full_name]
    return _unusual if kind.full_name.startswith("google.protobuf.") else _Fields(kind)


class _Fields:
    """Fills messages that have nothing special about them."""

    def __init__(self, kind: Descriptor) -> None:
        self._by_name = {field.name: field for field in kind.fields}
        self._by_name |= {field.json_name: field for field in kind.fields}
        self._puts: dict[str, _Fill] = {}

    def __call__(self, message: Any, value: Any, depth: int) -> None:
        """Fill a message. Types that contain themselves are why fields are looked at late."""
        if depth > _DEEPEST:
            raise _Unusual
        for name, one in _object(value).items():
            put = self._puts.get(name) or self._found(name)
            put(message, one, depth + 1)

    def _found(self, name: str) -> _Fill:
        if name not in self._by_name:
            raise _Unusual
        self._puts[name] = _putting(self._by_name[name])
        return self._puts[name]


def _putting(field: FieldDescriptor) -> _Fill:
    """Return what puts a value into a field of a message."""
    if field.is_repeated:
        inner = field.message_type
        is_map = inner is not None and inner.GetOptions().map_entry
        return _map(field) if is_map else _list(field)
    put = _single(field)
    oneof = field.containing_oneof
    if oneof is None:
        return put

    def alone(message: Any, value: Any, depth: int) -> None:
        if message.WhichOneof(oneof.name) is not None:
            raise _Unusual
        put(message, value, depth)

    return alone


def _single(field: FieldDescriptor) -> _Fill:
    name = field.name
    if field.message_type is not None:
        fill_ = _filler_of(field.message_type)

        def inside(message: Any, value: Any, depth: int) -> None:
            inner = getattr(message, name)
            inner.SetInParent()
            fill_(inner, value, depth)

        return inside
    convert = _converting(field)
    return lambda message, value, _depth: setattr(message, name, convert(value))


def _list(field: FieldDescriptor) -> _Fill:
    name, kind = field.name, field.message_type
    convert = _converting(field) if kind is None else _same
    fill_ = _unusual if kind is None else _filler_of(kind)

    def scalars(message: Any, value: Any, _depth: int) -> None:
        message.ClearField(name)
        getattr(message, name).extend([convert(one) for one in _listed(value)])

    def messages(message: Any, value: Any, depth: int) -> None:
        message.ClearField(name)
        place = getattr(message, name)
        for one in _listed(value):
            fill_(place.add(), one, depth)

    return scalars if kind is None else messages


def _map(field: FieldDescriptor) -> _Fill:
    """Return what fills maps with keys of text; all of the contract are."""
    assert field.message_type is not None
    by_name = field.message_type.fields_by_name
    name, inner = field.name, by_name["value"]
    if by_name["key"].type != FieldDescriptor.TYPE_STRING:
        return _unusual
    kind = inner.message_type
    convert = _converting(inner) if kind is None else _same
    fill_ = _unusual if kind is None else _filler_of(kind)

    def scalars(message: Any, value: Any, _depth: int) -> None:
        message.ClearField(name)
        place = getattr(message, name)
        for key, one in _object(value).items():
            place[key] = convert(one)

    def messages(message: Any, value: Any, depth: int) -> None:
        message.ClearField(name)
        place = getattr(message, name)
        for key, one in _object(value).items():
            fill_(place[key], one, depth)

    return scalars if kind is None else messages


def _converting(field: FieldDescriptor) -> Callable[[Any], Any]:
    """Return what makes the value of a field that is no message."""
    if field.enum_type is not None:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return lambda value: numbers[_checked(value, str)] if value in numbers else _refuse()
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda value: _checked(value, str)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return lambda value: _checked(value, bool)
    if field.type in _SMALL:
        return lambda value: _checked(value, int)
    if field.type in LARGE:
        return _large
    return _double if field.type == FieldDescriptor.TYPE_DOUBLE else _refuse


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise _Unusual
    return value


def _large(value: Any) -> int:
    if type(value) is str and value.isdecimal():
        return int(value)
    return int(_checked(value, int))


def _double(value: Any) -> float:
    if type(value) is int:
        return float(value)
    if not math.isfinite(_checked(value, float)):
        raise _Unusual
    return float(value)


def _same(value: Any) -> Any:
    return value


def _refuse(_value: object = None) -> Any:
    raise _Unusual


def _unusual(_message: object, _value: object, _depth: int) -> None:
    raise _Unusual


def _listed(value: Any) -> list[Any]:
    found: list[Any] = _checked(value, list)
    return found


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = _checked(value, dict)
    return found


def _text(message: Any, value: Any, _depth: int) -> None:
    message.FromJsonString(_checked(value, str))


def _struct(message: Any, value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise _Unusual
    message.Clear()
    fields = message.fields
    for name, one in _object(value).items():
        _value(fields[name], one, depth + 1)


def _values(message: Any, value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise _Unusual
    message.ClearField("values")
    values = message.values
    for one in _listed(value):
        _value(values.add(), one, depth + 1)


def _value(message: Any, value: Any, depth: int) -> None:
    kind = cast("object", type(value))
    if kind is str:
        message.string_value = value
    elif kind is int or kind is float:
        message.number_value = value
    elif kind is bool:
        message.bool_value = value
    elif value is None:
        message.null_value = 0
    elif kind is dict:
        message.struct_value.SetInParent()
        _struct(message.struct_value, value, depth)
    elif kind is list:
        message.list_value.SetInParent()
        _values(message.list_value, value, depth)
    else:
        raise _Unusual


_KNOWN: Final[Mapping[str, _Fill]] = {
    "google.protobuf.Duration": _text,
    "google.protobuf.FieldMask": _text,
    "google.protobuf.ListValue": _values,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Timestamp": _text,
    "google.protobuf.Value": _value,
}

"""Printing: messages as proto3 JSON, at a tenth of what protobuf's own printer costs.

What a type of message looks like is found out once. Fields without presence are always there,
as protobuf has it with `always_print_fields_with_no_presence`; what is unset and has presence is
left out. Numbers of a Struct that are whole are written without a fraction, as JavaScript and Go
write them: to JSON they are the same.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import orjson
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

Shape = Callable[[Any], Any]

_LARGE: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)
_WHOLE_NUMBERS: Final = 2.0**53  #: Below it every whole number is one of a double.
_NOT_FINITE: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}


def printed(message: Message) -> bytes:
    """Return a message as JSON."""
    return orjson.dumps(shape_of(message.DESCRIPTOR)(message))


@cache
def shape_of(kind: Descriptor) -> Shape:
    """Return what makes values of JSON out of messages of a type; they are not to be changed."""
    if kind.full_name in _KNOWN:
        return _KNOWN[kind.full_name]
    if kind.full_name.startswith("google.protobuf."):
        return _own
    return _Fields(kind)


class _Fields:
    """Makes objects of messages that have nothing special about them."""

    def __init__(self, kind: Descriptor) -> None:
        self._absent = {
            field.json_name: _default(field) for field in kind.fields if not field.has_presence
        }
        self._kind = kind
        self._shapes: dict[int, tuple[str, Shape]] = {}

    def __call__(self, message: Message) -> dict[str, Any]:
        """Return an object. Types that contain themselves are why shapes are found late."""
        made = self._absent.copy()
        for field, value in message.ListFields():
            number = field.number
            if number not in self._shapes:
                self._shapes[number] = (field.json_name, _shape(self._kind, number))
            name, shape = self._shapes[number]
            made[name] = shape(value)
        return made


def _shape(kind: Descriptor, number: int) -> Shape:
    field = kind.fields_by_number[number]
    if not field.is_repeated:
        return _single(field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field.message_type)
    single = _single(field)
    return lambda values: [single(value) for value in values]


def _single(field: FieldDescriptor) -> Shape:
    if field.message_type is not None:
        return shape_of(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type in _LARGE:
        return str
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _double
    return _same


def _map(entry: Descriptor) -> Shape:
    key, value = entry.fields_by_name["key"], _single(entry.fields_by_name["value"])
    if key.type == FieldDescriptor.TYPE_STRING:
        return lambda entries: {one: value(entries[one]) for one in entries}
    # Keys of JSON are text: numbers in decimal, and true and false.
    return lambda entries: {str(one).lower(): value(entries[one]) for one in entries}


def _enum(kind: EnumDescriptor) -> Shape:
    names = {number: value.name for number, value in kind.values_by_number.items()}
    return lambda number: names.get(number, number)


def _default(field: FieldDescriptor) -> Any:
    """Return what stands for a field without presence that is not set."""
    if field.is_repeated:
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        return {} if is_map else []
    return _single(field)(field.default_value)


def _same(value: Any) -> Any:
    return value


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return _NOT_FINITE.get(value, "NaN")


def _own(message: Message) -> Any:
    """Return what protobuf makes of a type of its own."""
    return json_format.MessageToDict(message)


def _text(message: Any) -> Any:
    return message.ToJsonString()


def _value(message: Any) -> Any:
    match message.WhichOneof("kind"):
        case "string_value":
            return message.string_value
        case "number_value":
            number = message.number_value
            whole = -_WHOLE_NUMBERS < number < _WHOLE_NUMBERS and number.is_integer()
            return int(number) if whole else _double(number)
        case "bool_value":
            return message.bool_value
        case "struct_value":
            return _struct(message.struct_value)
        case "list_value":
            return _list(message.list_value)
        case _:
            return None


def _struct(message: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in message.fields.items()}


def _list(message: Any) -> list[Any]:
    return [_value(value) for value in message.values]


def _any(message: AnyMessage) -> dict[str, Any]:
    """Return what is packed, with its type; what nobody here knows is shown as bytes."""
    if not message.type_url:
        return {}
    head = {"@type": message.type_url}
    try:
        kind = Default().FindMessageTypeByName(message.type_url.rpartition("/")[2])
        shape = shape_of(kind)
        packed = shape(GetMessageClass(kind).FromString(message.value))
    except (KeyError, DecodeError):
        return {**head, "value": base64.b64encode(message.value).decode()}
    return {**head, **packed} if isinstance(shape, _Fields) else {**head, "value": packed}


_KNOWN: Final[Mapping[str, Shape]] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Duration": _text,
    "google.protobuf.FieldMask": _text,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Timestamp": _text,
    "google.protobuf.Value": _value,
}

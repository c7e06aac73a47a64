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
from functools import cache, lru_cache
from typing import Any, Final

import orjson
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

Shape = Callable[[Any], Any]

#: Types of integers that JSON has as text.
LARGE: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)
_WHOLE_NUMBERS: Final = 2.0**53  #: Below it every whole number is one of a double.
#: What is raised for a packed message that is unknown, broken, or has no form in JSON.
_UNPRINTABLE: Final = (
    DecodeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    json_format.Error,
)
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
        self._shapes: dict[FieldDescriptor, tuple[str, Shape]] = {}

    def __call__(self, message: Message) -> dict[str, Any]:
        """Return an object. Types that contain themselves are why shapes are found late."""
        made = self._absent.copy()
        for field, value in message.ListFields():
            if field not in self._shapes:
                self._shapes[field] = (field.json_name, _shape(field))
            name, shape = self._shapes[field]
            made[name] = value if shape is _same else shape(value)
        return made


def _shape(field: FieldDescriptor) -> Shape:
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
    if field.type in LARGE:
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


def _timestamp(message: Any) -> str:
    """Return a time with as many digits as it needs: none, three, six or nine."""
    second, nanos = _second(message.seconds), message.nanos
    if not nanos:
        return f"{second}Z"
    for digits, unit in ((3, 1_000_000), (6, 1_000)):
        if nanos % unit == 0:
            return f"{second}.{nanos // unit:0{digits}}Z"
    return f"{second}.{nanos:09}Z"


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    """Return the beginning of all times of a second; most that are shown are of a few."""
    return Timestamp(seconds=seconds).ToJsonString().removesuffix("Z")


def _is_whole(number: float) -> bool:
    """Whether an integer can stand for it, which the zero below zero has none for."""
    if number == 0.0:
        return math.copysign(1.0, number) > 0
    return -_WHOLE_NUMBERS < number < _WHOLE_NUMBERS and number.is_integer()


def _value(message: Any) -> Any:
    match message.WhichOneof("kind"):
        case "string_value":
            return message.string_value
        case "number_value":
            number = message.number_value
            return int(number) if _is_whole(number) else _double(number)
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
    """Return what is packed, with its type.

    What nobody here knows, or can print, is shown as bytes: it may be of one in a list of many.
    """
    if not message.type_url:
        return {}
    head = {"@type": message.type_url}
    try:
        kind = Default().FindMessageTypeByName(message.type_url.rpartition("/")[2])
        shape = shape_of(kind)
        packed = shape(GetMessageClass(kind).FromString(message.value))
    except _UNPRINTABLE:
        return {**head, "value": base64.b64encode(message.value).decode()}
    return {**head, **packed} if isinstance(shape, _Fields) else {**head, "value": packed}


_KNOWN: Final[Mapping[str, Shape]] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Duration": _text,
    "google.protobuf.FieldMask": _text,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Value": _value,
}

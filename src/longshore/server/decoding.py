"""Decoding: requests from bytes and, where that fails, what is wrong and in which field.

gRPC would refuse an unreadable request without a reason. So requests are decoded here, and
only where that fails the bytes are walked through once more, by their descriptor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from longshore.core.errors import InvalidFields, Violation
from longshore.core.limits import STRUCT_DEPTH

M = TypeVar("M", bound=Message)

_MOST_MESSAGES: Final = 100  #: Within each other, as readers of protobuf take them.
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}


def decode(kind: type[M], data: bytes) -> M:
    """Return a request. Raises `InvalidFields` naming the field that cannot be read."""
    try:
        return kind.FromString(data)
    except DecodeError:
        descriptor = cast("Descriptor", kind.DESCRIPTOR)
        raise InvalidFields([_diagnosis(descriptor, data)]) from None


class _Unreadable(Exception):
    def __init__(self, path: str, description: str) -> None:
        self.violation = Violation(path, description)


def _diagnosis(descriptor: Descriptor, data: bytes) -> Violation:
    try:
        _walk(descriptor, data, "", 0)
    except _Unreadable as unreadable:
        return unreadable.violation
    return Violation(descriptor.name, "not a message of this type")


def _walk(descriptor: Descriptor, data: bytes, path: str, depth: int) -> None:
    if depth >= _MOST_MESSAGES:
        deepest = f"objects and lists within each other go at most {STRUCT_DEPTH} deep"
        raise _Unreadable(path, deepest)
    seen: Counter[int] = Counter()
    for number, content in _fields(data, path or descriptor.name):
        field = descriptor.fields_by_number.get(number)
        if field is None or content is None:
            continue
        place = _place(path, descriptor, field, seen[number])
        seen[number] += 1
        if field.message_type is not None:
            _walk(field.message_type, content, place, depth + 1)
        elif field.type == FieldDescriptor.TYPE_STRING:
            _check_text(content, place)


def _place(path: str, owner: Descriptor, field: FieldDescriptor, index: int) -> str:
    """Return the path of a field; the inside of a Struct or a map is not told apart."""
    if owner.full_name.startswith("google.") or owner.GetOptions().map_entry:
        return path
    inner = field.message_type
    is_map = inner is not None and inner.GetOptions().map_entry
    suffix = f"[{index}]" if field.is_repeated and not is_map else ""
    return f"{path}.{field.name}{suffix}" if path else f"{field.name}{suffix}"


def _check_text(content: bytes, path: str) -> None:
    try:
        content.decode()
    except UnicodeDecodeError:
        raise _Unreadable(path, "a text that is not UTF-8") from None


def _fields(data: bytes, path: str) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and content of each field; the content of a plain number is None."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position, path)
        number, wire_type = tag >> 3, tag & 7
        length = _FIXED.get(wire_type, 0)
        if wire_type == _VARINT:
            _, position = _varint(data, position, path)
        elif wire_type == _DELIMITED:
            length, position = _varint(data, position, path)
        elif not length:
            raise _Unreadable(path, "not a message of this type")
        if position + length > len(data):
            raise _Unreadable(path, "a message that ends too early")
        is_content = wire_type == _DELIMITED
        yield number, data[position : position + length] if is_content else None
        position += length


def _varint(data: bytes, position: int, path: str) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _Unreadable(path, "a message that ends too early")

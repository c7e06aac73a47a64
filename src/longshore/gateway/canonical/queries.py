"""Queries: fields of a request message by their paths, `page_size=3&ids=1&ids=2&a.b=x`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from longshore.client import Violation
from longshore.gateway.canonical.faults import Invalid
from longshore.gateway.faults import Malformed

#: Messages that are written as one value of text.
_TEXTS: Final = frozenset(
    {"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"}
)
_MOST: Final = 10_000  #: As many as one request may have ids.
_WORDS: Final = {"true": True, "false": False}


def values_of(query: bytes, kind: Descriptor, taken: Collection[str]) -> dict[str, Any]:
    """Return what a query says, as the JSON of a message; `taken` fields are said elsewhere.

    A field goes by its name in the contract or in JSON, enums by name or number. Raises
    `Invalid`, `Malformed`.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST,
        )
    except ValueError as error:
        raise Malformed(f"the query cannot be read: {error}") from None
    found: dict[str, Any] = {}
    unknown: list[Violation] = []
    for path, text in pairs:
        field = _field(kind, path)
        if field is None or path.partition(".")[0] in taken:
            unknown.append(Violation(path, "no such field", "UNKNOWN"))
        elif field.is_repeated:
            found.setdefault(path, []).append(_value(field, text))
        elif path in found:
            unknown.append(Violation(path, "it stands twice", "INVALID"))
        else:
            found[path] = _value(field, text)
    if unknown:
        raise Invalid(unknown)
    return nested(found.items())


def query_fields(
    kind: Descriptor, taken: Collection[str]
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield all paths that a query may name with their fields."""
    for field in kind.fields:
        if field.name in taken:
            continue
        if _is_text(field):
            yield field.name, field
        elif _has_inside(field):
            assert field.message_type is not None
            for path, inner in query_fields(field.message_type, ()):
                yield f"{field.name}.{path}", inner


def nested(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return values by path as objects within each other."""
    made: dict[str, Any] = {}
    for path, value in values:
        *outer, last = path.split(".")
        place = made
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return made


def _field(kind: Descriptor, path: str) -> FieldDescriptor | None:
    """Return the field that a path names, if a query may say what it is."""
    *outer, last = path.split(".")
    for name in outer:
        field = _named(kind, name)
        if field is None or not _has_inside(field) or field.message_type is None:
            return None
        kind = field.message_type
    field = _named(kind, last)
    return field if field is not None and _is_text(field) else None


def _named(kind: Descriptor, name: str) -> FieldDescriptor | None:
    return kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)


def _is_text(field: FieldDescriptor) -> bool:
    return field.message_type is None or field.message_type.full_name in _TEXTS


def _has_inside(field: FieldDescriptor) -> bool:
    """Whether a field is one message of ours: not many, and none of protobuf's own."""
    kind = field.message_type
    return (
        kind is not None
        and not field.is_repeated
        and not kind.full_name.startswith("google.protobuf.")
    )


def _value(field: FieldDescriptor, text: str) -> Any:
    """Return the value of JSON: text, which protobuf reads for all types but one."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _WORDS.get(text, text)
    return text

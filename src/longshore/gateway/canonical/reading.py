"""Reading: the request message out of path, query, headers and body of a request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from starlette.requests import Request

from longshore.client import Violation
from longshore.gateway.canonical.bindings import WHOLE, Binding
from longshore.gateway.canonical.faults import Invalid
from longshore.gateway.canonical.filling import UNREADABLE, fill
from longshore.gateway.canonical.queries import nested, values_of
from longshore.gateway.faults import Malformed, UnsupportedMedia
from longshore.gateway.requests import body_of, parsed_object
from longshore.gateway.settings import Limits

_JSON: Final = re.compile(r"application/([\w.+-]+\+)?json", re.IGNORECASE)
_RESUMED: Final = "after_revision"
_NESTED: Final = re.compile(r"Failed to parse (\S+) field: ")
_REVISION: Final = re.compile(r"[0-9]{1,18}")


async def message_of(
    request: Request, binding: Binding, fields: Mapping[str, str], limits: Limits
) -> Message:
    """Return the message that a request asks with. Raises `Fault`s.

    What the path says counts more than the body, which cannot say otherwise.
    """
    message = binding.request()
    if binding.body:
        _fill(message, await _body(request, binding, limits))
    query = request.scope["query_string"]
    if query:
        if binding.body == WHOLE:
            raise Malformed("this method has no query: all of its fields are in the body")
        taken = {*fields, binding.body}
        _fill(message, values_of(query, binding.input, taken))
    if fields:
        _fill(message, nested(fields.items()))
    if binding.streams:
        _resume(request, binding.input, message)
    return message


async def _body(request: Request, binding: Binding, limits: Limits) -> dict[str, Any]:
    data = await body_of(request, limits.body_bytes)
    if not data.strip():
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    # Pages of other sites can send everything else without asking.
    if not _JSON.fullmatch(kind):
        raise UnsupportedMedia("the body has to be application/json, and to be declared so")
    found = parsed_object(data)
    return found if binding.body == WHOLE else {binding.body: found}


def _resume(request: Request, kind: Descriptor, message: Any) -> None:
    """Let a stream go on where a reader of events lost it."""
    last = request.headers.get("last-event-id")
    if not last or _RESUMED not in kind.fields_by_name:
        return
    if not _REVISION.fullmatch(last):
        raise Malformed("it is no revision", "Last-Event-ID")
    message.after_revision = int(last)


def _fill(message: Message, values: Mapping[str, Any]) -> None:
    """Merge values of JSON into a message. Raises `Invalid`."""
    try:
        fill(message, values)
    except UNREADABLE as error:
        kind = cast("Descriptor", message.DESCRIPTOR)
        raise Invalid(_violations(kind, values, error)) from None


def _violations(
    kind: Descriptor, values: Mapping[str, Any], error: Exception
) -> list[Violation]:
    """Return all names that are unknown or, if there is none, what protobuf found."""
    unknown = [Violation(path, "no such field", "UNKNOWN") for path in _unknown(kind, values)]
    if unknown:
        return unknown
    path, told = _located(str(error))
    return [Violation(path or kind.name, told, "INVALID")]


def _located(told: str) -> tuple[str, str]:
    """Split what protobuf says into the path that it is about and what is wrong there.

    It says `Failed to parse spec field: Failed to parse name field: WHY at Task.spec.name..`,
    or leaves out the place.
    """
    names: list[str] = _NESTED.findall(told)
    why, found, where = _NESTED.sub("", told).rstrip(".").rpartition(" at ")
    if not found or " " in where:
        return ".".join(names), f"{why}{found}{where}"
    path = where.partition(".")[2]
    outside = names and names[-1] not in re.split(r"[.\[]", path)
    return ".".join(filter(None, (path, names[-1] if outside else ""))), why


def _unknown(kind: Descriptor, value: object, path: str = "") -> Iterator[str]:
    """Yield the paths of what a message has no field for; what is inside of maps has none."""
    if not isinstance(value, dict) or kind.full_name.startswith("google.protobuf."):
        return
    by_name = {name: field for field in kind.fields for name in (field.json_name, field.name)}
    for name, inside in cast("dict[str, object]", value).items():
        place = f"{path}.{name}" if path else name
        if name not in by_name:
            yield place
        elif (inner := by_name[name].message_type) is not None:
            yield from _unknown_inside(by_name[name], inner, inside, place)


def _unknown_inside(
    field: FieldDescriptor, kind: Descriptor, value: object, path: str
) -> Iterator[str]:
    if kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"].message_type
        if inner is not None and isinstance(value, dict):
            for key, one in cast("dict[str, object]", value).items():
                yield from _unknown(inner, one, f"{path}[{key}]")
    elif field.is_repeated and isinstance(value, list):
        for index, one in enumerate(cast("list[object]", value)):
            yield from _unknown(kind, one, f"{path}[{index}]")
    else:
        yield from _unknown(kind, value, path)

"""Bodies of requests, read within bounds."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from longshore.gateway.faults import Malformed, TooLarge, UnsupportedMedia
from longshore.gateway.settings import Limits

MULTIPART: Final = "multipart/form-data"

#: Of a body, in which a form that is no longer one of its parts comes to its end.
_END_BYTES: Final = 4 * 1024


def media_type(request: Request) -> str:
    """Return what kind of body a request says it has; empty if it says nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request, limit_bytes: int) -> bytes:
    """Return a whole body. Raises `TooLarge` as soon as there is too much of it."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise TooLarge(f"the body has more than {limit_bytes} bytes")
    return b"".join([chunk async for chunk in bounded(request, limit_bytes).stream()])


def bounded(request: Request, limit_bytes: int) -> Request:
    """Return a request that raises `TooLarge` as soon as there is too much of its body."""
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit_bytes:
            raise TooLarge(f"the body has more than {limit_bytes} bytes")
        return message

    return Request(request.scope, receive)


async def object_of(request: Request, limits: Limits) -> dict[str, Any]:
    """Return the JSON object of a body; an empty body is an empty one.

    Raises `Malformed`, `TooLarge`. Numbers are Python's, names that stand twice are refused,
    and so are NaN and infinities, which JSON does not know.
    """
    data = await body_of(request, limits.body_bytes)
    return parsed_object(data) if data.strip() else {}


def parsed_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object that bytes hold. Raises `Malformed`."""
    try:
        text = data.decode()
        value: object = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
        if "\\u" in text:  # Halves of surrogate pairs can be written so, and are no characters.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed("the body is no JSON object")
    return cast("dict[str, Any]", value)


async def form_of(request: Request, limits: Limits) -> FormData:
    """Return the fields of a form, URL-encoded or multipart. Raises `Fault`s.

    Files in it are on disk; whoever gets the form has to close it.
    """
    kind = media_type(request)
    if kind not in ("application/x-www-form-urlencoded", MULTIPART):
        raise UnsupportedMedia("a form is needed")
    length = request.headers.get("content-length", "")
    most = limits.upload_bytes if kind == MULTIPART else limits.body_bytes
    if length.isdecimal() and int(length) > most:
        raise TooLarge(f"the form has more than {most} bytes")
    end = bytearray()
    try:
        form = await _noted(bounded(request, most), end).form(
            max_files=limits.form_fields,
            max_fields=limits.form_fields,
            max_part_size=limits.body_bytes,
        )
    except HTTPException as error:
        is_too_much = "maximum" in error.detail.lower()
        raise (TooLarge if is_too_much else Malformed)(error.detail) from None
    except UnicodeError as error:  # of a charset whose own errors the parser does not know
        raise Malformed(f"the form cannot be decoded: {error}") from None
    if kind == MULTIPART and not _is_ended(request, end):
        await form.close()
        raise Malformed("the form does not come to its end")
    return form


def _noted(request: Request, end: bytearray) -> Request:
    """Return a request that notes how its body ends."""

    async def receive() -> Message:
        message = await request.receive()
        end.extend(message.get("body", b""))
        del end[:-_END_BYTES]
        return message

    return Request(request.scope, receive)


def _is_ended(request: Request, end: bytearray) -> bool:
    """Whether the end of a form is: the parser takes what there is, and leaves out the rest."""
    _, options = parse_options_header(request.headers["content-type"])
    return b"--" + options[b"boundary"] + b"--" in end


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")

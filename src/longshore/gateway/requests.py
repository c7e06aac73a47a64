"""Bodies of requests, read within bounds."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from longshore.gateway.faults import Malformed, TooLarge
from longshore.gateway.settings import Limits


def media_type(request: Request) -> str:
    """Return what kind of body a request says it has; empty if it says nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request, limit_bytes: int) -> bytes:
    """Return a whole body. Raises `TooLarge` as soon as there is too much of it."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit_bytes:
        raise TooLarge(f"the body has more than {limit_bytes} bytes")
    chunks: list[bytes] = []
    left = limit_bytes
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        left -= len(chunk)
        if left < 0:
            raise TooLarge(f"the body has more than {limit_bytes} bytes")
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


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
        value: object = _DECODER.decode(text)
        if "\\u" in text:  # Halves of surrogate pairs can be written so, and are no characters.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed("the body is no JSON object")
    return cast("dict[str, Any]", value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)

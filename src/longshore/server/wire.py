"""Wire: joining parts of a message that are encoded already.

A field of protobuf stands for itself, fields may come in any order, and the last of a
singular one wins. So a task is the bytes that were stored, and after them what has happened
to it since: nothing is decoded to be encoded again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from longshore.core.limits import CHUNK_BYTES

_VARINT, _DELIMITED = 0, 2


def _varint(number: int) -> bytes:
    if 16_384 <= number < 2_097_152:  # Most revisions and numbers of operations.
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL: Final = tuple(_varint(number) for number in range(16_384))


def varint(number: int) -> bytes:
    """Return a whole number that is not negative."""
    return _SMALL[number] if number < 16_384 else _varint(number)


def number(field: int, value: int) -> bytes:
    """Return a field with a whole number that is not negative, also if it is 0."""
    return _SMALL[field << 3 | _VARINT] + varint(value)


def part(field: int, content: bytes) -> bytes:
    """Return a field with a message, text or bytes, also if it is empty."""
    size = len(content)
    length = _SMALL[size] if size < 16_384 else _varint(size)
    return _SMALL[field << 3 | _DELIMITED] + length + content


def parts(field: int, contents: Iterable[bytes]) -> bytes:
    """Return a repeated field."""
    tag = _SMALL[field << 3 | _DELIMITED]
    return b"".join([tag + varint(len(content)) + content for content in contents])


def sole(field: int, message: bytes) -> memoryview | None:
    """Return a view of the bytes of a field, if a message has no other; a large one unread."""
    if not message or message[0] != _SMALL[field << 3 | _DELIMITED][0]:
        return None
    size = shift = 0
    for position in range(1, min(len(message), 6)):
        size |= (message[position] & 0x7F) << shift
        shift += 7
        if message[position] < 0x80:
            start = position + 1
            return memoryview(message)[start:] if start + size == len(message) else None
    return None


async def stream(
    lead: bytes, field: int, chunks: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    """Yield messages with at most `CHUNK_BYTES` each.

    The lead is in the first, also if there are no chunks.
    """
    async with aclosing(chunks):
        async for chunk in chunks:
            for start in range(0, len(chunk), CHUNK_BYTES):
                yield lead + part(field, chunk[start : start + CHUNK_BYTES])
                lead = b""
    if lead:
        yield lead


_NANOS: Final = tuple(
    b"\x10" + _varint(rest * 1_000_000) if rest else b"" for rest in range(1_000)
)


@lru_cache(maxsize=1_024)
def _seconds(seconds: int) -> bytes:
    return Timestamp(seconds=seconds).SerializeToString()


@lru_cache(maxsize=8_192)
def time(field: int, milliseconds: int | None) -> bytes:
    """Return a field with a time since 1970, or nothing if there is none."""
    if milliseconds is None:
        return b""
    seconds, rest = divmod(milliseconds, 1_000)
    content = _seconds(seconds) + _NANOS[rest]
    return _SMALL[field << 3 | _DELIMITED] + _SMALL[len(content)] + content

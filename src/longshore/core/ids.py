"""Ids: 16 bytes inside, text at the edges."""

from __future__ import annotations

import hashlib

from longshore.core.errors import OperationNotFound


def text_of(operation_id: bytes) -> str:
    """Return the canonical text of a 16-byte id."""
    digits = operation_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def bytes_of(text: str) -> bytes:
    """Return the 16 bytes of an id. Raises `OperationNotFound`: what is no id names nothing."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        try:
            found = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            found = b""
        if len(found) == 16:
            return found
    raise OperationNotFound(text[:100])


def target_of(text: str) -> bytes | int:
    """Return an id, or a number given in decimal. Raises `OperationNotFound`."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    return bytes_of(text)


def named_file(text: str) -> bytes | None:
    """Return the id of the file that `ID` or `files/ID` names; None if it is neither."""
    try:
        return bytes_of(text.removeprefix("files/"))
    except OperationNotFound:
        return None


def derived(first: bytes, time: int) -> bytes:
    """Return the id of what follows from an operation: a UUIDv7 as hard to guess as its own.

    The time is in milliseconds since 1970.
    """
    digits = bytearray(time.to_bytes(6) + hashlib.sha256(first).digest()[:10])
    digits[6] = 0x70 | digits[6] & 0x0F
    digits[8] = 0x80 | digits[8] & 0x3F
    return bytes(digits)

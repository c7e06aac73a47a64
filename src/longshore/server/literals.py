"""Literals: the values that filters compare with, read from text according to their field."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from longshore.core.fields import FieldType
from longshore.core.filters import Pattern
from longshore.core.operations import Kind, State

_TEXT: Final = re.compile(r"(\*?)((?:\\.|[^*\\])*)(\*?)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_INT: Final = re.compile(r"-?[0-9]{1,19}")
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_UUID_PART: Final = re.compile(r"[0-9a-f-]{1,36}", re.IGNORECASE)
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC) - _EPOCH
_LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH


def unescape(raw: str) -> str:
    r"""Return the text in which a backslash made the next character a plain one.

    Only `\\`, `\*`, `\"` and `\'` are escapes. Raises `ValueError` saying so.
    """

    def plain(escape: re.Match[str]) -> str:
        if escape[1] not in "\\*\"'":
            raise ValueError(r"""a backslash stands before one of \ * " ' only""")
        return escape[1]

    return _ESCAPE.sub(plain, raw)


def read_pattern(raw: str) -> Pattern:
    r"""Read a text that may begin or end with `*`; a star of its own is written `\*`.

    Raises `ValueError`.
    """
    parts = _TEXT.fullmatch(raw)
    if parts is None:
        raise ValueError(r"a * stands at the beginning or the end; a star itself is written \*")
    return Pattern(unescape(parts[2]), bool(parts[1]), bool(parts[3]))


def read_value(text: str, kind: FieldType) -> str | int:
    """Read a value as `FieldType` represents it. Raises `ValueError`."""
    try:
        return _READERS[kind](text)
    except (ValueError, KeyError):
        raise ValueError(f"expected {_ALLOWED[kind]}") from None


def read_id_part(text: str) -> str:
    """Read the part of an id that a pattern shows. Raises `ValueError`."""
    if _UUID_PART.fullmatch(text) is None:
        raise ValueError("expected a part of an id: hexadecimal digits and dashes")
    return text.lower()


def _read_id(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise ValueError
    return text.lower()


def _read_int(text: str) -> int:
    if _INT.fullmatch(text) is None or not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError
    return value


def _read_time(text: str) -> int:
    """Read an RFC 3339 time, kept to the millisecond; a leap second is the one before it."""
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise ValueError
    year, month, day, hour, minute, second = (int(parts[n]) for n in range(1, 7))
    micros = int((parts[7] or "").ljust(6, "0")[:6])
    if second == 60:
        second, micros = 59, 999_999
    local = datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC) - _EPOCH
    time = local - _offset(parts[8], parts[9], parts[10])
    if not _EARLIEST <= time <= _LATEST:
        raise ValueError
    return time // timedelta(milliseconds=1)


def _offset(sign: str | None, hours: str, minutes: str) -> timedelta:
    if sign is None:
        return timedelta()
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if sign == "-" else offset


def _read_state(text: str) -> int:
    return int(State[text.upper().removeprefix("STATE_")])


def _read_kind(text: str) -> int:
    return int(Kind[text.upper().removeprefix("KIND_")])


_READERS: Final = MappingProxyType[FieldType, Callable[[str], str | int]](
    {
        FieldType.TEXT: str,
        FieldType.ID: _read_id,
        FieldType.INT: _read_int,
        FieldType.TIME: _read_time,
        FieldType.BOOL: lambda text: {"true": True, "false": False}[text],
        FieldType.STATE: _read_state,
        FieldType.KIND: _read_kind,
    }
)

_ALLOWED: Final = {
    **{kind: kind.value for kind in FieldType},
    FieldType.STATE: f"a state: {', '.join(State.__members__)}",
    FieldType.KIND: f"a kind: {', '.join(Kind.__members__)}",
}

"""File headers: what is said of a file before its bytes, checked and made a change."""

from __future__ import annotations

import unicodedata
from typing import Final

import uuid_utils

from longshore.core.callers import Caller
from longshore.core.errors import FileNotFound, InvalidFields, OperationNotFound, Violation
from longshore.core.file_changes import KeepFile
from longshore.core.files import File
from longshore.core.ids import bytes_of
from longshore.core.limits import (
    FILE_EXPIRE_AFTER_MS,
    FILE_NAME_BYTES,
    FILE_PATH_BYTES,
)
from longshore.server.checks import Flaws, at_most, printable, span_of
from longshore.v1.file_service_pb2 import FileHeader

_FIELD: Final = "header"
_PATH: Final = f"{_FIELD}.path"
_TEXTS: Final = ("content_type", "content_encoding", "content_disposition")
_TEXT_CHARACTERS: Final = 255


def file_id_of(text: str) -> bytes:
    """Return the 16 bytes of a file's id. Raises `FileNotFound`: what is no id names none."""
    try:
        return bytes_of(text)
    except OperationNotFound:
        raise FileNotFound(text[:100]) from None


def keep_file(header: FileHeader, caller: Caller) -> KeepFile:
    """Return the change that keeps the file, but for what only its bytes tell.

    Raises `InvalidFields` with every violation, `LimitExceeded` and `FileNotFound`.
    """
    flaws: Flaws = []
    _check_path(header.path, flaws)
    for name in _TEXTS:
        text: str = getattr(header, name)
        at_most(f"{_FIELD}.{name}", _TEXT_CHARACTERS, len(text))
        printable(text, f"{_FIELD}.{name}", flaws)
    made = header.number != 0 or header.lease_token != 0
    if made:
        _check_made(header, flaws)
    expire_after = None if made else _expire_after(header, flaws)
    if flaws:
        raise InvalidFields(flaws)
    file = File(
        file_id_of(header.file_id) if header.file_id else uuid_utils.uuid7().bytes,
        caller.tenant,
        b"",  # blob
        header.path,
        0,  # size
        b"",  # sha256
        header.content_type,
        header.content_encoding,
        header.content_disposition,
        0,  # create_time
        None,  # expire_time
        header.number if made else None,
        token=header.lease_token,
    )
    return KeepFile(caller, file, expire_after, replace=bool(header.file_id))


def _check_path(path: str, flaws: Flaws) -> None:
    """A path that stays where it is put, whatever system it is written to."""
    at_most(_PATH, FILE_PATH_BYTES, len(path.encode()))
    parts = path.split("/") if path else []
    for part in parts:
        at_most(_PATH, FILE_NAME_BYTES, len(part.encode()))
    if any(unicodedata.category(character) == "Cc" for character in path):
        flaws.append(Violation(_PATH, "control characters are not allowed"))
    elif "\\" in path:
        flaws.append(Violation(_PATH, "folders end with /, not with a backslash"))
    elif not {"", ".", ".."}.isdisjoint(parts):
        relative = "a relative path is needed, without empty parts, . and .."
        flaws.append(Violation(_PATH, relative))


def _check_made(header: FileHeader, flaws: Flaws) -> None:
    """What an operation makes is new, has a path, and stays as long as the operation."""
    for name in ("number", "lease_token"):
        value: int = getattr(header, name)
        if value <= 0:
            reason = "INVALID" if value else "MISSING"
            together = "number and lease_token go together, from 1"
            flaws.append(Violation(f"{_FIELD}.{name}", together, reason))
    if not header.path:
        flaws.append(Violation(_PATH, "a file that an operation makes needs one", "MISSING"))
    if header.file_id:
        new = "a file that an operation makes replaces none"
        flaws.append(Violation(f"{_FIELD}.file_id", new, "NOT_PERMITTED"))
    if header.HasField("expire_after"):
        stays = "a file that an operation makes stays as long as the operation"
        flaws.append(Violation(f"{_FIELD}.expire_after", stays, "NOT_PERMITTED"))


def _expire_after(header: FileHeader, flaws: Flaws) -> int | None:
    """Return for how many milliseconds a file is kept; None: for ever."""
    if not header.HasField("expire_after"):
        return FILE_EXPIRE_AFTER_MS
    span = header.expire_after
    if span.seconds < 0 or span.nanos < 0:
        return None
    return span_of(span, f"{_FIELD}.expire_after", flaws, least=1)

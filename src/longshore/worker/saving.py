"""Saving: under which paths an action saves files, and what it learns of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from longshore.v1.operation_pb2 import File as FileMessage

_PART_BYTES: Final = 255
_PATH_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What is known of a file."""

    file_id: str  #: Empty if it is not kept by Longshore.
    path: str  #: With `/` between folders; may be empty.
    size: int  #: In bytes.
    content_type: str  #: A media type; may be empty.
    sha256: str  #: 64 hexadecimal digits; empty if it is not kept by Longshore.


def info_of(file: FileMessage) -> FileInfo:
    return FileInfo(file.file_id, file.path, file.size, file.content_type, file.sha256)


class Saved:
    """A file that is being saved: awaiting it waits until it safely is, and returns its facts.

    Where nothing can be awaited, in threads and other processes, it is saved already.
    """

    __slots__ = ("_awaited", "_outcome")

    def __init__(self, outcome: FileInfo | asyncio.Task[FileInfo]) -> None:
        self._outcome = outcome
        self._awaited = False
        if isinstance(outcome, asyncio.Task):
            outcome.add_done_callback(_note)

    def __await__(self) -> Generator[Any, None, FileInfo]:
        self._awaited = True
        if isinstance(self._outcome, FileInfo):
            return self._outcome
        return (yield from self._outcome.__await__())

    @property
    def info(self) -> FileInfo:
        """The facts; raises `asyncio.InvalidStateError` while it is not saved."""
        if isinstance(self._outcome, FileInfo):
            return self._outcome
        return self._outcome.result()

    @property
    def seen(self) -> bool:
        """Whether it is saved, or is not, and the action knows."""
        return self._awaited and (isinstance(self._outcome, FileInfo) or self._outcome.done())


def _note(outcome: asyncio.Task[FileInfo]) -> None:
    """Take note of a failure that nobody may ask for: the action may have failed before."""
    if not outcome.cancelled():
        outcome.exception()


class Paths:
    """The paths that one call of an action has saved under; used by any thread."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def take(self, path: str) -> None:
        """Raises `ValueError` if the path is taken."""
        with self._lock:
            if path in self._taken:
                raise ValueError(f"this action has saved a file {path!r} already")
            self._taken.add(path)

    def release(self, path: str) -> None:
        """Let a path be used once more: nothing was saved under it."""
        with self._lock:
            self._taken.discard(path)


def check_path(path: str) -> None:
    """Raises `ValueError` if nothing can be saved under a path, saying why."""
    fault = _fault(path)
    if fault:
        raise ValueError(f"a file cannot be saved as {path!r}: {fault}")


def _fault(path: str) -> str:
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "the path is no Unicode text"
    if not path:
        return "the path is empty"
    if size > _PATH_BYTES:
        return f"the path has {size} bytes, at most {_PATH_BYTES} are allowed"
    if path.startswith("/"):
        return "the path is not relative"
    if "\\" in path:
        return "the path holds a backslash; folders end with '/'"
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in path):
        return "the path holds a control character"
    return next((fault for part in path.split("/") if (fault := _fault_of_part(part))), "")


def _fault_of_part(part: str) -> str:
    if part in ("", ".", ".."):
        return f"the path has a part {part!r}"
    size = len(part.encode())
    if size > _PART_BYTES:
        return f"a part of the path has {size} bytes, at most {_PART_BYTES} are allowed"
    return ""

"""What stands in files that may change: read again when they do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

from longshore.client.errors import InvalidValue

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How often files are looked at, at most.
LOOK_SECONDS: Final = 1.0

#: What tells one state of a file from another; None where there is no file.
_Mark: TypeAlias = tuple[int, int, int] | None


class Reread(Generic[T]):
    """What `read` makes of files. It raises `InvalidValue` if they cannot be used.

    That is raised at the beginning only: later what was read last holds until they can.
    """

    def __init__(
        self,
        files: Sequence[Path],
        read: Callable[[], T],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._read = read
        self._clock = clock
        self._marks: list[_Mark] = _marks(files)
        self._value = read()
        self._due = clock() + LOOK_SECONDS if files else float("inf")

    def now(self) -> T:
        """Return what the files say; the same object as long as they do not change."""
        if self._clock() >= self._due:
            self._look()
        return self._value

    def _look(self) -> None:
        self._due = self._clock() + LOOK_SECONDS
        marks = _marks(self._files)
        if marks == self._marks:
            return
        try:
            value = self._read()
        except InvalidValue as error:
            log.warning("what was read before holds on: %s", error)
            self._marks = marks
            return
        if (
            _marks(self._files) == marks
        ):  # Else one was written meanwhile: the next look takes all.
            self._value, self._marks = value, marks


def _marks(files: Sequence[Path]) -> list[_Mark]:
    return [_mark(file) for file in files]


def _mark(file: Path) -> _Mark:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read(file: Path, what: str) -> bytes:
    """Return what a file holds; raises `InvalidValue`."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidValue(f"{what} {file}: {error.strerror or error}") from None

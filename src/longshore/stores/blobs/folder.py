"""A local folder: what obstore leaves open there.

obstore writes beside the name and renames. It asks the disk for nothing, so that a power cut
takes what was "written"; it reads in steps of 8 KiB, each by a thread, at a tenth of the speed
of the disk; and it neither sees nor removes what broken writes have left.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import AsyncGenerator, Iterable
from io import FileIO
from pathlib import Path
from typing import Final

from longshore.stores.blobs.faults import finished

_STEP: Final = 1024 * 1024  #: Bytes that are read at once.
# Bytes of one blob that the page cache may hold. They go to the disk while more arrives, and
# are let go: so the end of a large file is not awaited for seconds, and it does not drive out
# what others need. (Where memory is fresh, its first use also costs more than the disk.)
WINDOW: Final = 16 * 1024 * 1024


class Folder:
    """The files beneath a root, by the names of their blobs."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def flush(self, name: str) -> None:
        """Send what has come so far of a blob to the disk."""
        with contextlib.suppress(FileNotFoundError):
            _sync(self._unfinished(name, 1), forget=True)

    def keep(self, name: str, *, large: bool) -> None:
        """Return when a whole blob, and its name, would survive a power cut."""
        _sync(self._root / name, forget=large)
        self._sync_names()

    def remove(self, names: Iterable[str]) -> None:
        """Remove blobs and what broken writes have left, so that a power cut revives none."""
        for name in names:
            (self._root / name).unlink(missing_ok=True)
            for number in itertools.count(1):
                try:
                    self._unfinished(name, number).unlink()
                except FileNotFoundError:
                    break
        self._sync_names()

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        """Yield the bytes of a blob; its removal meanwhile takes nothing from who reads."""
        reading = _Reading(self._root / name)
        try:
            while chunk := await finished("read", asyncio.to_thread(reading.step)):
                yield chunk
                if len(chunk) < _STEP:
                    return
        finally:
            reading.close()

    def _unfinished(self, name: str, number: int) -> Path:
        """Return where obstore gathers a blob; it counts up past what others have left."""
        return self._root / f"{name}#{number}"

    def _sync_names(self) -> None:
        if os.name == "posix":
            _sync(self._root, forget=False)


class _Reading:
    """A file that is read from its beginning to its end; opened by the first step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._position = 0
        self._forgotten = 0

    def step(self) -> bytes:
        """Return the next bytes; none at the end."""
        if self._file is None:
            self._file = self._path.open("rb", buffering=0)
            if sys.platform == "linux":
                os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        chunk = self._file.read(_STEP)
        self._position += len(chunk)
        if self._position - self._forgotten >= WINDOW:
            _forget(self._file.fileno(), self._forgotten, self._position)
            self._forgotten = self._position
        return chunk

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _sync(path: Path, *, forget: bool) -> None:
    """Return when a file is on the disk; then let the page cache go if it is not wanted."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if forget:
            _forget(descriptor, 0, 0)
    finally:
        os.close(descriptor)


def _forget(descriptor: int, begin: int, end: int) -> None:
    """Let the page cache go from `begin` to `end`, or to the end of the file if that is 0."""
    if sys.platform == "linux":
        os.posix_fadvise(descriptor, begin, max(end - begin, 0), os.POSIX_FADV_DONTNEED)

"""Folders: what lies below a path, without following symbolic links."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from grpc import StatusCode

from longshore.worker import Context, PermanentError

_BLOCK_BYTES: Final = 1024 * 1024
_WARNINGS: Final = 100  #: Skipped files that are named; the rest is counted only.


class Cancelled(Exception):
    """The work was asked to end."""


class Unreadable(Exception):
    """A file of a folder cannot be read."""


class FoundFile(NamedTuple):
    """A regular file: where it is, its path below the folder asked for, its size in bytes."""

    path: Path
    name: str
    size: int


class Tree:
    """A file or a folder with all that is in it.

    What cannot be read is warned of and counted. Raises `PermanentError` if there is nothing
    at the path, or if it cannot be read itself.
    """

    def __init__(self, path: str, context: Context) -> None:
        if not path or "\0" in path:
            raise PermanentError("the path is no path", code=StatusCode.INVALID_ARGUMENT)
        self.folders = 0
        self.links = 0
        self.skipped = 0
        self.root = Path(path)
        self._context = context
        try:
            self.root = self.root.resolve()
            self._mode = self.root.stat().st_mode
        except (FileNotFoundError, NotADirectoryError, RuntimeError):  # … a loop of links
            raise PermanentError(
                f"there is no file or folder {path!r} on this worker",
                code=StatusCode.NOT_FOUND,
                metadata={"path": path},
            ) from None
        except OSError as error:
            self.skip(self.root, error)

    @property
    def is_folder(self) -> bool:
        """Whether there can be anything below the root."""
        return stat.S_ISDIR(self._mode)

    def files(self) -> Iterator[FoundFile]:
        """Yield all regular files, folder by folder in the order of their names.

        Counts what else there is; to be called once. Raises `Cancelled`.
        """
        if self.is_folder:
            yield from self._below()
        elif stat.S_ISREG(self._mode):
            yield FoundFile(self.root, self.root.name, self.root.stat().st_size)
        else:
            raise PermanentError(
                f"{shown(str(self.root))!r} is neither a file nor a folder",
                code=StatusCode.INVALID_ARGUMENT,
            )

    def listings(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every folder's path below the root, "" or "a/b/", with the names in it.

        Counts as `files` does; to be called once. Raises `Cancelled`.
        """
        pending = [""]
        while pending:
            prefix = pending.pop()
            self.check()
            found = self._entries(self.root / prefix, prefix)
            below = [name for name, entry in found if entry.is_dir(follow_symlinks=False)]
            self.folders += len(below)
            yield prefix, [entry.name for _, entry in reversed(found)]
            pending += [f"{name}/" for name in below]

    def blocks(self, file: FoundFile) -> Iterator[bytes]:
        """Yield a file's content. Raises `Unreadable`, and `Cancelled` between two blocks."""
        with contextlib.ExitStack() as stack:
            with _reading():
                stream = stack.enter_context(file.path.open("rb", buffering=0))
            while True:
                with _reading():
                    block = stream.read(_BLOCK_BYTES)
                if not block:
                    return
                self.check()
                yield block

    def check(self) -> None:
        """Raise `Cancelled` if the work was asked to end."""
        if self._context.cancelled:
            raise Cancelled

    def skip(self, path: Path, error: Exception) -> None:
        """Leave a file or folder out, and say so."""
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if path == self.root:
            raise PermanentError(
                f"{shown(str(path))!r} cannot be read: {why}", code=StatusCode.PERMISSION_DENIED
            )
        self.skipped += 1
        if self.skipped <= _WARNINGS:
            self._context.warning(f"left out {shown(str(path))}: {why}")
        elif self.skipped == _WARNINGS + 1:
            self._context.warning("more was left out, which is not named")

    def _below(self) -> Iterator[FoundFile]:
        pending = self._entries(self.root, "")
        while pending:
            name, entry = pending.pop()
            self.check()
            if entry.is_symlink():
                self.links += 1
            elif entry.is_dir():
                self.folders += 1
                pending += self._entries(Path(entry.path), f"{name}/")
            elif entry.is_file() and (size := self._size(entry)) is not None:
                yield FoundFile(Path(entry.path), name, size)

    def _entries(self, folder: Path, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
        """Return what a folder holds with the names below the root, the last one first."""
        try:
            with os.scandir(folder) as entries:
                found = [(f"{prefix}{entry.name}", entry) for entry in entries]
        except OSError as error:
            self.skip(folder, error)
            return []
        return sorted(found, key=lambda one: one[0], reverse=True)

    def _size(self, entry: os.DirEntry[str]) -> int | None:
        try:
            return entry.stat(follow_symlinks=False).st_size
        except OSError as error:
            self.skip(Path(entry.path), error)
            return None


@contextlib.contextmanager
def _reading() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def shown(path: str) -> str:
    """Return a path as text; bytes in it that are no Unicode become question marks."""
    return path.encode(errors="surrogateescape").decode(errors="replace")

"""Places: where on this machine bytes are put, whole or not at all."""

from __future__ import annotations

import errno
import secrets
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from longshore.client.errors import UnsafePath


class Place:
    """A file that appears, in the place of any other, once all of it is written.

    Its methods wait for the disk, and raise `OSError`.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".longshore-{secrets.token_hex(8)}.part")
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Begin, beside the target."""
        self._file = self._part.open("xb", buffering=0)

    def write(self, piece: bytes) -> None:
        assert self._file
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Let it appear."""
        assert self._file
        self._file.close()
        self._part.replace(self._target)

    def discard(self) -> None:
        """Leave nothing of it."""
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)


def refuse_unsafe(path: str) -> None:
    """Raise `UnsafePath` unless a path is names with `/` between them, on any system."""
    parts = path.split("/")
    if (
        "\\" in path
        or any(ord(character) < 0x20 for character in path)
        or any(part in ("", ".", "..") or PureWindowsPath(part).drive for part in parts)
    ):
        raise UnsafePath(f"a file called {path!r} is not written: it might be anywhere")


def below(folder: Path, path: str) -> Path:
    """Return where a file of a server belongs below a folder; the folders are there then.

    Raises `UnsafePath` if that is elsewhere, also by a symbolic link on the way, and `OSError`
    if a folder cannot be made, or one is called like the file.
    """
    refuse_unsafe(path)
    target = folder.joinpath(*path.split("/"))
    real = target.parent.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise UnsafePath(f"a file called {path!r} is not written: a link leads to {real}")
    real.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "there is a folder of that name", str(target))
    return target

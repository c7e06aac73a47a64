"""A TOML file, replaced as a whole by what a server would take."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock
from tomlkit import TOMLDocument, dumps, parse
from tomlkit.exceptions import ParseError

from longshore.access.configuration import read
from longshore.access.errors import InvalidPrincipals

#: A change takes milliseconds; who waits longer waits for something that hangs.
_PATIENCE_SECONDS: Final = 10.0


@contextmanager
def edited(file: Path, *, make: bool = False) -> Generator[TOMLDocument]:
    """Hand out what a file says; what became of it replaces the file at the end of the block.

    Nobody else changes it meanwhile. With `make` there need not be a file. Raises
    `InvalidPrincipals` if it cannot be read as it is, or could not be as it became, and `OSError`.
    """
    file = file.resolve()  # a link stays one, and what it points to is changed
    file.parent.stat()  # the lock would make the folder of a mistyped name
    with FileLock(f"{file}.lock", timeout=_PATIENCE_SECONDS, mode=0o600):
        document = _parsed(file, make=make)
        yield document
        _replace(file, dumps(document).encode())


def _parsed(file: Path, *, make: bool) -> TOMLDocument:
    if make and not file.exists():
        return TOMLDocument()
    read(file)
    try:
        return parse(file.read_bytes())
    except (ParseError, UnicodeDecodeError) as error:
        raise InvalidPrincipals(file, [str(error)]) from None


def _replace(file: Path, content: bytes) -> None:
    """Replace a file by another that is on disk, and valid, before it takes the name."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as opened:
            _protect(handle, file)
            opened.write(content)
            opened.flush()
            os.fsync(handle)
        _validate(new, file)
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _protect(handle: int, file: Path) -> None:
    """Keep what was decided of owner and group, and let nobody else read it."""
    try:
        before = file.stat()
    except FileNotFoundError:
        return  # made for its owner only
    os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode) & 0o640)


def _validate(new: Path, file: Path) -> None:
    """Raise `InvalidPrincipals`, of the file's own name, if a server would refuse what is new."""
    try:
        read(new)
    except InvalidPrincipals as error:
        raise InvalidPrincipals(file, error.problems) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

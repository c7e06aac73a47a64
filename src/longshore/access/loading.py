"""Loads the file of principals and the key files that it names, and knows when they changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from longshore.access.configuration import Configuration, read
from longshore.access.errors import InvalidPrincipals
from longshore.access.keys import Keys, parse

#: What changes with a file: when it was written, its size, which file it is. None: it is gone.
Stamp: TypeAlias = tuple[int, int, int] | None


class Loaded(NamedTuple):
    """All that files say."""

    configuration: Configuration
    keys: Mapping[Path, Keys]
    stamps: Mapping[Path, Stamp]  #: Of all files, from before they were read.


def load(file: Path) -> Loaded:
    """Read everything. Blocks. Raises `InvalidPrincipals`."""
    stamps = {file: stamp(file)}
    configuration = read(file)
    key_files = {one.keys for one in configuration.issuers if isinstance(one.keys, Path)}
    stamps |= _stamps(key_files)
    return Loaded(configuration, {one: _keys(one) for one in key_files}, stamps)


def load_changed(file: Path, stamps: Mapping[Path, Stamp]) -> Loaded | None:
    """Read everything, as `load` does, unless all files have the stamps that they had."""
    return None if _stamps(stamps) == stamps else load(file)


def stamp(file: Path) -> Stamp:
    """Return the stamp that a file has now."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    return {one: stamp(one) for one in files}


def _keys(file: Path) -> Keys:
    try:
        return parse(file.read_bytes())
    except OSError as error:
        raise InvalidPrincipals(file, [f"cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise InvalidPrincipals(file, [str(error)]) from None

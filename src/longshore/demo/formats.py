"""Formats: what kinds of files a folder holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import puremagic

from longshore.demo.folders import FoundFile, Tree, Unreadable, shown
from longshore.worker import Context

_library: Any = puremagic  # its types are not complete


class Format(NamedTuple):
    """A file format: its name for people, and its media type, which may be empty."""

    name: str
    mime_type: str


_EMPTY = Format("Empty file", "application/x-empty")
_TEXT = Format("Plain text", "text/plain")
_UNKNOWN = Format("Unknown", "application/octet-stream")


def identify_tree(tree: Tree, context: Context) -> dict[str, Any]:
    """Count files and bytes by format, the most frequent first."""
    found = list(tree.files())
    counts: dict[str, dict[str, Any]] = {}
    for index, file in enumerate(found, start=1):
        tree.check()
        try:
            known = format_of(tree, file)
        except (OSError, Unreadable) as error:
            tree.skip(file.path, error)
            continue
        fresh = {"name": known.name, "mime_type": known.mime_type, "files": 0, "bytes": 0}
        count = counts.setdefault(known.name.casefold(), fresh)
        count["files"] += 1
        count["bytes"] += file.size
        context.progress(index, len(found), "files", shown(file.name))
    formats = sorted(counts.values(), key=lambda count: (-count["files"], count["name"]))
    return {
        "root": str(tree.root),
        "files": sum(count["files"] for count in formats),
        "formats": formats,
        "skipped": tree.skipped,
    }


def format_of(tree: Tree, file: FoundFile) -> Format:
    """Name a file's format by its first and last bytes, or else by its name.

    Raises `Unreadable`, or `OSError` if it became so meanwhile.
    """
    first = next(iter(tree.blocks(file)), b"")
    if not first:
        return _EMPTY
    matches = _library.magic_file(file.path)
    if matches:
        return Format(matches[0].name or matches[0].extension, matches[0].mime_type)
    return _TEXT if _is_text(first) else _UNKNOWN


def _is_text(block: bytes) -> bool:
    """Whether some bytes are UTF-8, of whose last character some may be missing."""
    if b"\0" in block:
        return False
    try:
        block.decode()
    except UnicodeDecodeError as error:
        return error.start > len(block) - 4
    return True

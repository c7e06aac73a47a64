"""Ids as the dialect takes them: whole, so that whoever knows one was told it."""

from __future__ import annotations

from typing import Final

from longshore.gateway.dialects import is_id
from longshore.gateway.mdworkbench.errors import NoMatch

_FILES: Final = "files/"


def whole(text: str, what: str) -> str:
    """Return an id of something. Raises `NoMatch`: what is no id names nothing."""
    if not is_id(text):
        raise NoMatch(f"no {what} matches {text[:100]!r}")
    return text.lower()


def file_argument(text: str, base: str) -> str:
    """Return what names a file to the server: `files/ID` for the URI of a storage or an id."""
    file_id = text.removeprefix(f"{base}/storage/").removeprefix(_FILES)
    return f"{_FILES}{file_id}" if is_id(file_id) else text


def shown_file(argument: str) -> str | None:
    """Return the id of the file that `file_argument` named; None if it did not."""
    file_id = argument.removeprefix(_FILES)
    return file_id if argument.startswith(_FILES) and is_id(file_id) else None

"""What the contract says of its elements; generated with the code, which has none of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def comment(full_name: str) -> str:
    """Return the comment of an element, in Markdown; empty for what is not of the contract."""
    return _comments().get(full_name, "")


def summary(text: str) -> str:
    """Return the first sentence of a comment."""
    first, found, _ = text.replace("\n", " ").partition(". ")
    return f"{first}." if found else first


@cache
def _comments() -> Mapping[str, str]:
    read: dict[str, str] = json.loads(
        files("longshore.v1").joinpath("comments.json").read_text(encoding="utf-8")
    )
    return read

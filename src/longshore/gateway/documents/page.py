"""The page that shows the document, and tries what it says: one file, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Page(NamedTuple):
    """The page, and what browsers are to let it do: that and nothing else."""

    html: bytes
    policy: str


@cache
def whole_page() -> Page:
    """Return the page with its style and its script inside."""
    style, script = _read("page.css"), _read("page.js")
    html = _read("page.html").replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    )
    return Page(html.encode(), policy)


def _read(name: str) -> str:
    return files("longshore.gateway.documents").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"

"""Mounting: what stands below a path, all of it."""

from __future__ import annotations

import re

from starlette.routing import Mount
from starlette.types import ASGIApp


class Below(Mount):
    """A mount that every path below its own belongs to. In Starlette's there are no line feeds,
    so that whoever sends one would be answered by nobody whom he knows.
    """

    def __init__(self, path: str, app: ASGIApp) -> None:
        super().__init__(path, app)
        self.path_regex = re.compile(rf"{re.escape(self.path)}/(?P<path>.*)", re.DOTALL)

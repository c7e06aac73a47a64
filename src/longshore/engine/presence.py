"""Whether the store is there: known by the writer, asked and waited for by all others."""

from __future__ import annotations

import asyncio


class Presence:
    """Begins with a store that is there."""

    def __init__(self) -> None:
        #: Set while the store is there.
        self.here = asyncio.Event()
        #: Set while it is not.
        self.gone = asyncio.Event()
        self.here.set()

    def leave(self) -> None:
        """Say that the store is gone."""
        self.here.clear()
        self.gone.set()

    def come_back(self) -> None:
        """Say that the store is there again."""
        self.gone.clear()
        self.here.set()

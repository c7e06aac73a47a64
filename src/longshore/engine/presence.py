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
        self._left_at = 0.0  # On the loop's clock.

    def leave(self) -> None:
        """Say that the store is gone."""
        self.here.clear()
        self.gone.set()
        self._left_at = asyncio.get_running_loop().time()

    def come_back(self) -> None:
        """Say that the store is there again."""
        self.gone.clear()
        self.here.set()

    def is_gone_for(self, seconds: float) -> bool:
        """Tell whether the store has been gone for longer than that."""
        return (
            self.gone.is_set() and asyncio.get_running_loop().time() - self._left_at > seconds
        )

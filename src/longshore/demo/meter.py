"""Progress in bytes."""

from __future__ import annotations

from longshore.worker import Context


class Meter:
    """Counts bytes and tells the operation."""

    def __init__(self, total: int, context: Context) -> None:
        self.done = 0
        self._total = total
        self._context = context

    def add(self, size: int, name: str) -> None:
        """Count the bytes of a block of some file. Files may have grown since they were found."""
        self.done += size
        total = max(self._total, self.done)
        self._context.progress(self.done, total, "bytes", name)

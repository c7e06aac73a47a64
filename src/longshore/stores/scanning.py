"""Scans that end in time, however long a store's history is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

#: After so long a scan ends with what it has found, and a count without a result.
SCAN_SECONDS = 0.2

_FIRST_WINDOW: Final = 2_048  #: Rows that are looked at in one go; doubled each time.
_LARGEST_WINDOW: Final = 65_536


def windows(low: int, high: int, *, descending: bool = False) -> Iterator[tuple[int, int]]:
    """Yield adjoining ranges (both ends included) until all is covered or time is over."""
    deadline = time.monotonic() + SCAN_SECONDS
    size = _FIRST_WINDOW
    while low <= high:
        if descending:
            first, last = max(low, high - size + 1), high
            high = first - 1
        else:
            first, last = low, min(high, low + size - 1)
            low = last + 1
        yield first, last
        if time.monotonic() >= deadline:
            return
        size = min(2 * size, _LARGEST_WINDOW)

"""Scans that end in time, however long the store's history is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any, Final

#: After so long a scan ends with what it has found, and a count without a result.
SCAN_SECONDS = 0.2

_FIRST_WINDOW: Final = 2_048  #: Rows that are looked at in one go; doubled each time.
_LARGEST_WINDOW: Final = 65_536
_STEPS_BETWEEN_LOOKS: Final = 20_000  #: Of SQLite's machine, between looks at the clock.


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


def count_in_time(
    connection: sqlite3.Connection, sql: str, parameters: tuple[Any, ...]
) -> int | None:
    """Return the number that a query gives, or None if it takes too long."""
    deadline = time.monotonic() + SCAN_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() >= deadline, _STEPS_BETWEEN_LOOKS)
    try:
        (count,) = connection.execute(sql, parameters).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return int(count)

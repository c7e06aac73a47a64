"""The stores that the suite is run against, and what a test does to them from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from longshore.core.plans import Codec
from longshore.core.store import Store
from longshore.stores.sqlite.store import SqliteStore

Clock = Callable[[], int]


@contextlib.contextmanager
def sqlite_disk_full(store: Store) -> Generator[None]:
    """Let the file not grow any more."""
    # Only the writing connection can be limited, and only from inside.
    applier = cast("SqliteStore", store)._open.applier  # pyright: ignore[reportPrivateUsage]
    connection = applier._connection  # pyright: ignore[reportPrivateUsage]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 4294967294")


@dataclass(frozen=True)
class Candidate:
    """How a store is made, and which capabilities it lacks, each with the reason."""

    make: Callable[[Path, Codec, Clock], Store]  #: Not yet opened; a path names one store.
    disk_full: Callable[[Store], AbstractContextManager[None]]
    lacks: Mapping[str, str] = field(default_factory=dict[str, str])


CANDIDATES = {
    "sqlite": Candidate(
        make=lambda place, codec, clock: SqliteStore(place / "store.db", codec, clock),
        disk_full=sqlite_disk_full,
    ),
}

"""The stores that the suite is run against, and what a test does to them from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from longshore.core.plans import Codec
from longshore.core.store import Store
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.sqlite.store import SqliteStore
from tests.tools.postgres import databases

Clock = Callable[[], int]


@contextlib.contextmanager
def sqlite_disk_full(store: Store, place: Path) -> Generator[None]:
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
    """How a store is made, filled up, and removed without a trace. A place has one store."""

    make: Callable[[Path, Codec, Clock], Store]  #: Not yet opened.
    disk_full: Callable[[Store, Path], AbstractContextManager[None]]
    remove: Callable[[Path], None]  #: After it was closed.
    shared: bool  #: Whether several servers may have it open.
    url: Callable[[Path], str]  #: As the command line has it.


CANDIDATES = {
    "sqlite": Candidate(
        make=lambda place, codec, clock: SqliteStore(place / "store.db", codec, clock),
        disk_full=sqlite_disk_full,
        remove=lambda _: None,  # The folder is removed as a whole.
        shared=False,
        url=lambda place: f"sqlite:{place / 'store.db'}",
    ),
    "postgres": Candidate(
        make=lambda place, codec, clock: PostgresStore(databases().url(place), codec, clock),
        disk_full=lambda _, place: databases().disk_full(place),
        remove=lambda place: databases().give_back(place),
        shared=True,
        url=lambda place: databases().url(place),
    ),
}

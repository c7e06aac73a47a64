"""How a file is: its schema, and how much is in it, also while a server has it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from longshore.stores.condition import Condition
from longshore.stores.copying import UNFINISHED
from longshore.stores.sqlite import schema
from longshore.stores.sqlite.connections import snapshot, translated
from longshore.stores.sqlite.copying import is_unfinished

_COUNTS: Final = """
    SELECT kind, state, sum(count) FROM counts
    GROUP BY kind, state HAVING sum(count) > 0 ORDER BY kind, state
"""


def condition(path: str) -> Condition:
    """Return how a file is, without changing it. Raises `StoreUnavailable`."""
    file = Path(path).resolve()
    if not file.exists():
        return Condition((), schema.pending(Database(memory=True)), 0)
    with translated(), closing(_opened(file)) as connection, snapshot(connection):
        database = Database(connection)
        applied, pending = schema.applied(database), schema.pending(database)
        if not applied:
            return Condition(applied, pending, _size(file))
        (revision,) = connection.execute("SELECT revision FROM head").fetchone()
        rows = connection.execute(_COUNTS)
        counts = {(kind, state): count for kind, state, count in rows}
        warnings = [UNFINISHED] if is_unfinished(connection) else []
        return Condition(applied, pending, _size(file), revision, counts, warnings)


def _opened(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)


def _size(file: Path) -> int:
    """Return how many bytes the file has, with what is not yet in it."""
    parts: Sequence[Path] = (file, file.with_name(f"{file.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())

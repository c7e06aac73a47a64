"""The catalog: read again part by part, as far as its parts have changed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from longshore.core.batch import Batch
from longshore.core.changes import Mode
from longshore.core.store import Catalog
from longshore.stores.sqlite import installation
from longshore.stores.sqlite.head import read_lanes, read_sessions

_HEAD: Final = "SELECT revision, compacted, mode, resume_on_restart FROM head"

Versions = Mapping[str, int]


def _services(connection: sqlite3.Connection) -> dict[tuple[str, str], bytes]:
    rows = connection.execute("SELECT tenant, slug, document FROM services")
    return {(tenant, slug): document for tenant, slug, document in rows}


#: How each part is read.
_PARTS: Final[dict[str, Callable[[sqlite3.Connection], Any]]] = {
    "services": _services,
    "queues": installation.queues,
    "contracts": installation.contracts,
    "schedules": installation.schedules,
    "sessions": read_sessions,
    "lanes": read_lanes,
}

#: What a batch has changed of each part.
_CHANGED: Final[dict[str, Callable[[Batch], Any]]] = {
    "services": lambda batch: batch.installation.services,
    "queues": lambda batch: batch.installation.queues,
    "contracts": lambda batch: batch.installation.contracts,
    "schedules": lambda batch: batch.installation.schedules,
    "sessions": lambda batch: batch.sessions,
    "lanes": lambda batch: batch.lanes.new,
}


class Catalogs:
    """Reads catalogs, and of those parts that are as they were nothing.

    So a schedule that fires does not cost the reading of every contract. What is kept is never
    older than its version: that is counted up after a commit, and asked for before a read.
    """

    def __init__(self) -> None:
        self._versions: Counter[str] = Counter()
        self._kept: dict[str, tuple[int, Any]] = {}

    def note(self, batch: Batch) -> None:
        """Count the changes of a batch that was committed."""
        for part in _PARTS:
            self._versions[part] += bool(_CHANGED[part](batch))

    def versions(self) -> Versions:
        """Return what `read` is to be given, before its snapshot begins."""
        return dict(self._versions)

    def read(self, versions: Versions, connection: sqlite3.Connection) -> Catalog:
        """Return the catalog; the connection is in a snapshot."""
        revision, compacted, mode, resume = connection.execute(_HEAD).fetchone()
        return Catalog(
            revision=revision,
            compacted=compacted,
            mode=Mode(mode),
            resume_on_restart=bool(resume),
            **{part: self._part(part, versions.get(part, 0), connection) for part in _PARTS},
        )

    def _part(self, part: str, version: int, connection: sqlite3.Connection) -> Any:
        kept = self._kept.get(part)
        if kept is None or kept[0] != version:
            kept = self._kept[part] = version, _PARTS[part](connection)
        return kept[1]

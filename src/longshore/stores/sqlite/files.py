"""Files, their blobs and who takes them: how they are kept and found again."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from typing import Final

from longshore.core.file_ledger import FileLedger
from longshore.core.files import File
from longshore.core.store import Channel
from longshore.stores.sqlite.values import select_listed

_FILE: Final = ", ".join(File._fields)
_BY_ID: Final = f"SELECT {_FILE} FROM files WHERE id = ?"
_MADE: Final = f"SELECT {_FILE} FROM files WHERE number IN (:list)"
_TAKERS: Final = """
    SELECT number FROM uses JOIN operations USING (number) WHERE file = ? AND state < 4
"""
_USES: Final = "SELECT file FROM uses WHERE number = ?"
_TAKEN: Final = """
    EXISTS (
        SELECT 1 FROM uses JOIN operations ON operations.number = uses.number
        WHERE uses.file = files.id AND operations.state < 4
    )
"""
_DUE: Final = f"SELECT {_FILE} FROM files WHERE expire_time <= ? AND NOT {_TAKEN} LIMIT ?"
_KEPT: Final = f"""
    SELECT {_FILE} FROM files
    WHERE tenant = ? AND (expire_time IS NULL OR expire_time > ? OR {_TAKEN}) AND id IN (:list)
"""
_BLOB: Final = "SELECT until FROM blobs WHERE blob = ?"
_DUE_BLOBS: Final = "SELECT blob FROM blobs WHERE until <= ? ORDER BY until LIMIT ?"
_CHANNEL: Final = """
    SELECT revision, number, (
        SELECT sum(length(data)) FROM documents WHERE documents.number = channels.number
    ) FROM channels
    WHERE tenant = ? AND stream = ? AND revision > ? AND end_time >= ?
    ORDER BY revision LIMIT ?
"""
#: The last of those that are left out because too many are newer.
_BEYOND: Final = """
    SELECT revision FROM channels WHERE tenant = ? AND stream = ?
    ORDER BY revision DESC LIMIT 1 OFFSET ?
"""

_PUT_FILE: Final = (
    f"INSERT OR REPLACE INTO files ({_FILE}) VALUES ({', '.join('?' * len(File._fields))})"
)


class FileRows:
    """What a batch reads of files; see `core.rows.Rows`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def file(self, file_id: bytes) -> File | None:
        row = self._connection.execute(_BY_ID, (file_id,)).fetchone()
        return None if row is None else File._make(row)

    def files_of(self, numbers: Sequence[int]) -> list[File]:
        return [File._make(row) for row in select_listed(self._connection, _MADE, numbers)]

    def takers(self, file_id: bytes) -> list[int]:
        return [number for (number,) in self._connection.execute(_TAKERS, (file_id,))]

    def uses_of(self, number: int) -> list[bytes]:
        return [file for (file,) in self._connection.execute(_USES, (number,))]

    def blob(self, blob: bytes) -> int | None:
        row = self._connection.execute(_BLOB, (blob,)).fetchone()
        return None if row is None else int(row[0])

    def due_files(self, now: int, limit: int) -> list[File]:
        return [File._make(row) for row in self._connection.execute(_DUE, (now, limit))]

    def due_blobs(self, now: int, limit: int) -> list[bytes]:
        return [blob for (blob,) in self._connection.execute(_DUE_BLOBS, (now, limit))]


def kept_files(
    tenant: str, ids: Sequence[bytes], now: int, connection: sqlite3.Connection
) -> list[File | None]:
    """Return files in the order asked for."""
    rows = select_listed(connection, _KEPT, ids, tenant, now)
    found = {file.id: file for file in map(File._make, rows)}
    return [found.get(one) for one in ids]


def arrivals(asked: Channel, connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Return what waits in a channel."""
    tenant, stream, after, limit, since, newest, room = asked
    if newest:
        beyond = connection.execute(_BEYOND, (tenant, stream, newest)).fetchone()
        after = max(after, beyond[0]) if beyond else after
    found: list[tuple[int, int]] = []
    left = math.inf if room is None else room
    rows = connection.execute(_CHANNEL, (tenant, stream, after, since, limit))
    for revision, number, size in rows:
        left -= size or 0
        if found and left < 0:
            break
        found.append((revision, number))
    rows.close()
    return found


def write_files(ledger: FileLedger, connection: sqlite3.Connection) -> None:
    """Write what a batch has made of files; most have made nothing."""
    if not ledger.touched:
        return
    gone = [(one,) for one, file in ledger.files.items() if file is None]
    connection.executemany("DELETE FROM files WHERE id = ?", gone)
    connection.executemany(_PUT_FILE, (one for one in ledger.files.values() if one is not None))
    free = [(blob,) for blob, until in ledger.blobs.items() if until is None]
    connection.executemany("DELETE FROM blobs WHERE blob = ?", free)
    timed = [(blob, until) for blob, until in ledger.blobs.items() if until is not None]
    connection.executemany("INSERT OR REPLACE INTO blobs (blob, until) VALUES (?, ?)", timed)
    uses = [(file, number) for number, taken in ledger.uses.items() for file in taken]
    connection.executemany("INSERT INTO uses (file, number) VALUES (?, ?)", uses)

"""Files, their blobs and who takes them: what a batch reads and writes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from longshore.core.file_ledger import FileLedger
from longshore.core.files import File
from longshore.stores.postgres.bridge import Reader
from longshore.stores.postgres.connections import Connection

_FILE: Final = ", ".join(File._fields)
_BY_IDS: Final = f"SELECT {_FILE} FROM files WHERE id = ANY($1::bytea[])"
_MADE: Final = f"SELECT {_FILE} FROM files WHERE number = ANY($1::bigint[])"
_TAKERS: Final = """
    SELECT file, number FROM uses JOIN operations USING (number)
    WHERE file = ANY($1::bytea[]) AND state < 4
"""
_USES: Final = "SELECT file FROM uses WHERE number = $1"
#: Holds for files that an operation takes which has not ended. It is asked of one file after
#: the other: `EXISTS` would let the planner read all uses of all files first.
TAKEN: Final = """
    coalesce((
        SELECT TRUE FROM uses JOIN operations ON operations.number = uses.number
        WHERE uses.file = files.id AND operations.state < 4 LIMIT 1
    ), FALSE)
"""
_DUE: Final = f"""
    SELECT {_FILE} FROM files WHERE expire_time <= $1 AND NOT {TAKEN}
    ORDER BY expire_time LIMIT $2
"""
_BLOBS: Final = "SELECT blob, until FROM blobs WHERE blob = ANY($1::bytea[])"
_DUE_BLOBS: Final = "SELECT blob FROM blobs WHERE until <= $1 ORDER BY until LIMIT $2"

_PUT_FILE: Final = f"""
    INSERT INTO files ({_FILE})
    VALUES ({", ".join(f"${at}" for at in range(1, len(File._fields) + 1))})
    ON CONFLICT (id) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in File._fields[1:])}
"""
_DROP_FILES: Final = "DELETE FROM files WHERE id = ANY($1::bytea[])"
_PUT_BLOB: Final = """
    INSERT INTO blobs (blob, until) VALUES ($1, $2)
    ON CONFLICT (blob) DO UPDATE SET until = excluded.until
"""
_DROP_BLOBS: Final = "DELETE FROM blobs WHERE blob = ANY($1::bytea[])"
_INSERT_USES: Final = """
    INSERT INTO uses (file, number) SELECT * FROM unnest($1::bytea[], $2::bigint[])
"""


class FileRows(Reader):
    """What a batch reads of files; see `core.rows.Rows`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        # What was read beforehand, or by the way; None: there is none.
        self._files: dict[bytes, File | None] = {}
        self._blobs: dict[bytes, int | None] = {}
        self._takers: dict[bytes, list[int]] = {}

    def read_files(self, ids: Iterable[bytes]) -> None:
        """Read files in bulk, so that they are not read one by one."""
        unread = list(dict.fromkeys(one for one in ids if one not in self._files))
        if unread:
            self._files.update(dict.fromkeys(unread))
            self._note(map(File._make, self.fetch(_BY_IDS, unread)))

    def read_blobs(self, blobs: Iterable[bytes]) -> None:
        """Read in bulk until when blobs may be written."""
        unread = list(dict.fromkeys(one for one in blobs if one not in self._blobs))
        if unread:
            self._blobs.update(dict.fromkeys(unread))
            self._blobs.update((blob, until) for blob, until in self.fetch(_BLOBS, unread))

    def _note(self, files: Iterable[File]) -> list[File]:
        noted = list(files)
        self._files.update((file.id, file) for file in noted)
        return noted

    def file(self, file_id: bytes) -> File | None:
        self.read_files([file_id])
        return self._files[file_id]

    def files_of(self, numbers: Sequence[int]) -> list[File]:
        if not numbers:
            return []
        made = self._note(map(File._make, self.fetch(_MADE, numbers)))
        self._read_takers([file.id for file in made])  # Mostly asked for next, one by one.
        return made

    def _read_takers(self, ids: Sequence[bytes]) -> None:
        if ids:
            self._takers.update((one, []) for one in ids)
            for file_id, number in self.fetch(_TAKERS, ids):
                self._takers[file_id].append(number)

    def takers(self, file_id: bytes) -> list[int]:
        if file_id not in self._takers:
            self._read_takers([file_id])
        return self._takers[file_id]

    def uses_of(self, number: int) -> list[bytes]:
        return [file for (file,) in self.fetch(_USES, number)]

    def blob(self, blob: bytes) -> int | None:
        self.read_blobs([blob])
        return self._blobs[blob]

    def due_files(self, now: int, limit: int) -> list[File]:
        due = self._note(map(File._make, self.fetch(_DUE, now, limit)))
        self._takers.update((file.id, []) for file in due)
        return due

    def due_blobs(self, now: int, limit: int) -> list[bytes]:
        return [blob for (blob,) in self.fetch(_DUE_BLOBS, now, limit)]


async def write_files(ledger: FileLedger, connection: Connection) -> None:
    """Write what a batch has made of files; most have made nothing."""
    if not ledger.touched:
        return
    if gone := [one for one, file in ledger.files.items() if file is None]:
        await connection.execute(_DROP_FILES, gone)
    if kept := [one for one in ledger.files.values() if one is not None]:
        await connection.executemany(_PUT_FILE, kept)
    if free := [blob for blob, until in ledger.blobs.items() if until is None]:
        await connection.execute(_DROP_BLOBS, free)
    if timed := [(blob, until) for blob, until in ledger.blobs.items() if until is not None]:
        await connection.executemany(_PUT_BLOB, timed)
    if uses := [(file, number) for number, taken in ledger.uses.items() for file in taken]:
        await connection.execute(_INSERT_USES, *zip(*uses, strict=True))

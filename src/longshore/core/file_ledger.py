"""The file ledger: what a batch knows of files, of their blobs and of who takes them."""

from __future__ import annotations

from typing import Final

from longshore.core.files import File
from longshore.core.operations import FIRST_TERMINAL, Operation
from longshore.core.rows import Rows

#: The `blobs` time of what is to be removed, and can no longer be kept.
DOOMED: Final = 0


class FileLedger:
    """Files as the batch leaves them; reads what it has not touched from the store."""

    def __init__(self, rows: Rows, operations: dict[int, Operation]) -> None:
        self._rows = rows
        self._operations = operations
        self.files: dict[bytes, File | None] = {}  #: None: no longer kept.
        #: Blobs that no file has, each with the time from which it is removed; None: one has.
        self.blobs: dict[bytes, int | None] = {}
        self.uses: list[tuple[bytes, int]] = []  #: Files, and numbers that take them.

    @property
    def touched(self) -> bool:
        return bool(self.files or self.blobs or self.uses)

    def get(self, file_id: bytes) -> File | None:
        if file_id in self.files:
            return self.files[file_id]
        return self._rows.file(file_id)

    def found(self, file_id: bytes, tenant: str, now: int) -> File | None:
        """Return a tenant's file, unless it has expired and nobody takes it any more."""
        file = self.get(file_id)
        if file is None or file.tenant != tenant:
            return None
        if file.expire_time is None or file.expire_time > now or self.taken_by(file_id):
            return file
        return None

    def made_by(self, number: int) -> list[File]:
        """Return the files that an operation has made, in the order of their ids."""
        merged = {**{one.id: one for one in self._rows.files_of(number)}, **self.files}
        found = [one for one in merged.values() if one is not None and one.number == number]
        return sorted(found, key=lambda one: one.id)

    def taken_by(self, file_id: bytes) -> list[int]:
        """Return the numbers of operations that take a file and have not ended."""
        numbers = {*self._rows.takers(file_id)}
        numbers.update(number for one, number in self.uses if one == file_id)
        return sorted(number for number in numbers if not self._has_ended(number))

    def _has_ended(self, number: int) -> bool:
        operation = self._operations.get(number)
        return operation is not None and operation.state >= FIRST_TERMINAL

    def uses_of(self, number: int) -> list[bytes]:
        """Return the files that an operation takes, whether or not they are still kept."""
        own = [file_id for file_id, user in self.uses if user == number]
        return own or self._rows.uses_of(number)

    def writable(self, blob: bytes) -> bool:
        """Tell whether a blob was announced, and has not been given up since."""
        until = self.blobs[blob] if blob in self.blobs else self._rows.blob(blob)
        return until is not None and until != DOOMED

    def keep(self, file: File) -> None:
        self.files[file.id] = file
        self.blobs[file.blob] = None

    def drop(self, file: File) -> None:
        """Forget a file; its blob is removed by the next sweep."""
        self.files[file.id] = None
        self.blobs[file.blob] = DOOMED

    def due_files(self, now: int, limit: int) -> list[File]:
        """Return uploaded files that have expired and that nobody takes."""
        due = [self.files.get(one.id, one) for one in self._rows.due_files(now, limit)]
        return [
            one
            for one in due
            if one is not None
            and one.expire_time is not None
            and one.expire_time <= now
            and not self.taken_by(one.id)
        ]

    def due_blobs(self, now: int, limit: int) -> list[bytes]:
        """Return blobs that are to be removed now."""
        own = {blob for blob, until in self.blobs.items() if until is not None and until <= now}
        stored = {blob for blob in self._rows.due_blobs(now, limit) if blob not in self.blobs}
        return sorted(own | stored)[:limit]

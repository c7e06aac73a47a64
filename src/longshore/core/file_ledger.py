"""The file ledger: what a batch knows of files, of their blobs and of who takes them."""

from __future__ import annotations

from collections.abc import Iterable
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
        self.uses: dict[int, list[bytes]] = {}  #: By number, what new operations take.
        self._made: dict[int, dict[bytes, File]] = {}  # By number and id, as it is now.

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

    def read_made(self, numbers: Iterable[int]) -> None:
        """Read in bulk what operations have made, so that it is not read one by one."""
        unread = [number for number in numbers if number not in self._made]
        self._made.update((number, {}) for number in unread)
        for file in self._rows.files_of(unread):
            self._made[file.number or 0][file.id] = file

    def made_by(self, number: int) -> list[File]:
        """Return the files that an operation has made, in the order of their ids."""
        return sorted(self._made_by(number).values(), key=lambda one: one.id)

    def _made_by(self, number: int) -> dict[bytes, File]:
        self.read_made([number])
        return self._made[number]

    def taken_by(self, file_id: bytes) -> list[int]:
        """Return the numbers of operations that take a file and have not ended."""
        numbers = {*self._rows.takers(file_id)}
        numbers.update(number for number, taken in self.uses.items() if file_id in taken)
        return sorted(number for number in numbers if not self._has_ended(number))

    def _has_ended(self, number: int) -> bool:
        operation = self._operations.get(number)
        return operation is not None and operation.state >= FIRST_TERMINAL

    def uses_of(self, number: int) -> list[bytes]:
        """Return the files that an operation takes, whether or not they are still kept."""
        return self.uses.get(number) or self._rows.uses_of(number)

    def writable(self, blob: bytes) -> bool:
        """Tell whether a blob was announced, and has not been given up since."""
        until = self.blobs[blob] if blob in self.blobs else self._rows.blob(blob)
        return until is not None and until != DOOMED

    def keep(self, file: File) -> None:
        if file.number is not None:
            self._made_by(file.number)[file.id] = file
        self.files[file.id] = file
        self.blobs[file.blob] = None

    def drop(self, file: File) -> None:
        """Forget a file; its blob is removed by the next sweep."""
        if file.number is not None:
            self._made_by(file.number).pop(file.id, None)
        self.files[file.id] = None
        self.blobs[file.blob] = DOOMED

    def disown(self, file: File, now: int) -> None:
        """Forget what an operation has made; for those that take it, once they have ended."""
        self.drop(file)
        if self.taken_by(file.id):
            self.keep(file._replace(number=None, expire_time=now))

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

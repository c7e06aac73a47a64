"""Files as a store has to keep them, in the most direct words, for the test of random changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from longshore.core.file_changes import KeepFile
from longshore.core.files import File
from longshore.core.reports import Assignment


@dataclass
class Kept:
    """A file: its blob, when it expires, and by whom and when it was made, if it was."""

    blob: bytes
    expire_time: int | None
    maker: int | None = None
    path: str = ""
    content: bytes = b""
    token: int = 0
    step: int = 0


@dataclass
class Work:
    """An operation, as far as files are concerned."""

    number: int
    takes: set[bytes]
    state: str = "queued"  # running, ended or expired
    step: int = 0
    lease: Assignment | None = None
    reports: int = 0

    @property
    def takes_on(self) -> bool:
        return self.state in ("queued", "running")


@dataclass
class Books:
    """Files, and all blobs that were ever announced, as a store has to keep them."""

    now: int
    files: dict[bytes, Kept] = field(default_factory=dict[bytes, Kept])
    #: Blobs that no file has, with the time from which they are removed; 0: given up.
    free: dict[bytes, int] = field(default_factory=dict[bytes, int])
    forgotten: set[bytes] = field(default_factory=set[bytes])
    work: list[Work] = field(default_factory=list[Work])

    def taken(self, file_id: bytes) -> bool:
        return any(one.takes_on and file_id in one.takes for one in self.work)

    def due(self, file_id: bytes) -> bool:
        until = self.files[file_id].expire_time
        return until is not None and until <= self.now and not self.taken(file_id)

    def there(self, file_id: bytes) -> bool:
        return file_id in self.files and not self.due(file_id)

    def keep(self, change: KeepFile, content: bytes) -> bytes | str:
        """Return the id of the file that is kept, or the refusal."""
        file = change.file
        if self.free.get(file.blob, 0) == 0:
            return "UploadGivenUp"
        if file.number is not None:
            return self.make(file, content)
        if change.replace:
            if not self.there(file.id):
                return "FileNotFound"
            if self.files[file.id].maker is not None:
                return "WrongState"
            self.drop(file.id)
        assert change.expire_after is not None
        self.files[file.id] = Kept(file.blob, self.now + change.expire_after)
        del self.free[file.blob]
        return file.id

    def make(self, file: File, content: bytes) -> bytes | str:
        work = self.work[(file.number or 0) - 1]
        held = work.lease.operation.token if work.lease else 0
        if work.state != "running" or held != file.token:
            return "LeaseLost"
        for file_id, one in self.files.items():
            if (one.maker, one.path) == (work.number, file.path):
                if (one.token, one.content) != (file.token, content):
                    return "InvalidFields"
                self.free[file.blob] = 0
                return file_id
        del self.free[file.blob]
        self.files[file.id] = Kept(
            file.blob, None, work.number, file.path, content, file.token, work.step
        )
        return file.id

    def drop(self, file_id: bytes) -> None:
        self.free[self.files.pop(file_id).blob] = 0

    def disown(self, work: Work, first_step: int) -> None:
        """Forget what an operation has made from a step on, but for what others take."""
        for file_id, file in list(self.files.items()):
            if file.maker == work.number and file.step >= first_step:
                if self.taken(file_id):
                    file.maker, file.expire_time = None, self.now
                else:
                    self.drop(file_id)

    def delete(self, file_id: bytes) -> str | None:
        if not self.there(file_id):
            return "FileNotFound"
        if self.files[file_id].maker is not None or self.taken(file_id):
            return "WrongState"
        self.drop(file_id)
        return None

    def submit(self, files: set[bytes]) -> int | str:
        if not all(map(self.there, files)):
            return "FileNotFound"
        self.work.append(Work(len(self.work) + 1, files))
        return len(self.work)

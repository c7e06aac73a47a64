"""Files as tests send and fetch them: by the contract's stubs, message by message."""

from __future__ import annotations

import contextlib
import hashlib
import random
import resource
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from longshore.engine.clock import MovableClock
from longshore.v1.file_service_pb2 import (
    DownloadFileRequest,
    DownloadFileResponse,
    FileHeader,
    UploadFileRequest,
)
from longshore.v1.operation_pb2 import File
from tests.acceptance.office import Office
from tests.acceptance.processes import Server
from tests.acceptance.waiting import within
from tests.service.harness import serving

MIB = 1024 * 1024
PIECE_BYTES = 256 * 1024
FOR_EVER = Duration(seconds=-1)

#: Later than this nobody may still write a blob that was announced before.
_GIVEN_UP_MS = 2 * 60 * 60 * 1_000


def cargo(size: int, seed: int | str = 0) -> bytes:
    """Return bytes that are like no others of another seed."""
    return random.Random(seed).randbytes(size)


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def header(file_id: str = "", path: str = "", *, lasting: bool = False) -> FileHeader:
    """Return the header of a file that is kept for half an hour, or for ever."""
    return FileHeader(file_id=file_id, path=path, expire_after=FOR_EVER if lasting else None)


def messages_of(data: bytes, first: FileHeader) -> Iterator[UploadFileRequest]:
    """Yield the messages of an upload: the header, the pieces, the digest."""
    yield UploadFileRequest(header=first)
    for start in range(0, len(data), PIECE_BYTES):
        yield UploadFileRequest(data=data[start : start + PIECE_BYTES])
    yield UploadFileRequest(sha256=digest_of(data))


async def upload(office: Office, data: bytes, first: FileHeader | None = None) -> File:
    """Upload all of a file."""
    answer = await within(
        office.files.UploadFile(messages_of(data, first or header())), "an upload"
    )
    return answer.file


class Upload:
    """An upload that goes on only as far as a test lets it."""

    def __init__(self, office: Office, data: bytes, first: FileHeader) -> None:
        self._messages = messages_of(data, first)
        self.call = office.files.UploadFile()

    async def send(self, count: int | None = None) -> None:
        """Send so many further messages, or all that there are."""
        for sent, message in enumerate(self._messages, 1):
            await within(self.call.write(message), "room for a message")
            if sent == count:
                return

    async def finish(self) -> None:
        """Send all that is left and say that this was all; the answer is not waited for."""
        await self.send()
        await self.call.done_writing()


async def download(office: Office, file_id: str) -> tuple[File, bytes]:
    """Download a file, which must be what is said of it."""
    stream = office.files.DownloadFile(DownloadFileRequest(file_id=file_id))
    first = await within(stream.read(), "the first message of a download")
    assert isinstance(first, DownloadFileResponse)
    pieces = [first.data]
    while isinstance(message := await within(stream.read(), "more"), DownloadFileResponse):
        assert not message.HasField("file")
        pieces.append(message.data)
    data = b"".join(pieces)
    assert (first.file.size, first.file.sha256) == (len(data), digest_of(data))
    return first.file, data


def folder_of(store: Path) -> Path:
    """Return where a server keeps files unless it is told otherwise."""
    return store.with_name(f"{store.name}.files")


def blobs_in(store: Path) -> list[str]:
    """Return the names in the folder of files, also of what is not whole."""
    return sorted(path.name for path in folder_of(store).iterdir())


def whole_in(store: Path) -> int:
    """Return how many whole files there are in the folder."""
    return sum("#" not in name for name in blobs_in(store))


def check_kept(store: Path, *data: bytes) -> None:
    """In the folder there is what these files hold, and not a byte more."""
    found = Counter(digest_of(path.read_bytes()) for path in folder_of(store).iterdir())
    assert found == Counter(map(digest_of, data))


async def sweep_later(store: Path) -> None:
    """Let a server over a store that nobody serves sweep, when uploads are given up."""
    clock = MovableClock()
    clock.move(_GIVEN_UP_MS)
    async with serving(store, clock=clock) as world:
        await world.engine.files.sweep()


@contextlib.contextmanager
def store_held(store: Path) -> Generator[None]:
    """Let nobody else write to a store, for less than a second."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def room_in_files(server: Server, size: int) -> Generator[None]:
    """Let the system refuse a server what goes beyond a size in any file, as a full disk does."""
    limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)

"""Uploads: from whatever holds bytes, and what becomes of those that are cut short."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from longshore.client import (
    Client,
    DeadlineExceeded,
    InvalidArgument,
    Unavailable,
)
from longshore.client.sync import SyncClient
from tests.tools.proxy import Proxy
from tests.tools.shelf import MIB, Shelf, standing, status

DATA = bytes(range(256)) * 10_000  # 2.44 MiB
PIECES = [MIB, MIB, len(DATA) - 2 * MIB]

GONE = status(StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")

#: Long enough for a loaded machine; nothing waits for it unless something is broken.
PATIENCE_SECONDS = 45.0


class Watched(Shelf):
    """A shelf that says when it is done with an upload, be it as it may."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    async def _upload(self, requests: AsyncIterator[Any], context: Any) -> Any:
        self.ended.clear()
        try:
            return await super()._upload(requests, context)
        finally:
            self.ended.set()


@pytest.fixture
async def address(shelf: Watched) -> AsyncIterator[str]:
    async with standing(shelf) as address:
        yield address


@pytest.fixture
def shelf() -> Watched:
    return Watched()


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, timeout=PATIENCE_SECONDS) as client:
        yield client


def parts(size: int) -> Iterator[bytes]:
    for start in range(0, len(DATA), size):
        yield DATA[start : start + size]


async def later(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def on_disk(folder: Path) -> Path:
    path = folder / "data.csv"
    path.write_bytes(DATA)
    return path


class Slow(io.BytesIO):
    """A file that gives less than it is asked for, as pipes do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 1, 70_000))


SOURCES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda _: DATA,
    "a bytearray": lambda _: bytearray(DATA),
    "a view": lambda _: memoryview(DATA),
    "a path": on_disk,
    "a path as text": lambda folder: str(on_disk(folder)),
    "an open file": lambda folder: on_disk(folder).open("rb"),
    "a file that gives less": lambda _: Slow(DATA),
    "a list": lambda _: list(parts(300_000)),
    "small parts": lambda _: parts(1_000),
    "large parts": lambda _: parts(len(DATA)),
    "parts of a message": lambda _: parts(MIB),
    "asynchronous parts": lambda _: later(parts(7_777)),
    "empty parts": lambda _: [b"", DATA, b"", b""],
}


@pytest.mark.parametrize("source", SOURCES)
async def test_a_file_is_uploaded_from(
    source: str, shelf: Watched, client: Client, tmp_path: Path
) -> None:
    made = SOURCES[source](tmp_path)
    file = await client.files.upload(made, path="kept")
    assert shelf.kept == {"kept": DATA}
    assert shelf.pieces == PIECES
    assert (file.path, file.size) == ("kept", len(DATA))
    if isinstance(made, io.BufferedIOBase):
        made.close()


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB])
async def test_files_of_any_size_arrive_whole(
    size: int, shelf: Watched, client: Client
) -> None:
    await client.files.upload(DATA[:size], path="kept")
    assert shelf.kept == {"kept": DATA[:size]}


@pytest.mark.parametrize(
    "name, kind",
    [
        ("notes.txt", "text/plain"),
        ("bag.tar.gz", "application/gzip"),
        ("bag.tar.xz", "application/x-xz"),
        ("nothing", ""),
    ],
)
async def test_the_name_and_type_of_a_path_are_its_own(
    name: str, kind: str, shelf: Watched, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    await client.files.upload(path)
    await client.files.upload(path, path="a/b.json", content_type="text/x-mine")
    told = [(header.path, header.content_type) for header in shelf.headers]
    assert told == [(name, kind), ("a/b.json", "text/x-mine")]


async def test_it_is_told_how_many_bytes_are_through(client: Client) -> None:
    told: list[int] = []
    await client.files.upload(DATA, path="kept", told=told.append)
    assert told == [MIB, 2 * MIB, len(DATA)]


async def test_what_a_source_raises_reaches_the_caller_and_nothing_is_kept(
    shelf: Watched, client: Client
) -> None:
    error = LookupError("no more")

    def broken() -> Iterator[bytes]:
        yield DATA
        raise error

    async def broken_later() -> AsyncIterator[bytes]:
        yield DATA
        raise error

    for source in (broken(), broken_later()):
        with pytest.raises(LookupError) as raised:
            await client.files.upload(source, path="kept")
        assert raised.value is error
        async with asyncio.timeout(PATIENCE_SECONDS):
            await shelf.ended.wait()
    assert shelf.kept == {}


@pytest.mark.parametrize("source", [["text"], io.StringIO("text"), 7, [b"x", None]])
async def test_only_bytes_are_uploaded(source: Any, shelf: Watched, client: Client) -> None:
    with pytest.raises(TypeError, match="uploaded"):
        await client.files.upload(source, path="kept")
    assert shelf.kept == {}


async def test_a_file_that_cannot_be_read_says_why(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await client.files.upload(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        await client.files.upload(tmp_path)


async def test_a_generator_is_closed_where_it_ran_when_an_upload_is_refused(
    shelf: Watched, client: Client
) -> None:
    threads: list[threading.Thread] = []
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                threads.append(threading.current_thread())
                yield bytes(MIB)
        finally:
            threads.append(threading.current_thread())
            closed.set()

    shelf.refusals = [status(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "header.path")]
    with pytest.raises(InvalidArgument) as raised:
        await client.files.upload(endless(), path="../kept")
    assert [one.field for one in raised.value.violations] == ["header.path"]
    assert await asyncio.to_thread(closed.wait, PATIENCE_SECONDS)
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


async def test_an_asynchronous_source_runs_in_the_task_of_the_caller_and_is_closed(
    shelf: Watched, client: Client
) -> None:
    closed: list[Any] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(MIB)
        finally:
            closed.append(asyncio.current_task())

    shelf.refusals = [status(StatusCode.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE")]
    with pytest.raises(InvalidArgument):
        await client.files.upload(endless(), path="kept")
    assert closed == [asyncio.current_task()]


async def test_a_server_that_takes_nothing_is_not_sent_more(
    shelf: Watched, address: str
) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            drawn.append(1)
            yield bytes(MIB)

    shelf.going_on.clear()
    async with Client(address, timeout=2) as client:  # … in which it also has to connect.
        with pytest.raises(DeadlineExceeded, match="nothing went on for 2 s"):
            await client.files.upload(endless(), path="kept")
    assert len(drawn) < 20
    assert shelf.kept == {}


async def test_an_upload_that_is_cancelled_is_given_up(shelf: Watched, client: Client) -> None:
    shelf.going_on.clear()
    uploading = asyncio.create_task(client.files.upload(DATA, path="kept"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await shelf.arrived.wait()
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading
        await shelf.ended.wait()
    assert shelf.kept == {}


async def test_what_can_be_read_again_is_sent_again_when_no_server_was_there(
    shelf: Watched, client: Client, tmp_path: Path
) -> None:
    for source in (DATA, on_disk(tmp_path)):
        shelf.refusals, told = [GONE, GONE], list[int]()
        await client.files.upload(source, path="kept", told=told.append)
        assert shelf.kept.pop("kept") == DATA
        assert told[-1] == len(DATA)
    assert len(shelf.headers) == 6


async def test_what_cannot_be_read_again_is_sent_once(shelf: Watched, client: Client) -> None:
    shelf.refusals = [GONE]
    with pytest.raises(Unavailable):
        await client.files.upload(parts(MIB), path="kept")
    assert len(shelf.headers) == 1


async def test_a_file_that_may_be_there_for_ever_is_not_sent_again(
    shelf: Watched, client: Client
) -> None:
    for_ever = timedelta(seconds=-1)
    shelf.refusals = [GONE]
    with pytest.raises(Unavailable):
        await client.files.upload(b"x", path="kept", expire_after=for_ever)
    shelf.refusals = [GONE]
    await client.files.upload(b"x", path="kept", expire_after=for_ever, file_id="f-1")
    shelf.refusals = [GONE]
    await client.files.upload(b"x", path="kept")
    assert len(shelf.headers) == 5


async def test_an_upload_outlives_a_broken_connection(shelf: Watched, address: str) -> None:
    async with (
        Proxy(address) as proxy,
        Client(proxy.address, timeout=PATIENCE_SECONDS) as client,
    ):
        shelf.going_on.clear()
        uploading = asyncio.create_task(client.files.upload(DATA, path="kept"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await shelf.arrived.wait()
            proxy.cut()
            await shelf.ended.wait()
            shelf.going_on.set()
            await uploading
    assert shelf.kept == {"kept": DATA}


async def test_a_generator_may_wait_for_what_the_loop_does(
    shelf: Watched, client: Client
) -> None:
    other = threading.Event()

    def waiting() -> Iterator[bytes]:
        yield DATA
        assert other.wait(PATIENCE_SECONDS)
        yield DATA

    uploading = asyncio.create_task(client.files.upload(waiting(), path="slow"))
    await client.files.upload(b"x", path="fast")
    other.set()
    await uploading
    assert shelf.kept == {"fast": b"x", "slow": DATA * 2}


async def test_code_that_does_not_await_uploads_what_it_downloads(
    shelf: Watched, address: str
) -> None:
    shelf.kept["kept"] = DATA

    def copied() -> None:
        with SyncClient(address, timeout=PATIENCE_SECONDS) as client:
            client.files.upload(client.files.read("kept"), path="copy")
            client.files.upload((part for part in client.files.read("copy")), path="again")

    await asyncio.to_thread(copied)
    assert shelf.kept == {"kept": DATA, "copy": DATA, "again": DATA}

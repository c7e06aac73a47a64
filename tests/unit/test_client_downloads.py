"""Downloads: whole or not at all, and nowhere but where they belong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from longshore.client import (
    CallError,
    Client,
    Damaged,
    DeadlineExceeded,
    NotFound,
    TaskHandle,
    Unavailable,
    UnsafePath,
)
from longshore.client.places import below
from longshore.client.sync import SyncClient
from longshore.v1 import file_service_pb2 as files
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1 import operation_pb2 as operation
from longshore.v1 import task_service_pb2 as tasks
from tests.tools.proxy import Proxy
from tests.tools.recorder import recorder
from tests.tools.shelf import MIB, Shelf, standing

DATA = bytes(range(256)) * 10_000  # 2.44 MiB

#: Long enough for a loaded machine; nothing waits for it unless something is broken.
PATIENCE_SECONDS = 45.0


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.kept = {"a/data.bin": DATA, "empty": b""}
    return shelf


@pytest.fixture
async def address(shelf: Shelf) -> AsyncIterator[str]:
    async with standing(shelf) as address:
        yield address


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address, timeout=PATIENCE_SECONDS) as client:
        yield client


def found(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


async def test_a_file_is_read_piece_by_piece(client: Client) -> None:
    async with client.files.read("a/data.bin") as reading:
        assert (await reading.file()).size == len(DATA)
        pieces = [piece async for piece in reading]
    assert [len(piece) for piece in pieces] == [MIB, MIB, len(DATA) - 2 * MIB]
    assert b"".join(pieces) == DATA


async def test_an_empty_file_is_whole_without_a_byte(client: Client, tmp_path: Path) -> None:
    reading = client.files.read("empty")
    assert (await reading.file()).path == "empty"
    assert [piece async for piece in reading] == []
    assert (await client.files.download("empty", tmp_path)).read_bytes() == b""


@pytest.mark.parametrize("piece", [1_000, MIB, 3 * MIB])
async def test_a_file_is_downloaded_in_place_of_another(
    piece: int, shelf: Shelf, client: Client, tmp_path: Path
) -> None:
    target, told = tmp_path / "here.bin", list[int]()
    target.write_text("another")
    shelf.piece_bytes = piece
    assert await client.files.download("a/data.bin", target, told=told.append) == target
    assert target.read_bytes() == DATA
    assert found(tmp_path) == ["here.bin"]
    assert (told[0], told[-1]) == (min(piece, len(DATA)), len(DATA))


async def test_in_a_folder_a_file_has_the_last_part_of_its_name(
    client: Client, tmp_path: Path
) -> None:
    assert await client.files.download("a/data.bin", str(tmp_path)) == tmp_path / "data.bin"
    assert (tmp_path / "data.bin").read_bytes() == DATA


async def test_what_arrives_otherwise_than_it_was_stored_is_damaged_and_not_kept(
    shelf: Shelf, client: Client, tmp_path: Path
) -> None:
    shelf.damage = True
    reading = client.files.read("a/data.bin")
    for _ in range(3):
        await anext(reading)
    with pytest.raises(Damaged, match=r"2560000 bytes .* arrived"):
        await anext(reading)
    with pytest.raises(Damaged):
        await anext(reading)
    kept = tmp_path / "data.bin"
    kept.write_text("as it was")
    with pytest.raises(Damaged):
        await client.files.download("a/data.bin", tmp_path)
    assert found(tmp_path) == ["data.bin"]
    assert kept.read_text() == "as it was"


async def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    told = operation.File(file_id="7", size=4, sha256="00" * 32)
    async with recorder() as peer, Client(peer.address, timeout=PATIENCE_SECONDS) as client:
        for said in ([files.DownloadFileResponse(file=told, data=b"abc")], []):
            peer.ready = [*said, StatusCode.OK]
            with pytest.raises(Damaged):
                await client.files.download("7", tmp_path / "x")
    assert found(tmp_path) == []


async def test_nothing_is_kept_of_a_download_that_breaks(
    shelf: Shelf, address: str, tmp_path: Path
) -> None:
    begun = asyncio.Event()
    async with (
        Proxy(address) as proxy,
        Client(proxy.address, timeout=PATIENCE_SECONDS) as client,
    ):
        shelf.going_on.clear()
        downloading = asyncio.create_task(
            client.files.download("a/data.bin", tmp_path, told=lambda _: begun.set())
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            await begun.wait()  # One that breaks before is begun again.
            proxy.cut()
            with pytest.raises(Unavailable):
                await downloading
    shelf.going_on.set()
    assert found(tmp_path) == []


async def test_nothing_is_kept_of_a_download_that_is_cancelled(
    shelf: Shelf, client: Client, tmp_path: Path
) -> None:
    begun = asyncio.Event()
    shelf.going_on.clear()
    downloading = asyncio.create_task(
        client.files.download("a/data.bin", tmp_path, told=lambda _: begun.set())
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        await begun.wait()
        assert len(found(tmp_path)) == 1
        downloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await downloading
    shelf.going_on.set()
    assert found(tmp_path) == []


async def test_a_download_that_has_not_begun_waits_for_a_server(tmp_path: Path) -> None:
    async with recorder() as server, Client(server.address, timeout=PATIENCE_SECONDS) as client:
        first = launches.DownloadLaunchFilesResponse(data=b"zip")
        server.ready = [StatusCode.UNAVAILABLE, StatusCode.UNAVAILABLE, first, StatusCode.OK]
        target = await client.launches.download("launch-1", tmp_path / "files.zip")
        assert target.read_bytes() == b"zip"
        server.ready = [first, StatusCode.UNAVAILABLE, first, StatusCode.OK]
        with pytest.raises(Unavailable):
            await client.launches.download("launch-1", tmp_path / "files.zip")


async def test_a_download_that_stands_still_ends(
    shelf: Shelf, address: str, tmp_path: Path
) -> None:
    shelf.going_on.clear()
    async with Client(address, timeout=0.2) as client:
        with pytest.raises(DeadlineExceeded, match=r"nothing went on for 0\.2 s"):
            await client.files.download("a/data.bin", tmp_path)
    shelf.going_on.set()
    assert found(tmp_path) == []


async def test_a_file_that_is_not_there_leaves_no_trace(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound) as raised:
        await client.files.download("missing", tmp_path / "x")
    assert raised.value.reason == "FILE_NOT_FOUND"
    with pytest.raises(FileNotFoundError):
        await client.files.download("a/data.bin", tmp_path / "missing" / "x")
    assert found(tmp_path) == []


async def test_a_part_is_never_taken_for_the_whole(client: Client, tmp_path: Path) -> None:
    reading = client.files.read("a/data.bin")
    await anext(reading)
    with pytest.raises(RuntimeError, match="a part has been handed out"):
        await reading.save(tmp_path / "x")
    reading.close()
    with pytest.raises(Unavailable, match="was closed"):
        await anext(reading)
    reading = client.files.read("a/data.bin")
    waiting = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(Unavailable, match="broken off"):
        await anext(reading)


UNSAFE = [
    "",
    "/etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/./x",
    "a//x",
    "a/",
    "a\\x",
    "..\\x",
    "C:",
    "C:/x",
    "a/C:x",
    "//host/share/x",
    "a\0x",
    "a\nx",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_a_path_that_leads_anywhere_else_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafePath):
        below(tmp_path / "folder", path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "out").symlink_to(outside)
    (folder / "in").symlink_to(folder)
    with pytest.raises(UnsafePath, match="a link leads to"):
        below(folder, "out/new/x")
    assert list(outside.iterdir()) == []
    assert below(folder, "in/new/x") == folder / "in" / "new" / "x"
    assert (folder / "new").is_dir()


async def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(
    client: Client, tmp_path: Path
) -> None:
    outside, link = tmp_path / "outside", tmp_path / "data.bin"
    outside.write_text("as it was")
    link.symlink_to(outside)
    await client.files.download("a/data.bin", tmp_path)
    assert outside.read_text() == "as it was"
    assert link.read_bytes() == DATA


def task(*paths: str) -> tasks.Task:
    made = [
        operation.File(file_id=f"f-{path}", path=path, size=3, sha256=SHA256) for path in paths
    ]
    return tasks.Task(metadata=operation.Metadata(id="7"), status=operation.Status(files=made))


SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # abc


def downloads(of: tasks.Task) -> list[Message | StatusCode]:
    """Return what a server says to whoever downloads all files of a task."""
    said: list[Message | StatusCode] = [tasks.GetTaskResponse(task=of)]
    for file in of.status.files:
        said += [files.DownloadFileResponse(file=file, data=b"abc"), StatusCode.OK]
    return said


async def test_all_files_of_an_operation_are_downloaded_with_their_folders(
    tmp_path: Path,
) -> None:
    made = task("a/b/c.txt", "a/d.txt", "e.txt")
    folder, told = tmp_path / "new", list[int]()
    async with recorder() as peer, Client(peer.address, timeout=PATIENCE_SECONDS) as client:
        peer.ready = [tasks.GetTaskResponse(task=task()), *downloads(made)]
        handle = await client.tasks.get("7")
        assert isinstance(handle, TaskHandle)
        saved = await handle.download(folder, told=told.append)
        peer.ready = downloads(made)
        assert await handle.files() == list(made.status.files)
    assert saved == [folder / file.path for file in made.status.files]
    assert [one.read_bytes() for one in saved] == [b"abc"] * 3
    assert told == [3, 6, 9]


@pytest.mark.parametrize("bad", ["../x", "a.txt/x"])
async def test_files_that_cannot_be_placed_are_refused(bad: str, tmp_path: Path) -> None:
    async with recorder() as peer, Client(peer.address, timeout=PATIENCE_SECONDS) as client:
        peer.ready = [tasks.GetTaskResponse(task=task()), *downloads(task("a.txt", bad))]
        handle = await client.tasks.get("7")
        with pytest.raises((UnsafePath, OSError)):
            await handle.download(tmp_path / "new")
    assert found(tmp_path) == ([] if ".." in bad else ["new/a.txt"])


async def test_a_file_is_not_put_into_a_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    async with recorder() as peer, Client(peer.address, timeout=PATIENCE_SECONDS) as client:
        peer.ready = [tasks.GetTaskResponse(task=task()), *downloads(task("a.txt"))]
        handle = await client.tasks.get("7")
        with pytest.raises(IsADirectoryError):
            await handle.download(tmp_path)
    assert found(tmp_path) == []


async def test_the_files_of_a_launch_are_downloaded_as_one_zip(tmp_path: Path) -> None:
    pieces = [launches.DownloadLaunchFilesResponse(data=data) for data in (b"PK", b"", b"zip")]
    async with recorder() as peer, Client(peer.address, timeout=PATIENCE_SECONDS) as client:
        peer.ready = [*pieces, StatusCode.OK, *pieces, StatusCode.OK, *pieces]
        assert await client.launches.download("7", tmp_path) == tmp_path / "7.zip"
        assert await client.launches.download("7", tmp_path / "x") == tmp_path / "x"
        peer.ready.append(StatusCode.INTERNAL)
        with pytest.raises(CallError):
            await client.launches.download("7", tmp_path / "y")
    assert found(tmp_path) == ["7.zip", "x"]
    assert (tmp_path / "x").read_bytes() == b"PKzip"


async def test_code_that_does_not_await_downloads_as_well(address: str, tmp_path: Path) -> None:
    def downloaded() -> Any:
        with SyncClient(address, timeout=PATIENCE_SECONDS) as client:
            with client.files.read("a/data.bin") as reading:
                assert reading.file().path == "a/data.bin"
                assert b"".join(reading) == DATA
            return client.files.download("a/data.bin", tmp_path)

    assert (await asyncio.to_thread(downloaded)).read_bytes() == DATA

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.errors import FilesUnavailable
from longshore.stores.blobs import ObstoreBlobs

MIB = 1024 * 1024
NAME = "0192f3a40000700080000000000000ab"
# Around all that decides how a blob is written: gathered chunks, one part, many.
SIZES = st.lists(
    st.sampled_from([0, 1, 100, 65_536, 262_143, 262_144, MIB - 1, MIB, MIB + 1, 3 * MIB]),
    max_size=12,
)


@pytest.fixture
async def blobs(tmp_path: Path) -> ObstoreBlobs:
    blobs = ObstoreBlobs(str(tmp_path / "files"))
    await blobs.open()
    return blobs


@asynccontextmanager
async def fresh() -> AsyncGenerator[tuple[ObstoreBlobs, Path]]:
    """Blobs for one example, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        blobs = ObstoreBlobs(folder)
        await blobs.open()
        yield blobs, Path(folder)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pieces(sizes: Sequence[int]) -> list[bytes]:
    return [bytes([number % 251 + 1]) * size for number, size in enumerate(sizes)]


async def given_as(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(blobs: ObstoreBlobs, name: str = NAME) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(name)])


@contextmanager
def files_limited_to(size: int) -> Generator[None]:
    """Let the system refuse what goes beyond `size` in any file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@settings(max_examples=30, deadline=None)
@given(SIZES)
async def test_what_was_written_is_read_as_it_was_in_chunks_that_fit_a_message(
    sizes: list[int],
) -> None:
    async with fresh() as (blobs, folder):
        await blobs.write(NAME, given_as(pieces(sizes)))
        chunks = [chunk async for chunk in blobs.read(NAME)]
        assert b"".join(chunks) == b"".join(pieces(sizes))
        assert all(0 < len(chunk) <= MIB for chunk in chunks)
        assert kept(folder) == [NAME]


@settings(max_examples=30, deadline=None)
@given(SIZES, st.data())
async def test_of_a_blob_whose_producer_fails_nothing_is_kept(
    sizes: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(sizes)))

    async def failing() -> AsyncIterator[bytes]:
        for chunk in pieces(sizes[:cut]):
            yield chunk
        raise OSError("the caller is gone")

    async with fresh() as (blobs, folder):
        with pytest.raises(OSError, match="the caller is gone"):
            await blobs.write(NAME, failing())
        assert kept(folder) == []


@settings(max_examples=30, deadline=None)
@given(SIZES, st.data())
async def test_of_a_blob_whose_writer_is_canceled_nothing_is_kept(
    sizes: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(sizes)))

    async def canceling() -> AsyncIterator[bytes]:
        writer = asyncio.current_task()
        assert writer is not None
        for number, chunk in enumerate(pieces(sizes)):
            if number == cut:
                writer.cancel()
            yield chunk
        if cut == len(sizes):
            writer.cancel()

    async with fresh() as (blobs, folder):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(blobs.write(NAME, canceling()))
        assert kept(folder) == []


async def test_a_writer_that_is_canceled_twice_still_leaves_nothing(
    blobs: ObstoreBlobs, tmp_path: Path
) -> None:
    waiting = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield bytes(5 * MIB)
        waiting.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(blobs.write(NAME, stuck()))
    await waiting.wait()
    writing.cancel()
    asyncio.get_running_loop().call_soon(writing.cancel)
    await asyncio.wait([writing])
    assert writing.cancelled()
    assert kept(tmp_path / "files") == []


@pytest.mark.parametrize("size", [2 * MIB, 40 * MIB])
async def test_a_full_disk_is_said_without_a_path_and_leaves_nothing(
    size: int, blobs: ObstoreBlobs, tmp_path: Path
) -> None:
    chunks = [bytes(MIB)] * (size // MIB)
    with files_limited_to(MIB + 1), pytest.raises(FilesUnavailable) as told:
        await blobs.write(NAME, given_as(chunks))
    assert str(told.value) == "files cannot be written: File too large"
    assert told.value.facts == {"reason": "File too large"}
    assert kept(tmp_path / "files") == []
    await blobs.write(NAME, given_as(chunks))
    assert await read(blobs) == b"".join(chunks)


async def test_a_folder_that_is_gone_is_said(blobs: ObstoreBlobs, tmp_path: Path) -> None:
    (tmp_path / "files").rmdir()
    (tmp_path / "files").write_text("a file where the folder was")
    for work in (
        blobs.write(NAME, given_as([b"bytes"])),
        blobs.write(NAME, given_as([bytes(MIB)] * 20)),
        blobs.remove([NAME]),
        read(blobs),
    ):
        with pytest.raises(FilesUnavailable, match=r"Not a directory|File exists") as told:
            await work
        assert str(tmp_path) not in str(told.value)


async def test_a_large_blob_is_never_in_memory_as_a_whole(blobs: ObstoreBlobs) -> None:
    async def random() -> AsyncIterator[bytes]:
        for _ in range(256):
            yield os.urandom(MIB)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await blobs.write(NAME, random())
    size = sum([len(chunk) async for chunk in blobs.read(NAME)])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert size == 256 * MIB
    assert after - before < 64 * 1024  # KiB


async def test_who_has_begun_to_read_a_blob_reads_it_all_though_it_is_removed(
    blobs: ObstoreBlobs,
) -> None:
    await blobs.write(NAME, given_as([bytes(MIB)] * 20))
    reading = blobs.read(NAME)
    first = await anext(reading)
    await blobs.remove([NAME])
    rest = [len(chunk) async for chunk in reading]
    assert len(first) + sum(rest) == 20 * MIB
    with pytest.raises(FilesUnavailable, match="files cannot be read: No such file"):
        await read(blobs)


def held_open(folder: Path) -> list[str]:
    """Return the names of the files below a folder that this process has open."""
    found: list[Path] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # It may be closed meanwhile, by whoever had it.
            found.append(descriptor.readlink())
    return [file.name for file in found if file.is_relative_to(folder)]


async def test_a_reader_that_stops_early_leaves_no_file_open(
    blobs: ObstoreBlobs, tmp_path: Path
) -> None:
    await blobs.write(NAME, given_as([bytes(MIB)] * 3))
    reading = blobs.read(NAME)
    await anext(reading)
    assert held_open(tmp_path) == [NAME]
    await reading.aclose()
    assert held_open(tmp_path) == []


async def test_blobs_are_removed_with_what_broken_writes_left_and_others_stay(
    blobs: ObstoreBlobs, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    for name in ("a1", "b2", "b22", "c3"):
        await blobs.write(name, given_as([b"bytes"]))
    for left in ("b2#1", "b2#2", "d4#1", "b22#1"):
        (folder / left).write_text("half a blob")
    await blobs.remove(["a1", "b2", "d4", "e5"])
    await blobs.remove(["a1", "b2", "d4", "e5"])
    await blobs.remove([])
    assert kept(folder) == ["b22", "b22#1", "c3"]


async def test_a_blob_is_written_though_a_crash_left_half_of_it(
    blobs: ObstoreBlobs, tmp_path: Path
) -> None:
    (tmp_path / "files" / f"{NAME}#1").write_text("half a blob")
    await blobs.write(NAME, given_as([bytes(MIB)] * 20))
    assert await read(blobs) == bytes(20 * MIB)
    await blobs.remove([NAME])
    assert kept(tmp_path / "files") == []


async def test_many_blobs_are_written_at_once(blobs: ObstoreBlobs) -> None:
    names = [f"{number:032x}" for number in range(50)]
    await asyncio.gather(*(blobs.write(name, given_as([name.encode()])) for name in names))
    assert [await read(blobs, name) for name in names] == [name.encode() for name in names]


@pytest.mark.parametrize(
    "place", ["{}/deep/er", "file://{}/with%20space", "file://localhost{}/x"]
)
async def test_a_folder_that_is_missing_is_made(place: str, tmp_path: Path) -> None:
    blobs = ObstoreBlobs(place.format(tmp_path))
    await blobs.open()
    await blobs.write(NAME, given_as([b"bytes"]))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [NAME]
    assert not list(tmp_path.rglob("*%20*"))
    await ObstoreBlobs(place.format(tmp_path)).open()
    assert await read(blobs) == b"bytes"


async def test_a_folder_is_opened_by_many_servers_at_once(tmp_path: Path) -> None:
    async def start_again_and_again() -> None:
        for _ in range(100):
            await ObstoreBlobs(str(tmp_path)).open()

    await asyncio.gather(*(start_again_and_again() for _ in range(8)))
    assert kept(tmp_path) == []


async def test_a_place_that_is_no_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blobs = ObstoreBlobs(str(tmp_path / "file"))
    with pytest.raises(FilesUnavailable) as told:
        await blobs.open()
    assert str(told.value) == f"files cannot be kept at {tmp_path / 'file'}: File exists"


@pytest.mark.parametrize(
    "place, message",
    [
        ("", "no place for files is named"),
        ("a\0b", "no place for files is named"),
        ("file://", "three slashes"),
        ("file:folder", "three slashes"),
        ("s3:/bucket", "lacks its bucket"),
        ("gs:bucket", "lacks its bucket"),
        ("file://host/folder", "three slashes"),
        ("ftp://host/folder", "cannot be kept at ftp://"),
        ("memory:///", "cannot be kept at memory://"),
        ("https://host/folder", "cannot be kept at https://"),
        ("s3://", "lacks its bucket"),
        ("s3:///folder", "lacks its bucket"),
        ("gs://[", "no URL"),
        ("s3://key:hush@bucket/folder", "read from the environment"),
        ("az://container?sig=hush", "read from the environment"),
        ("s3://bucket/#hush", "read from the environment"),
    ],
)
def test_a_wrong_place_is_refused_with_advice_and_no_secrets(place: str, message: str) -> None:
    with pytest.raises(FilesUnavailable, match=message) as told:
        ObstoreBlobs(place)
    assert "hush" not in str(told.value)

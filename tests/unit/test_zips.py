from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
import zipfile
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.server.zips import Member, size_of, zipped

MIB = 1024 * 1024
ZEROS = bytes(MIB)
UNZIP = shutil.which("unzip")
another_program = pytest.mark.skipif(UNZIP is None, reason="unzip is not installed")


async def given_as(chunks: Iterable[bytes]) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk


def member(path: str, *chunks: bytes) -> Member:
    return Member(path, sum(map(len, chunks)), given_as(chunks))


async def packed(*members: Member) -> bytes:
    return b"".join([chunk async for chunk in zipped(members)])


def unpacked(data: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


@given(
    st.dictionaries(
        st.text("aä→/.b ", min_size=1).filter(lambda path: not path.endswith("/")),
        st.lists(st.binary(max_size=100)),
        max_size=5,
    )
)
async def test_a_zip_gives_back_every_member_under_its_path(
    members: dict[str, list[bytes]],
) -> None:
    data = await packed(*(member(path, *chunks) for path, chunks in members.items()))
    assert unpacked(data) == {path: b"".join(chunks) for path, chunks in members.items()}


def unzip(*arguments: str | Path) -> bytes:
    assert UNZIP is not None
    return subprocess.run([UNZIP, *arguments], check=True, capture_output=True).stdout


@another_program
async def test_a_zip_is_read_by_another_program(tmp_path: Path) -> None:
    path = tmp_path / "results.zip"
    path.write_bytes(await packed(member("one.txt", b"one"), member("a/ä.bin", b"\0" * MIB)))
    assert b"No errors" in unzip("-tq", path)


async def test_the_same_members_make_the_same_zip() -> None:
    first, second = [await packed(member("a", b"1"), member("b", b"2")) for _ in range(2)]
    assert first == second


async def test_members_are_stored_as_they_are_with_a_date_that_no_clock_gave() -> None:
    with ZipFile(io.BytesIO(await packed(member("a", b"1" * 1_000)))) as archive:
        (entry,) = archive.infolist()
    assert entry.compress_type == ZIP_STORED
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert entry.external_attr >> 16 == 0o100644


async def test_no_chunk_of_a_zip_is_larger_than_a_message_may_be_and_few_are_tiny() -> None:
    large = member("large", *[bytes(5 * MIB + 1)] * 4)
    small = [member(f"small/{number}", b"x") for number in range(5_000)]
    sizes = [len(chunk) async for chunk in zipped([large, *small])]
    assert max(sizes) <= MIB
    assert len(sizes) <= 2 * sum(sizes) // MIB


@pytest.fixture(scope="module")
async def large_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of 4 GiB and more: zeros, which become a hole in the file, and a small member."""
    large = Member("large", 4_097 * MIB, given_as(itertools.repeat(ZEROS, 4_097)))
    path = tmp_path_factory.mktemp("zips") / "large.zip"
    with path.open("wb") as file:
        async for chunk in zipped([large, member("after", b"the end")]):
            if chunk == ZEROS:
                file.seek(MIB, os.SEEK_CUR)
            else:
                file.write(chunk)
    assert path.stat().st_blocks * 512 < MIB
    return path


def test_a_zip_of_more_than_4_gib_is_read_like_any_other(large_zip: Path) -> None:
    with ZipFile(large_zip) as archive:
        first, second = archive.infolist()
        assert (first.file_size, first.compress_size) == (4_097 * MIB, 4_097 * MIB)
        assert second.header_offset > 4 * 1024 * MIB
        assert archive.read(second) == b"the end"
        with archive.open(first) as inside:
            assert inside.read(MIB) == ZEROS


@another_program
def test_a_zip_of_more_than_4_gib_is_read_by_another_program(large_zip: Path) -> None:
    assert unzip("-p", large_zip, "after") == b"the end"


async def test_a_member_that_fails_leaves_a_zip_that_nobody_takes_for_whole() -> None:
    async def damaged() -> AsyncGenerator[bytes]:
        yield bytes(2 * MIB)
        raise RuntimeError("damaged")

    stream = zipped([member("fine", b"1"), Member("bad", 9, damaged())])
    chunks: list[bytes] = []

    async def take() -> None:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401  # what comes before the failure counts

    with pytest.raises(RuntimeError, match="damaged"):
        await take()
    assert chunks
    assert b"PK\5\6" not in b"".join(chunks)


async def test_who_stops_reading_a_zip_closes_the_member_under_way() -> None:
    closed: list[str] = []

    async def endless(path: str) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield bytes(MIB)
        finally:
            closed.append(path)

    stream = zipped([Member("one", 1, endless("one")), Member("two", 1, endless("two"))])
    await anext(stream)
    await stream.aclose()
    assert closed == ["one"]


SIZES = st.lists(st.integers(0, 60), max_size=6)


@given(sizes=SIZES, limit=st.sampled_from([2**31 - 1, 200, 40, 1]))
async def test_the_size_of_a_zip_is_known_before_it_is_written(
    sizes: list[int], limit: int
) -> None:
    members = [
        member(f"{'ä' * index}/{index}", bytes(size)) for index, size in enumerate(sizes)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        known = size_of(members)
        assert known == len(await packed(*members))

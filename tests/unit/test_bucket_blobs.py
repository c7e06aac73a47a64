from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from longshore.core.errors import FilesUnavailable
from longshore.stores.blobs import ObstoreBlobs
from tests.tools.bucket import Bucket, serving

MIB = 1024 * 1024
NAME = "0192f3a40000700080000000000000ab"
KEY = f"long/shore/{NAME}"


@pytest.fixture(scope="module")
async def bucket() -> AsyncGenerator[Bucket]:
    async with serving() as bucket:
        await bucket.http("PUT", "/quay")
        yield bucket


@pytest.fixture
async def blobs(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> ObstoreBlobs:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    blobs = ObstoreBlobs("s3://quay/long/shore")
    await blobs.open()
    return blobs


async def given_as(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(blobs: ObstoreBlobs, name: str = NAME) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(name)])


@pytest.mark.parametrize("size", [0, 1, MIB, 40 * MIB])
async def test_a_blob_in_a_bucket_is_read_as_it_was_written_until_it_is_removed(
    size: int, blobs: ObstoreBlobs, bucket: Bucket
) -> None:
    data = bytes(range(256)) * (size // 256) if size > 1 else bytes(size)
    chunks = [data[begin : begin + MIB] for begin in range(0, size, MIB)]
    await blobs.write(NAME, given_as(*chunks))
    assert await bucket.names("quay") == [KEY]
    found = [chunk async for chunk in blobs.read(NAME)]
    assert b"".join(found) == data
    assert all(len(chunk) <= MIB for chunk in found)
    await blobs.remove([NAME, "gone"])
    await blobs.remove([NAME])
    assert await bucket.names("quay") == []
    with pytest.raises(FilesUnavailable, match=r"404 Not Found \(NoSuchKey\)"):
        await read(blobs)


@pytest.mark.parametrize("cut", [0, 1, 3, 8, 9, 20, 30])
async def test_of_a_blob_that_is_cut_a_bucket_keeps_neither_the_start_nor_parts(
    cut: int, blobs: ObstoreBlobs, bucket: Bucket
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for _ in range(cut):
            yield bytes(MIB)
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        await blobs.write(NAME, failing())
    assert await bucket.names("quay") == []
    assert await bucket.unfinished("quay") == []


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 20, 30])
async def test_of_a_blob_that_is_canceled_a_bucket_keeps_neither_the_start_nor_parts(
    cut: int, blobs: ObstoreBlobs, bucket: Bucket
) -> None:
    async def canceling() -> AsyncIterator[bytes]:
        writer = asyncio.current_task()
        assert writer is not None
        for number in range(30):
            if number == cut:
                writer.cancel()
            yield bytes(MIB)
        writer.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(blobs.write(NAME, canceling()))
    assert await bucket.names("quay") == []
    assert await bucket.unfinished("quay") == []


async def test_many_blobs_of_a_bucket_are_removed_at_once(
    blobs: ObstoreBlobs, bucket: Bucket
) -> None:
    names = [f"{number:032x}" for number in range(20)]
    await asyncio.gather(*(blobs.write(name, given_as(b"bytes")) for name in names))
    assert len(await bucket.names("quay")) == 20
    await blobs.remove(names)
    assert await bucket.names("quay") == []


async def test_a_bucket_that_is_not_there_is_said_at_the_start(blobs: ObstoreBlobs) -> None:
    with pytest.raises(FilesUnavailable) as told:
        await ObstoreBlobs("s3://nowhere/x").open()
    assert str(told.value) == (
        "files cannot be kept at s3://nowhere/x: the service answered 404 Not Found "
        "(NoSuchBucket)"
    )


@pytest.mark.parametrize(
    "setting, value, message",
    [
        ("AWS_ENDPOINT", "http://127.0.0.1:1", "Connection refused"),
        ("AWS_ENDPOINT", "http://nowhere.invalid", "cannot be reached"),
        ("AWS_ENDPOINT", "hush no URL", "the library that keeps them failed"),
        ("AWS_ALLOW_HTTP", "hush", "failed to parse … as boolean"),
    ],
)
async def test_a_wrong_setting_is_said_at_the_start_without_its_value(
    setting: str,
    value: str,
    message: str,
    blobs: ObstoreBlobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(FilesUnavailable, match=message) as told:
        await ObstoreBlobs("s3://quay").open()
    assert "hush" not in str(told.value)
    assert "very-secret" not in repr((told.value, told.value.facts, blobs))


async def test_a_service_that_goes_away_is_said_to_who_writes_reads_and_removes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as bucket:
        await bucket.http("PUT", "/quay")
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        blobs = ObstoreBlobs("s3://quay")
        await blobs.open()
        going = asyncio.Event()

        async def interrupted() -> AsyncIterator[bytes]:
            for number in range(40):
                if number == 20:
                    await bucket.stop()
                    going.set()
                yield bytes(MIB)

        with pytest.raises(FilesUnavailable, match="files cannot be written: Connection"):
            await blobs.write(NAME, interrupted())
        with pytest.raises(FilesUnavailable, match="files cannot be read: Connection"):
            await read(blobs)
        with pytest.raises(FilesUnavailable, match="files cannot be removed: Connection"):
            await blobs.remove([NAME])

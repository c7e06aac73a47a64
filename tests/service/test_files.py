"""Files: taken in whole or not at all, handed out as they came, and gone when their time comes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.changes import Delete
from longshore.core.errors import FilesUnavailable
from longshore.core.ids import target_of
from longshore.core.limits import MIB
from longshore.engine.clock import MovableClock
from longshore.engine.settings import EngineSettings
from longshore.v1 import operation_pb2 as pb
from longshore.v1.file_service_pb2 import (
    DeleteFileRequest,
    DownloadFileRequest,
    FileHeader,
    GetFileRequest,
    UploadFileRequest,
)
from tests.service.harness import (
    World,
    refused,
    save,
    serving,
    stevedore,
    submission,
    upload,
)
from tests.tools.counted_blobs import CountedBlobs

INVALID = StatusCode.INVALID_ARGUMENT
MINUTES = 60_000  #: In milliseconds.


async def send(world: World, *requests: UploadFileRequest) -> pb.File:
    answer = await world.files.UploadFile(iter(requests))
    file: pb.File = answer.file
    return file


def header(**fields: Any) -> UploadFileRequest:
    return UploadFileRequest(header=FileHeader(**fields))


def bytes_of(data: bytes, sha256: str = "") -> UploadFileRequest:
    return UploadFileRequest(data=data, sha256=sha256)


def downloading(world: World, file_id: str) -> Any:
    return world.files.DownloadFile(DownloadFileRequest(file_id=file_id))


async def download(world: World, file_id: str) -> bytes:
    messages = [one async for one in downloading(world, file_id)]
    assert [one.HasField("file") for one in messages] == [True] + [False] * (len(messages) - 1)
    assert all(len(one.data) <= MIB for one in messages)
    return b"".join(one.data for one in messages)


async def get(world: World, file_id: str) -> pb.File:
    answer = await world.files.GetFile(GetFileRequest(file_id=file_id))
    file: pb.File = answer.file
    return file


async def delete(world: World, file_id: str) -> None:
    await world.files.DeleteFile(DeleteFileRequest(file_id=file_id))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the bytes of the files of `world` are."""
    return tmp_path / "longshore.db.files"


async def nothing_is_kept(world: World, folder: Path) -> None:
    await world.engine.files.settle()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "chunks",
    [[], [b"a"], [b"a", b"", b"b"], [os.urandom(3 * MIB + 1), b"a"], [b"a" * 4_194_000]],
    ids=["none", "one", "three", "large", "as large as a message"],
)
async def test_a_file_comes_out_as_it_went_in(world: World, chunks: Sequence[bytes]) -> None:
    whole = b"".join(chunks)
    file = await upload(world, *chunks, path="in/bread.txt")
    assert (file.path, file.size) == ("in/bread.txt", len(whole))
    assert file.sha256 == hashlib.sha256(whole).hexdigest()
    assert await download(world, file.file_id) == whole
    assert await get(world, file.file_id) == file
    first = await downloading(world, file.file_id).read()
    assert first.file == file


async def test_a_file_is_shown_as_it_was_described(world: World) -> None:
    fields = {
        "path": "brød/ü 1.txt",
        "content_type": "text/plain; charset=utf-8",
        "content_encoding": "gzip",
        "content_disposition": 'attachment; filename="brød.txt"',
    }
    file = await upload(world, b"a", **fields)
    assert {name: getattr(file, name) for name in fields} == fields


async def test_all_may_come_in_one_message_and_need_no_name_or_digest(world: World) -> None:
    message = header()
    message.data = b"a"
    file = await send(world, message)
    assert (file.path, await download(world, file.file_id)) == ("", b"a")
    digest = hashlib.sha256(b"ab").hexdigest()
    said = UploadFileRequest(header=FileHeader(), data=b"a", sha256=digest.upper())
    file = await send(world, said, bytes_of(b"b", digest))
    assert file.sha256 == digest


LONG = "é" * 128  #: A name of 256 bytes.

HEADERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "an absolute path": ({"path": "/etc/passwd"}, {"path": "INVALID"}),
    "a way out": ({"path": "a/../../b"}, {"path": "INVALID"}),
    "only a way out": ({"path": ".."}, {"path": "INVALID"}),
    "a dot": ({"path": "./a"}, {"path": "INVALID"}),
    "an empty part": ({"path": "a//b"}, {"path": "INVALID"}),
    "a folder": ({"path": "a/"}, {"path": "INVALID"}),
    "a backslash": ({"path": "..\\a"}, {"path": "INVALID"}),
    "a NUL": ({"path": "a\x00b"}, {"path": "INVALID"}),
    "a line break": ({"path": "a\nb"}, {"path": "INVALID"}),
    "a sequence for terminals": ({"path": "a\x1b[2J"}, {"path": "INVALID"}),
    "a C1 control": ({"path": "a\x9b2J"}, {"path": "INVALID"}),
    "a type that ends a header": (
        {"content_type": "text/plain\r\nx: y"},
        {"content_type": "INVALID"},
    ),
    "a wrong encoding": ({"content_encoding": "gz\x00ip"}, {"content_encoding": "INVALID"}),
    "a wrong disposition": (
        {"content_disposition": "inline\n"},
        {"content_disposition": "INVALID"},
    ),
    "no time at all": ({"expire_after": Duration()}, {"expire_after": "INVALID"}),
    "a time of a thousand years": (
        {"expire_after": Duration(seconds=10**11)},
        {"expire_after": "INVALID"},
    ),
    "a number without a token": (
        {"path": "a", "number": 1},
        {"lease_token": "MISSING"},
    ),
    "a token without a number": (
        {"path": "a", "lease_token": 1},
        {"number": "MISSING"},
    ),
    "numbers below 0": (
        {"path": "a", "number": -1, "lease_token": -1},
        {"number": "INVALID", "lease_token": "INVALID"},
    ),
    "a made file without a path": ({"number": 1, "lease_token": 1}, {"path": "MISSING"}),
    "a made file that expires": (
        {"path": "a", "number": 1, "lease_token": 1, "expire_after": timedelta(minutes=1)},
        {"expire_after": "NOT_PERMITTED"},
    ),
    "a made file in place of another": (
        {"path": "a", "number": 1, "lease_token": 1, "file_id": "b"},
        {"file_id": "NOT_PERMITTED"},
    ),
    "several at once": (
        {"path": "..", "content_type": "\x00", "expire_after": Duration()},
        {"path": "INVALID", "content_type": "INVALID", "expire_after": "INVALID"},
    ),
}


@pytest.mark.parametrize("case", HEADERS)
async def test_a_wrong_header_is_told_by_its_fields(
    world: World, folder: Path, case: str
) -> None:
    fields, expected = HEADERS[case]
    refusal = await refused(upload(world, b"a", **fields))
    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == {f"header.{name}": reason for name, reason in expected.items()}
    await nothing_is_kept(world, folder)


@pytest.mark.parametrize(
    "fields, limit",
    [
        ({"path": f"a/{LONG}"}, 255),
        ({"path": "/".join(["a" * 100] * 6)}, 512),
        ({"content_type": "a" * 256}, 255),
        ({"content_encoding": "a" * 256}, 255),
        ({"content_disposition": "a" * 256}, 255),
    ],
)
async def test_a_long_header_is_told_with_its_limit(
    world: World, folder: Path, fields: dict[str, str], limit: int
) -> None:
    refusal = await refused(upload(world, b"a", **fields))
    assert (refusal.code, refusal.reason) == (INVALID, "LIMIT_EXCEEDED")
    (name,) = fields
    assert refusal.metadata["field"] == f"header.{name}"
    assert refusal.metadata["limit"] == str(limit)
    await nothing_is_kept(world, folder)


async def test_the_longest_header_is_fine(world: World) -> None:
    path = "/".join([LONG[:-1] + "a", LONG[:-1] + "b"])
    assert len(path.encode()) == 511
    file = await upload(world, b"a", path=path, content_type="a" * 255)
    assert file.path == path


STREAMS: dict[str, tuple[list[UploadFileRequest], dict[str, str]]] = {
    "nothing": ([], {"header": "MISSING"}),
    "bytes before the header": ([bytes_of(b"a"), header()], {"header": "MISSING"}),
    "two headers": ([header(), bytes_of(b"a"), header()], {"header": "INVALID"}),
    "a short digest": ([header(), bytes_of(b"a", "abc")], {"sha256": "INVALID"}),
    "no hexadecimal digest": ([header(), bytes_of(b"a", "g" * 64)], {"sha256": "INVALID"}),
    "two digests": (
        [header(), bytes_of(b"a", "a" * 64), bytes_of(b"b", "b" * 64)],
        {"sha256": "INVALID"},
    ),
    "another digest": ([header(), bytes_of(b"a", "a" * 64)], {"sha256": "INVALID"}),
}


@pytest.mark.parametrize("case", STREAMS)
async def test_a_wrong_stream_is_told_by_its_fields(
    world: World, folder: Path, case: str
) -> None:
    requests, expected = STREAMS[case]
    refusal = await refused(send(world, *requests))
    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == expected
    await nothing_is_kept(world, folder)


async def test_a_message_that_cannot_be_read_is_refused(world: World, folder: Path) -> None:
    channel: Any = world.channel
    call = channel.stream_unary("/longshore.v1.FileService/UploadFile")
    begun = header().SerializeToString()
    refusal = await refused(call(iter([begun, b"\x12\xff\xff\xff\xff\xff"])))
    assert refusal.code == INVALID
    refusal = await refused(call(iter([begun, b"\x12\x02a"])))
    assert refusal.code == INVALID
    await nothing_is_kept(world, folder)


async def test_a_silent_upload_is_given_up(tmp_path: Path, folder: Path) -> None:
    settings = EngineSettings(upload_silence_seconds=0.5)
    async with serving(tmp_path / "longshore.db", settings) as world:
        for begun in ([], [header()], [header(), bytes_of(b"a" * MIB)]):
            stream = world.files.UploadFile()
            for request in begun:
                await stream.write(request)
            refusal = await refused(stream)
            assert refusal.code == StatusCode.UNAVAILABLE
            assert refusal.reason == "STORE_UNAVAILABLE"
            assert "silent" in refusal.message
        await nothing_is_kept(world, folder)


# Kept, replaced, deleted, expired.


async def test_what_is_not_there_is_not_found(world: World) -> None:
    for file_id in ("", "a" * 1_000, "12", "files/12", "0198c2d4-0000-7000-8000-000000000000"):
        for asked in (
            get(world, file_id),
            download(world, file_id),
            delete(world, file_id),
        ):
            refusal = await refused(asked)
            assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "FILE_NOT_FOUND")
            assert refusal.fields == {"file_id": "UNKNOWN"}
        if file_id:
            refusal = await refused(upload(world, b"a", file_id=file_id))
            assert refusal.reason == "FILE_NOT_FOUND"
            assert refusal.fields == {"header.file_id": "UNKNOWN"}


async def test_a_file_expires_when_it_was_said(tmp_path: Path, folder: Path) -> None:
    clock = MovableClock()
    async with serving(tmp_path / "longshore.db", clock=clock) as world:
        usual = await upload(world, b"a")
        long = await upload(world, b"b", expire_after=timedelta(hours=2))
        for_ever = await upload(world, b"c", expire_after=timedelta(seconds=-1))
        assert not for_ever.HasField("expire_time")
        span = usual.expire_time.ToMilliseconds() - clock.now()
        assert 29 * MINUTES < span <= 30 * MINUTES
        clock.move(31 * MINUTES)
        refusal = await refused(get(world, usual.file_id))
        assert refusal.reason == "FILE_NOT_FOUND"
        assert await download(world, long.file_id) == b"b"
        clock.move(1_000 * 60 * MINUTES)
        await world.engine.files.sweep()
        assert await download(world, for_ever.file_id) == b"c"
        assert len(list(folder.iterdir())) == 1


async def test_a_file_is_replaced_by_what_comes_in_its_place(world: World) -> None:
    old = await upload(world, b"old", path="a", expire_after=timedelta(seconds=-1))
    new = await upload(world, b"newer", path="b", file_id=old.file_id)
    assert (new.file_id, new.path, new.size) == (old.file_id, "b", 5)
    assert new.HasField("expire_time")
    assert await download(world, old.file_id) == b"newer"


async def test_a_replacement_that_breaks_leaves_the_file_as_it_was(world: World) -> None:
    old = await upload(world, b"old")
    wrong = send(world, header(file_id=old.file_id), bytes_of(b"new", "a" * 64))
    assert (await refused(wrong)).fields == {"sha256": "INVALID"}
    assert await download(world, old.file_id) == b"old"


PIECES = [bytes([number]) * MIB for number in range(24)]


@pytest.mark.parametrize("change", ["delete", "replace"])
async def test_a_download_that_has_begun_goes_on(
    world: World, folder: Path, change: str
) -> None:
    file = await upload(world, *PIECES)
    stream = downloading(world, file.file_id)
    data = (await stream.read()).data
    if change == "delete":
        await delete(world, file.file_id)
    else:
        await upload(world, b"new", file_id=file.file_id)
    await world.engine.files.sweep()
    assert len(list(folder.iterdir())) == (change == "replace")
    while (message := await stream.read()) is not grpc.aio.EOF:
        data += message.data
    assert data == b"".join(PIECES)
    if change == "delete":
        assert (await refused(get(world, file.file_id))).reason == "FILE_NOT_FOUND"
    else:
        assert await download(world, file.file_id) == b"new"


async def test_damaged_bytes_are_told_at_the_end(world: World, folder: Path) -> None:
    file = await upload(world, b"a" * 3 * MIB)
    (blob,) = folder.iterdir()
    blob.write_bytes(b"a" * 3 * (MIB - 1) + b"bcd")
    refusal = await refused(download(world, file.file_id))
    assert (refusal.code, refusal.reason) == (StatusCode.DATA_LOSS, "FILE_DAMAGED")
    assert refusal.metadata["file_id"] == file.file_id
    blob.unlink()
    refusal = await refused(download(world, file.file_id))
    assert (refusal.code, refusal.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


# Made by operations.


async def test_a_file_that_is_made_is_shown_and_told_with_its_operation(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        file = await save(world, assignment, "out/a", b"a")
        assert not file.HasField("expire_time")
        (shown,) = (await world.get(task.metadata.id)).status.files
        assert shown == file
        assert await download(world, file.file_id) == b"a"
        assert await save(world, assignment, "out/a", b"a") == file
        refusal = await refused(save(world, assignment, "out/a", b"b"))
        assert (refusal.reason, refusal.fields) == ("INVALID_FIELD", {"header.path": "INVALID"})
        await worker.complete(assignment)
    for changing in (delete(world, file.file_id), upload(world, b"b", file_id=file.file_id)):
        refusal = await refused(changing)
        assert (refusal.code, refusal.reason) == (
            StatusCode.FAILED_PRECONDITION,
            "WRONG_STATE",
        )
        assert refusal.metadata["operation_id"] == task.metadata.id
    assert list((await world.get(task.metadata.id)).status.files) == [file]


async def test_only_who_holds_the_lease_makes_files(world: World, folder: Path) -> None:
    async with stevedore(world) as worker:
        await world.submit(submission())
        assignment = await worker.assigned()
        number, token = assignment.number, assignment.lease_token
        for saving in (
            upload(world, b"a", path="a", number=number, lease_token=token + 1),
            upload(world, b"a", path="a", number=number + 1, lease_token=token),
            upload(world, b"a", path="a", number=number, lease_token=token, tenant="north"),
        ):
            refusal = await refused(saving)
            assert (refusal.code, refusal.reason) == (StatusCode.ABORTED, "LEASE_LOST")
        await worker.complete(assignment)
        refusal = await refused(save(world, assignment, "a", b"a"))
        assert refusal.reason == "LEASE_LOST"
    await nothing_is_kept(world, folder)


async def test_files_go_with_the_operation_that_made_them(world: World, folder: Path) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        file = await save(world, assignment, "a", b"a")
        await worker.complete(assignment)
    await world.engine.writer.write(Delete(Caller(), target_of(task.metadata.id)))
    for asked in (get(world, file.file_id), download(world, file.file_id)):
        assert (await refused(asked)).reason == "FILE_NOT_FOUND"
    await world.engine.files.sweep()
    await nothing_is_kept(world, folder)


async def test_files_of_a_failed_attempt_go_when_the_next_begins(
    world: World, folder: Path
) -> None:
    retry = pb.RetryPolicy(max_attempts=2, initial_backoff=Duration(nanos=1_000_000))
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=pb.Options(retry=retry)))
        first = await worker.assigned()
        file = await save(world, first, "a", b"first")
        await worker.fail(first, "no flour", permanent=False)
        second = await worker.assigned()
        assert (await refused(get(world, file.file_id))).reason == "FILE_NOT_FOUND"
        assert not (await world.get(task.metadata.id)).status.files
        again = await save(world, second, "a", b"second")
        await worker.complete(second)
    await world.engine.files.sweep()
    assert len(list(folder.iterdir())) == 1
    assert await download(world, again.file_id) == b"second"


async def test_an_operation_makes_so_many_files_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILES_PER_OPERATION", 20)
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        await asyncio.gather(
            *(save(world, assignment, str(number), b"a") for number in range(20))
        )
        refusal = await refused(save(world, assignment, "one too many", b"a"))
        assert (refusal.code, refusal.reason) == (INVALID, "LIMIT_EXCEEDED")
        assert refusal.metadata["limit"] == "20"
        await worker.complete(assignment)
    assert len((await world.get(task.metadata.id)).status.files) == 20


# Places for bytes that have no room for more.


class Moody(CountedBlobs):
    """Real blobs that run out of room on demand, and know who reads them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.room = True

    async def write(self, name: str, chunks: Any) -> None:
        await super().write(name, chunks if self.room else self._until_full(chunks))

    async def _until_full(self, chunks: Any) -> AsyncGenerator[bytes]:
        async for chunk in chunks:
            yield chunk
            raise FilesUnavailable("files cannot be written: No space left on device")


@pytest.fixture
async def moody(tmp_path: Path, folder: Path) -> AsyncGenerator[tuple[World, Moody]]:
    blobs = Moody(folder)
    async with serving(tmp_path / "longshore.db", blobs=blobs) as world:
        yield world, blobs


async def test_a_full_disk_is_said_and_leaves_nothing(
    moody: tuple[World, Moody], folder: Path
) -> None:
    world, blobs = moody
    blobs.room = False
    refusal = await refused(upload(world, b"a" * MIB, b"b"))
    assert (refusal.code, refusal.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert "No space left" in refusal.message
    await nothing_is_kept(world, folder)
    blobs.room = True
    file = await upload(world, b"a")
    assert await download(world, file.file_id) == b"a"


def pieces(count: int) -> Iterator[UploadFileRequest]:
    yield header()
    for number in range(count):
        yield bytes_of(bytes([number]) * MIB)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of memory")
async def test_large_files_take_little_memory(world: World) -> None:
    await upload(world, *PIECES)
    peak_bytes()
    before = peak_bytes()
    file = (await world.files.UploadFile(pieces(128))).file
    assert file.size == 128 * MIB
    async for _ in downloading(world, file.file_id):
        pass
    assert peak_bytes() - before < 64 * MIB


def peak_bytes() -> int:
    """Return the most memory that this process, client and server, had since the last call."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    line = next(one for one in status.splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1_024

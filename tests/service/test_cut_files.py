"""Streams of bytes that are cut anywhere: nothing is half kept, and nobody reads on."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.core.file_changes import SweepFiles
from longshore.core.limits import MIB
from longshore.engine.clock import MovableClock
from longshore.v1.file_service_pb2 import (
    DeleteFileRequest,
    DownloadFileRequest,
    FileHeader,
    UploadFileRequest,
)
from longshore.v1.file_service_pb2_grpc import FileServiceStub
from longshore.v1.launch_service_pb2 import DownloadLaunchFilesRequest
from longshore.v1.task_service_pb2 import FetchTaskResultRequest
from tests.service.harness import (
    LASTING,
    PATIENCE_SECONDS,
    World,
    save,
    serving,
    stevedore,
    submission,
    upload,
)
from tests.service.test_fetching import BAKE, launched
from tests.service.test_files import Moody

CHUNKS = st.lists(
    st.sampled_from([b"", b"a", b"b" * 70_000, b"c" * MIB, b"d" * 3 * MIB]), max_size=5
)

quietly = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Harbour(NamedTuple):
    """A server, and where its bytes are."""

    world: World
    blobs: Moody
    folder: Path


@pytest.fixture(scope="module")
async def harbour(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harbour]:
    folder: Path = tmp_path_factory.mktemp("store")
    blobs = Moody(folder / "files")
    async with serving(folder / "longshore.db", LASTING, blobs=blobs) as world:
        yield Harbour(world, blobs, folder / "files")


class Taking(NamedTuple):
    """The server's side of an upload."""

    begun: asyncio.Event
    over: asyncio.Event


@contextmanager
def observed(world: World) -> Generator[Taking]:
    """Tell when the server begins to take a file in, and when it does so no more."""
    files, taking = world.engine.files, Taking(asyncio.Event(), asyncio.Event())
    take = files.take

    async def observed_take(*arguments: Any) -> Any:
        taking.begun.set()
        try:
            return await take(*arguments)
        finally:
            taking.over.set()

    files.take = observed_take  # type: ignore[method-assign, assignment]
    try:
        yield taking
    finally:
        files.take = take  # type: ignore[method-assign]


@asynccontextmanager
async def cut(world: World, by: str) -> AsyncGenerator[Any]:
    """Give an upload that breaks at the end of the block: the call, or the whole connection."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    channel = grpc.aio.insecure_channel(world.server.address, options)
    stub: Any = FileServiceStub(channel)
    stream = stub.UploadFile()
    try:
        yield stream
        if by == "call":
            stream.cancel()
    finally:
        await channel.close()


def requests_of(chunks: Sequence[bytes], digest: str, **header: Any) -> list[UploadFileRequest]:
    """Return an upload whose digest is said first, last or never."""
    sha256 = hashlib.sha256(b"".join(chunks)).hexdigest()
    said = {place: sha256 if place == digest else "" for place in ("first", "last")}
    messages = [UploadFileRequest(header=FileHeader(**header), sha256=said["first"])]
    messages += [UploadFileRequest(data=chunk) for chunk in chunks]
    if digest == "last":
        messages.append(UploadFileRequest(sha256=said["last"]))
    return messages


@quietly
@given(
    chunks=CHUNKS,
    place=st.integers(0, 6),
    digest=st.sampled_from(["first", "last", "never"]),
    by=st.sampled_from(["call", "connection"]),
    replaces=st.booleans(),
)
async def test_an_upload_that_is_cut_anywhere_leaves_nothing(
    harbour: Harbour, chunks: list[bytes], place: int, digest: str, by: str, replaces: bool
) -> None:
    world, _, folder = harbour
    earlier = await upload(world, b"earlier")
    header = {"file_id": earlier.file_id} if replaces else {}
    # Where all has come and is proved by its digest, it may be kept: nothing is missing.
    messages = requests_of([*chunks, b"more"], digest, **header)
    messages = messages[: min(1 + place, len(messages) - (digest != "never"))]
    with observed(world) as taking:
        async with cut(world, by) as stream:
            for message in messages:
                await stream.write(message)
            await asyncio.wait_for(taking.begun.wait(), PATIENCE_SECONDS)
        await asyncio.wait_for(taking.over.wait(), PATIENCE_SECONDS)
    await world.engine.files.settle()
    (blob,) = folder.iterdir()
    assert blob.read_bytes() == b"earlier"
    await world.files.DeleteFile(DeleteFileRequest(file_id=earlier.file_id))
    await world.engine.files.sweep()
    assert await world.engine.writer.write(SweepFiles(10)) == []


@pytest.mark.parametrize("grace_seconds", [0.0, 0.2])
async def test_a_server_that_stops_leaves_nothing_of_an_upload(
    tmp_path: Path, grace_seconds: float
) -> None:
    folder = tmp_path / "files"
    async with serving(tmp_path / "longshore.db", blobs=Moody(folder)) as world:
        with observed(world) as taking:
            stream = world.files.UploadFile()
            for message in requests_of([b"a" * MIB, b"b" * MIB], "first"):
                await stream.write(message)
            await asyncio.wait_for(taking.begun.wait(), PATIENCE_SECONDS)
            await world.server.drain(grace_seconds)
            stream.cancel()
    assert list(folder.iterdir()) == []


READERS = ["a file", "the one file of a task", "a zip of a task", "a zip of a launch"]


@pytest.fixture(scope="module")
async def filled(harbour: Harbour) -> dict[str, Any]:
    """Return what opens each kind of stream of some 40 MiB."""
    world = harbour.world
    chunks = [os.urandom(MIB) for _ in range(20)]
    file_id = (await upload(world, *chunks, *chunks)).file_id
    calls: dict[str, Any] = {
        "a file": lambda: world.files.DownloadFile(DownloadFileRequest(file_id=file_id))
    }
    async with stevedore(world) as worker:
        for name, paths in (("the one file of a task", "a"), ("a zip of a task", "ab")):
            task = await world.submit(submission())
            assignment = await worker.assigned()
            for path in paths:
                await save(world, assignment, path, *chunks, *chunks)
            await worker.complete(assignment)
            asked = FetchTaskResultRequest(id=task.metadata.id)
            calls[name] = lambda asked=asked: world.tasks.FetchTaskResult(asked)
    async with stevedore(world, [BAKE], queues=["operations"]) as worker:
        launch = DownloadLaunchFilesRequest(id=await launched(world))
        assignment = await worker.assigned()
        for path in "ab":
            await save(world, assignment, path, *chunks, *chunks)
        calls["a zip of a launch"] = lambda: world.launches.DownloadLaunchFiles(launch)
    return calls


@pytest.mark.parametrize("reader", READERS)
@settings(quietly, max_examples=5)
@given(place=st.integers(1, 20))
async def test_a_reader_that_leaves_anywhere_stops_the_reading(
    harbour: Harbour, filled: dict[str, Any], reader: str, place: int
) -> None:
    harbour.blobs.left.clear()
    stream = filled[reader]()
    for _ in range(place):
        await stream.read()
    stream.cancel()
    await asyncio.wait_for(harbour.blobs.left.wait(), PATIENCE_SECONDS)
    assert harbour.blobs.readers == 0


class Instant(Moody):
    """Blobs that are written as soon as the last byte is there."""

    async def write(self, name: str, chunks: Any) -> None:
        async for _ in chunks:
            pass


async def test_a_stream_that_breaks_is_not_taken_for_one_that_ended(tmp_path: Path) -> None:
    blobs, clock = Instant(tmp_path / "files"), MovableClock()
    async with serving(tmp_path / "longshore.db", clock=clock, blobs=blobs) as world:
        for by in ("call", "connection") * 5:
            with observed(world) as taking:
                async with cut(world, by) as stream:
                    for message in requests_of([b"a", b"b"], "never"):
                        await stream.write(message)
                    await asyncio.wait_for(taking.begun.wait(), PATIENCE_SECONDS)
                await asyncio.wait_for(taking.over.wait(), PATIENCE_SECONDS)
            await world.engine.files.settle()
        clock.move(36_000_000)
        assert await world.engine.writer.write(SweepFiles(10)) == []

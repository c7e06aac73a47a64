"""Files through the client, at a real server and worker."""

from __future__ import annotations

import asyncio
import io
import random
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.client import (
    Client,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from longshore.client.sync import SyncClient
from longshore.testing import Longshore, running
from longshore.worker import Context, Worker
from tests.tools.proxy import Proxy

DATA = random.Random(7).randbytes(2_500_000)
MADE = {"a/one.txt": b"one", "a/b/two.bin": DATA, "three": b""}

worker = Worker("files", slots=20)


@worker.action
async def write(context: Context) -> dict[str, int]:
    for path, data in MADE.items():
        await context.save_file(path, data)
    return {"files": len(MADE)}


worker.operation("writer")(write)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def longshore() -> AsyncIterator[Longshore]:
    async with running() as longshore:
        await longshore.work(worker)
        yield longshore


@pytest.fixture
def client(longshore: Longshore) -> Client:
    return longshore.client


async def test_a_file_comes_back_as_it_was_sent(client: Client, tmp_path: Path) -> None:
    sent = tmp_path / "sent.txt"
    sent.write_bytes(DATA)
    told, back = list[int](), list[int]()
    file = await client.files.upload(sent, told=told.append)
    assert (file.path, file.size, file.content_type) == ("sent.txt", len(DATA), "text/plain")
    assert told[-1] == len(DATA)
    assert await client.files.get(file.file_id) == file
    (tmp_path / "new").mkdir()
    saved = await client.files.download(file.file_id, tmp_path / "new", told=back.append)
    assert saved == tmp_path / "new" / "sent.txt"
    assert saved.read_bytes() == DATA
    assert back[-1] == len(DATA)
    async with client.files.read(file.file_id) as reading:
        assert await reading.file() == file
        assert b"".join([piece async for piece in reading]) == DATA


async def test_a_file_is_kept_as_long_as_is_asked_for(client: Client) -> None:
    default = await client.files.upload(b"x")
    day = await client.files.upload(b"x", expire_after=timedelta(days=1))
    ever = await client.files.upload(b"x", expire_after=timedelta(seconds=-1))
    now = datetime.now(UTC)
    kept = [one.expire_time.ToDatetime(UTC) - now for one in (default, day)]
    assert [round(one / timedelta(minutes=1)) for one in kept] == [30, 24 * 60]
    assert not ever.HasField("expire_time")


async def test_a_file_takes_the_place_of_another_and_is_deleted(client: Client) -> None:
    first = await client.files.upload(b"first", path="x")
    second = await client.files.upload(DATA, path="y", file_id=first.file_id)
    assert (second.file_id, second.path) == (first.file_id, "y")
    pieces = [piece async for piece in client.files.read(first.file_id)]
    assert b"".join(pieces) == DATA
    await client.files.delete(first.file_id)
    with pytest.raises(NotFound) as raised:
        await client.files.get(first.file_id)
    assert raised.value.reason == "FILE_NOT_FOUND"
    with pytest.raises(NotFound):
        await client.files.upload(b"x", file_id=first.file_id)


async def test_what_is_refused_names_the_field(client: Client) -> None:
    with pytest.raises(InvalidArgument) as raised:
        await client.files.upload((DATA for _ in range(100)), path="../x")
    assert [one.field for one in raised.value.violations] == ["header.path"]


async def test_the_files_that_work_has_made_are_listed_and_downloaded(
    client: Client, tmp_path: Path
) -> None:
    handle = await client.tasks.submit("write")
    assert await handle.result() == {"files": len(MADE)}
    assert {file.path: file.size for file in await handle.files()} == {
        path: len(data) for path, data in MADE.items()
    }
    told: list[int] = []
    saved = await handle.download(tmp_path / "all", told=told.append)
    made = {str(one.relative_to(tmp_path / "all")): one.read_bytes() for one in saved}
    assert made == MADE
    assert told[-1] == sum(map(len, MADE.values()))
    with pytest.raises(FailedPrecondition):
        await client.files.delete((await handle.files())[0].file_id)


async def test_the_files_of_a_launch_come_as_a_zip(client: Client, tmp_path: Path) -> None:
    handle = await client.launches.submit("writer")
    await handle.result()
    zipped = await client.launches.download(handle.id, tmp_path)
    assert zipped == tmp_path / f"{handle.id}.zip"
    with zipfile.ZipFile(zipped) as found:
        assert {name: found.read(name) for name in found.namelist()} == MADE


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=3))
async def test_a_transfer_that_is_cut_anywhere_is_whole_or_not_there(
    cuts: list[int], longshore: Longshore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    left, folder = sorted(cuts), tmp_path_factory.mktemp("cut")
    async with Proxy(longshore.address) as proxy, Client(proxy.address) as client:

        def cut(through: int) -> None:
            """Cut the connection whenever so many bytes are through."""
            if left and through >= left[0]:
                left.pop(0)
                proxy.cut()

        file = await client.files.upload(DATA, path="x", told=cut)
        try:
            await client.files.download(file.file_id, folder, told=cut)
        except Unavailable:
            assert list(folder.iterdir()) == []
        else:
            assert (folder / "x").read_bytes() == DATA
    reading = longshore.client.files.read(file.file_id)
    assert b"".join([piece async for piece in reading]) == DATA


async def test_code_that_does_not_await_has_files_as_well(
    longshore: Longshore, tmp_path: Path
) -> None:
    def parts() -> Iterator[bytes]:
        yield from (DATA[at : at + 70_000] for at in range(0, len(DATA), 70_000))

    def run() -> Any:
        with SyncClient(longshore.address) as client:
            file = client.files.upload(parts(), path="x.bin")
            copy = client.files.upload(client.files.read(file.file_id), path="y.bin")
            again = client.files.upload(io.BytesIO(DATA), path="z.bin")
            assert {file.sha256, copy.sha256, again.sha256} == {file.sha256}
            return client.files.download(copy.file_id, tmp_path)

    saved = await asyncio.to_thread(run)
    assert saved == tmp_path / "y.bin"
    assert saved.read_bytes() == DATA


async def test_an_upload_to_a_server_that_is_silent_ends(longshore: Longshore) -> None:
    async with Proxy(longshore.address) as proxy, Client(proxy.address) as client:
        await client.files.upload(b"x")
        proxy.hush()
        hasty: Any = client
        hasty._connection.timeout = 1
        with pytest.raises(DeadlineExceeded):
            await client.files.upload((DATA for _ in range(100)), path="x")

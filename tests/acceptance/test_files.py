from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.client import Client, Unavailable
from longshore.v1.file_service_pb2 import (
    DownloadFileRequest,
    DownloadFileResponse,
)
from tests.acceptance.cargo import (
    MIB,
    PIECE_BYTES,
    Upload,
    blobs_in,
    cargo,
    check_kept,
    digest_of,
    download,
    header,
    messages_of,
    room_in_files,
    store_held,
    sweep_later,
    upload,
    whole_in,
)
from tests.acceptance.office import Office
from tests.acceptance.processes import Server
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.tools.proxy import Proxy


class Berth:
    """A file that is replaced again and again, and what may be in it after a crash."""

    def __init__(self, file_id: str, data: bytes) -> None:
        self.file_id = file_id
        self.answered = data
        self.asked = data
        self.count = 0

    async def replace_until_it_dies(self, office: Office, rng: random.Random) -> None:
        while True:
            size = rng.choice((0, rng.randrange(64 * 1024), rng.randrange(4 * MIB)))
            self.asked = rng.randbytes(size)
            try:
                await upload(office, self.asked, header(self.file_id, lasting=True))
            except grpc.aio.AioRpcError:
                return
            self.answered = self.asked
            self.count += 1


async def settled(office: Office, berths: Sequence[Berth]) -> None:
    """Every file has what was answered last or what was asked for since; note which."""
    for berth in berths:
        _, data = await download(office, berth.file_id)
        assert data in (berth.answered, berth.asked)
        berth.answered = berth.asked = data


async def test_an_answered_upload_survives_kill_9_at_any_moment_and_of_others_nothing_is_left(
    store: Path,
) -> None:
    rng = random.Random(11)
    berths: list[Berth] = []
    for _ in range(4):
        async with Server(store) as server, Office(server.address) as office:
            await settled(office, berths)
            fresh = rng.randbytes(1_000)
            file = await upload(office, fresh, header(lasting=True))
            berths += [Berth(file.file_id, fresh)]
            before = sum(berth.count for berth in berths)
            load = [
                asyncio.create_task(berth.replace_until_it_dies(office, rng))
                for berth in berths
            ]
            await eventually(
                lambda: sum(berth.count for berth in berths) > before + 5,  # noqa: B023
                "some answers",
            )
            # Any moment will do: here the time is the fault, not something waited for.
            await asyncio.sleep(rng.uniform(0, 0.3))
            await server.kill()
            await within(asyncio.gather(*load), "the end of the load")
    assert sum(berth.count for berth in berths) > 20
    async with Server(store) as server, Office(server.address) as office:
        await settled(office, berths)
        await server.kill()
    await sweep_later(store)
    check_kept(store, *(berth.answered for berth in berths))


async def test_an_upload_that_a_kill_9_cuts_anywhere_changes_nothing_and_leaves_nothing(
    store: Path,
) -> None:
    old = [cargo(PIECE_BYTES, seed) for seed in range(5)]
    new = [cargo(6 * MIB, 100 + seed) for seed in range(5)]
    async with Server(store) as server, Office(server.address) as office:
        files = [await upload(office, data, header(lasting=True)) for data in old]
        uploads = [
            Upload(office, data, header(file.file_id, lasting=True))
            for file, data in zip(files, new, strict=True)
        ]
        pieces = len(new[0]) // PIECE_BYTES
        # After the header, in the middle, before the last piece, before the digest.
        for one, count in zip(uploads, (1, pieces // 2, pieces, pieces + 1, 9), strict=True):
            await one.send(count)
        await eventually(lambda: len(blobs_in(store)) == 5 + 4, "four files on their way")
        assert whole_in(store) == 5
        # And after the last byte: all of it is in the folder, and nobody knows of it.
        with store_held(store):
            await uploads[-1].finish()
            await eventually(lambda: whole_in(store) == 6, "a whole file")
            await server.kill()
        for one in uploads:
            with pytest.raises(grpc.aio.AioRpcError) as lost:
                await within(one.call, "the end of an upload")
            assert lost.value.code() == grpc.StatusCode.UNAVAILABLE
    assert len(blobs_in(store)) == 5 + 4
    async with Server(store) as server, Office(server.address) as office:
        for file, data in zip(files, old, strict=True):
            assert await download(office, file.file_id) == (file, data)
        await server.kill()
    await sweep_later(store)
    check_kept(store, *old)


async def test_a_full_disk_refuses_a_file_in_words_and_keeps_nothing_of_it(store: Path) -> None:
    small, large = cargo(MIB), cargo(24 * MIB, 1)
    async with (
        Server(store) as server,
        Client(server.address) as client,
        Office(server.address) as office,
    ):
        file = await upload(office, small)
        for room in (2, 3, 5, 10, 20):
            with room_in_files(server, room * MIB):
                # What comes from an iterator cannot be sent again, so nobody tries.
                with pytest.raises(Unavailable) as refused:
                    await within(client.files.upload(iter([large])), "a refusal")
                assert refused.value.reason == "STORE_UNAVAILABLE"
                assert "files cannot be written: File too large" in str(refused.value)
                check_kept(store, small)
                assert await download(office, file.file_id) == (file, small)
                await office.submit("quick")
        again = await client.files.upload(large)
        assert (await download(office, again.file_id))[1] == large
        check_kept(store, small, large)


class Pier(NamedTuple):
    """A server, straight and behind a proxy, which tests that break connections share."""

    store: Path
    server: Server
    proxy: Proxy
    near: Office


@pytest.fixture(scope="module")
async def pier(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pier]:
    store = tmp_path_factory.mktemp("pier") / "longshore.db"
    async with (
        Server(store) as server,
        Proxy(server.address) as proxy,
        Office(server.address) as near,
    ):
        yield Pier(store, server, proxy, near)


async def only_whole_files_in(pier: Pier) -> None:
    """Wait until nothing is left of broken uploads: the server has seen that they are."""
    await eventually(
        lambda: len(blobs_in(pier.store)) == whole_in(pier.store), "the end of broken uploads"
    )


#: A connection that is to break after more than the whole file breaks later, or never.
SIZE = 3 * MIB
CUT = st.integers(0, SIZE + 4_096)


@settings(max_examples=20, deadline=None)
@given(CUT)
async def test_an_upload_over_a_connection_that_breaks_anywhere_is_kept_whole_or_not_at_all(
    pier: Pier, cut: int
) -> None:
    old, new = cargo(1_000), cargo(SIZE, 1)
    file = await upload(pier.near, old)
    expected = {old, new}
    async with Office(pier.proxy.address) as far:
        pier.proxy.cut_after(sent=cut)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await upload(far, new, header(file.file_id))
            expected = {new}
    pier.proxy.heal()
    assert (await download(pier.near, file.file_id))[1] in expected
    await only_whole_files_in(pier)


@settings(max_examples=20, deadline=None)
@given(CUT)
async def test_a_download_over_a_connection_that_breaks_anywhere_fails_or_is_whole(
    pier: Pier, cut: int
) -> None:
    data = cargo(SIZE, 2)
    file = await upload(pier.near, data)
    folder = pier.store.with_name("downloads")
    folder.mkdir(exist_ok=True)

    async def download_to(folder: Path) -> Path | None:
        try:
            return await client.files.download(file.file_id, folder / "cargo")
        except Unavailable:
            assert list(folder.iterdir()) == []
            return None

    async with Client(pier.proxy.address) as client:
        await client.connect()
        pier.proxy.cut_after(answered=cut)
        target = await eventually_answered(partial(download_to, folder), "a download")
    pier.proxy.heal()
    assert target is not None
    assert target.read_bytes() == data
    target.unlink()


@settings(max_examples=10, deadline=None)
@given(CUT)
async def test_the_client_sends_a_file_once_more_when_its_connection_breaks(
    pier: Pier, cut: int
) -> None:
    data = cargo(SIZE, 3)
    async with Client(pier.proxy.address) as client:
        await client.connect()
        pier.proxy.cut_after(sent=cut)
        file = await within(client.files.upload(data), "an upload")
    pier.proxy.heal()
    assert (await download(pier.near, file.file_id))[1] == data
    await only_whole_files_in(pier)


async def test_what_a_caller_leaves_in_the_middle_is_removed_at_once(pier: Pier) -> None:
    before = blobs_in(pier.store)
    async with Office(pier.proxy.address) as far:
        one = Upload(far, cargo(6 * MIB, 4), header())
        await one.send(20)
        await eventually(lambda: len(blobs_in(pier.store)) > len(before), "half a file")
        one.call.cancel()
        await eventually(lambda: blobs_in(pier.store) == before, "its removal")
        other = Upload(far, cargo(6 * MIB, 4), header())
        await other.send(20)
        await eventually(lambda: len(blobs_in(pier.store)) > len(before), "half a file")
        pier.proxy.cut()
        await eventually(lambda: blobs_in(pier.store) == before, "its removal")


async def test_callers_that_stall_cost_little_memory_and_hinder_nobody(pier: Pier) -> None:
    data = cargo(32 * MIB, 5)
    file = await upload(pier.near, data)
    before = pier.server.resident_bytes()
    offices = [Office(pier.server.address) for _ in range(10)]
    uploads = [Upload(office, data, header()) for office in offices]
    for one in uploads:
        await one.send(20)
    downloads = [
        office.files.DownloadFile(DownloadFileRequest(file_id=file.file_id))
        for office in offices
        for _ in range(3)
    ]
    for stream in downloads:
        assert isinstance(
            await within(stream.read(), "the first message"), DownloadFileResponse
        )
    assert (await download(pier.near, file.file_id))[1] == data
    await pier.near.submit("quick")
    # Held in memory, what these 40 have asked for would be more than 1 GiB.
    assert pier.server.resident_bytes() - before < 256 * MIB
    for one in uploads:
        await one.finish()
        assert (await within(one.call, "the end of an upload")).file.sha256 == digest_of(data)
    for office in offices:
        await office.channel.close()


async def test_a_file_of_256_mib_goes_up_and_down_through_little_memory(store: Path) -> None:
    piece, count = cargo(MIB), 256
    async with Server(store) as server, Office(server.address) as office:
        await download(office, (await upload(office, piece * 8)).file_id)
        before = server.most_resident_bytes()
        file = await within(
            office.files.UploadFile(
                message for message in messages_of(piece * count, header())
            ),
            "a large upload",
        )
        assert file.file.size == count * MIB
        stream = office.files.DownloadFile(DownloadFileRequest(file_id=file.file.file_id))
        size = 0
        async for message in stream:
            size += len(message.data)
        assert size == count * MIB
        assert server.most_resident_bytes() - before < 64 * MIB

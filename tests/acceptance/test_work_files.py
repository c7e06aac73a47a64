from __future__ import annotations

import contextlib
import zipfile
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from longshore.client import Client, NotFound, Unavailable, call
from tests.acceptance.cargo import (
    MIB,
    blobs_in,
    cargo,
    check_kept,
    digest_of,
    folder_of,
    sweep_later,
)
from tests.acceptance.journal import check_nothing_ran_twice, noted
from tests.acceptance.office import Office
from tests.acceptance.processes import Dockhand, Server
from tests.acceptance.quay import Quay
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.tools.proxy import Proxy

#: Workers are given up after some seconds of silence, which no live one keeps.
SHORT = ("--beat", "0.5s", "--time-to-live", "3s")


def saved(size: int, number: int, attempt: int = 1) -> bytes:
    """Return what the work `load` saves."""
    return cargo(size, f"0/{number}/{attempt}")


async def half_a_file(store: Path) -> None:
    """Wait until a part of a file that is larger than 1 MiB has arrived."""

    def look() -> bool:
        with contextlib.suppress(FileNotFoundError):  # It may be whole, or gone, meanwhile.
            return any(path.stat().st_size > MIB for path in folder_of(store).glob("*#*"))
        return False

    await eventually(look, "a part of a file")


async def test_a_worker_that_saves_a_file_while_its_server_is_killed_sends_it_again(
    store: Path, journal: Path
) -> None:
    sizes = (32 * MIB, 10)
    async with (
        Quay(store) as quay,
        Dockhand(quay.address, journal),
        Office(quay.address) as office,
    ):
        await office.connected()
        task = await quay.client().tasks.submit("load", {"sizes": sizes})
        await half_a_file(store)
        await quay.restart()
        await within(task.result(), "the end of the work")
        assert {file.path: file.sha256 for file in await task.files()} == {
            f"hold/0/{number}.bin": digest_of(saved(size, number))
            for number, size in enumerate(sizes, 1)
        }
        assert (await task.status()).attempt == 1
        check_nothing_ran_twice(journal)
        await quay.kill()
    await sweep_later(store)
    check_kept(store, *(saved(size, number) for number, size in enumerate(sizes, 1)))


async def test_of_a_step_whose_worker_is_killed_only_the_next_attempts_files_are_kept(
    store: Path, journal: Path, gate: Path, tmp_path: Path
) -> None:
    done, broken = (1_000, 2_000_000), (3_000, 32 * MIB, 10)
    expected = {
        "hold/0/1.bin": saved(1_000, 1),
        "hold/0/2.bin": saved(2_000_000, 2),
        "hold/1/1.bin": saved(3_000, 1, attempt=2),
        "hold/1/2.bin": saved(32 * MIB, 2, attempt=2),
        "hold/1/3.bin": saved(10, 3, attempt=2),
    }
    async with (
        Server(store, *SHORT) as server,
        Proxy(server.address) as proxy,
        Client(server.address) as client,
    ):
        # What it sends comes by this process: none of it while this one does not look.
        async with Dockhand(proxy.address, journal, name="mortal") as mortal:
            plan = [
                call("load", {"sizes": done}),
                call("load", {"sizes": broken, "gate": str(gate)}),
            ]
            task = await client.tasks.submit(plan=plan, allow_unregistered=True)
            await eventually(lambda: noted(journal, "end"), "the end of the first step")
            await half_a_file(store)
            await mortal.kill()
        gate.touch()
        async with Dockhand(server.address, journal, name="heir"):
            await within(task.result(), "the end of the work")
        files = await task.files()
        assert {file.path: file.sha256 for file in files} == {
            path: digest_of(data) for path, data in expected.items()
        }
        paths = await task.download(tmp_path / "hold")
        assert {
            path.relative_to(tmp_path / "hold").as_posix(): path.read_bytes() for path in paths
        } == expected
        await server.kill()
    await sweep_later(store)
    check_kept(store, *expected.values())


async def test_the_files_of_a_launch_come_as_one_zip_whole_or_not_at_all(
    store: Path, journal: Path, tmp_path: Path
) -> None:
    sizes = (0, 1, 70_000, 3 * MIB)
    folder = tmp_path / "zips"
    folder.mkdir()
    async with (
        Server(store) as server,
        Dockhand(server.address, journal),
        Office(server.address) as office,
        Proxy(server.address) as proxy,
        Client(proxy.address) as client,
    ):
        await office.connected()
        launch = await client.launches.submit("freight", {"sizes": sizes})
        await within(launch.result(), "the end of the launch")

        async def download() -> Path | None:
            try:
                return await client.launches.download(launch.id, folder / "freight.zip")
            except Unavailable:
                assert list(folder.iterdir()) == []
                return None

        for cut in (0, 100, 100_000, 2 * MIB, 4 * MIB):
            proxy.cut_after(answered=cut)
            target = await eventually_answered(download, "a download")
            assert target is not None
            with zipfile.ZipFile(target) as zipped:
                assert {name: zipped.read(name) for name in zipped.namelist()} == {
                    f"hold/0/{number}.bin": saved(size, number)
                    for number, size in enumerate(sizes, 1)
                }
            target.unlink()


async def test_a_file_outlives_its_time_for_the_work_that_takes_it_and_is_removed_thereafter(
    store: Path, journal: Path, gate: Path
) -> None:
    data = cargo(MIB)
    async with (
        Quay(store) as quay,
        Dockhand(quay.address, journal),
        Office(quay.address) as office,
    ):
        await office.connected()
        client = quay.client()
        upload = partial(client.files.upload, expire_after=timedelta(seconds=2))
        taken = await upload(data)
        task = await client.tasks.submit(
            "unload", {"file": f"files/{taken.file_id}", "gate": str(gate)}
        )

        # Its time is over later: first the one that is taken has to be in time.
        other = await upload(cargo(MIB, 1))

        async def gone(file_id: str) -> bool:
            try:
                await client.files.get(file_id)
            except NotFound:
                return True
            return False

        await eventually_answered(partial(gone, other.file_id), "the end of its time")
        assert not await gone(taken.file_id)
        with pytest.raises(NotFound):
            await client.tasks.submit("unload", {"file": other.file_id, "gate": str(gate)})
        # A server sweeps when it starts.
        await quay.restart()
        await eventually(lambda: len(blobs_in(store)) == 1, "the sweep")
        assert b"".join([piece async for piece in client.files.read(taken.file_id)]) == data
        gate.touch()
        assert await within(task.result(), "the end of the work") == {"sha256": digest_of(data)}
        assert await gone(taken.file_id)
        await quay.restart()
        await eventually(lambda: blobs_in(store) == [], "the last sweep")

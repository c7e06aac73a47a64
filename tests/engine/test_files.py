"""Files of the engine: whole or not at all, and nothing is left that nobody knows of."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from longshore.core.callers import Caller
from longshore.core.errors import (
    FileDamaged,
    FilesUnavailable,
    InvalidFields,
    LeaseLost,
    LongshoreError,
    OutcomeUnknown,
    PayloadTooLarge,
    UploadGivenUp,
)
from longshore.core.file_changes import ForgetBlobs, KeepFile, OpenBlob, SweepFiles
from longshore.core.files import File
from longshore.core.limits import BLOB_WRITTEN_WITHIN_MS, FILE_EXPIRE_AFTER_MS, MIB
from longshore.core.store import Applied
from longshore.engine import files as module
from longshore.engine.settings import EngineSettings
from tests.engine.harness import PATIENCE_SECONDS, Machine, StillClock

HOUR = 3_600.0
SECONDS = BLOB_WRITTEN_WITHIN_MS / 1_000
Check = Callable[[], str]


def asked(path: str = "a", number: int | None = None, token: int = 0) -> KeepFile:
    file = File(
        os.urandom(16), "default", b"", path, 0, b"", "", "", "", 0, None, number, token=token
    )
    return KeepFile(Caller(), file, None if number else FILE_EXPIRE_AFTER_MS)


async def told(*chunks: bytes) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk


async def take(
    machine: Machine,
    chunks: AsyncGenerator[bytes],
    sha256: str | Check = "",
    change: KeepFile | None = None,
) -> File:
    """Keep chunks as a file that has the digest, or has what is said after the last chunk."""
    claimed = sha256 if callable(sha256) else lambda: sha256
    async with aclosing(chunks):
        return await machine.engine.files.take(change or asked(), chunks, claimed)


async def read(machine: Machine, file: File) -> bytes:
    return b"".join([chunk async for chunk in machine.engine.files.read(file)])


async def found(machine: Machine, file_id: bytes) -> File | None:
    (file,) = await machine.store.files("default", [file_id], machine.clock.now())
    return file


def kept(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.folder.iterdir())


async def nothing_is_left(machine: Machine) -> None:
    """See that no blob is there and none is known of, without a sweep."""
    await machine.engine.files.settle()
    assert kept(machine) == []
    machine.clock.advance(10 * SECONDS)
    assert await machine.engine.writer.write(SweepFiles(10)) == []


@pytest.mark.parametrize(
    "chunks",
    [(), (b"",), (b"a",), (b"a", b"", b"bc"), (b"a" * MIB, b"b" * 3 * MIB, b"c" * 70_000)],
    ids=["none", "empty", "small", "three", "large"],
)
async def test_what_is_taken_is_read_as_it_was(
    machine: Machine, chunks: Sequence[bytes]
) -> None:
    whole = b"".join(chunks)
    digest = hashlib.sha256(whole)
    file = await take(machine, told(*chunks), digest.hexdigest().upper())
    assert (file.size, file.sha256) == (len(whole), digest.digest())
    assert await found(machine, file.id) == file
    assert await read(machine, file) == whole
    assert machine.blobs.readers == 0


async def test_another_digest_than_was_said_keeps_nothing(machine: Machine) -> None:
    with pytest.raises(InvalidFields, match="2 bytes arrived") as caught:
        await take(machine, told(b"a", b"b"), hashlib.sha256(b"a").hexdigest())
    assert caught.value.violations[0].field == "sha256"
    await nothing_is_left(machine)


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_a_producer_that_breaks_keeps_nothing(machine: Machine, count: int) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        for _ in range(count):
            yield b"a" * MIB
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):
        await take(machine, broken())
    await nothing_is_left(machine)


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_who_is_canceled_before_the_last_chunk_leaves_nothing(
    machine: Machine, count: int
) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(count):
            yield b"a" * MIB
        waiting.set()
        await asyncio.Event().wait()

    taking = asyncio.create_task(take(machine, endless()))
    await waiting.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    await nothing_is_left(machine)


async def test_what_is_being_taken_back_is_waited_for(machine: Machine) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        yield b"a" * 3 * MIB
        waiting.set()
        await asyncio.Event().wait()

    taking = asyncio.create_task(take(machine, endless()))
    await waiting.wait()
    assert kept(machine) != []
    taking.cancel()
    await nothing_is_left(machine)
    with pytest.raises(asyncio.CancelledError):
        await taking


async def test_who_is_canceled_after_the_check_has_a_file(machine: Machine) -> None:
    change = asked()

    def cancel() -> str:
        taking.cancel()
        return ""

    taking = asyncio.create_task(take(machine, told(b"a"), cancel, change))
    with pytest.raises(asyncio.CancelledError):
        await taking
    await machine.engine.files.settle()
    file = await found(machine, change.file.id)
    assert file is not None
    assert await read(machine, file) == b"a"


async def test_who_is_canceled_before_a_refusal_leaves_nothing(machine: Machine) -> None:
    def cancel() -> str:
        taking.cancel()
        return ""

    change = asked(number=10**9, token=1)
    taking = asyncio.create_task(take(machine, told(b"a"), cancel, change))
    with pytest.raises(asyncio.CancelledError):
        await taking
    await nothing_is_left(machine)


async def test_a_file_that_is_refused_leaves_nothing(machine: Machine) -> None:
    with pytest.raises(LeaseLost):
        await take(machine, told(b"a"), change=asked(number=10**9, token=1))
    await nothing_is_left(machine)


async def test_a_file_that_is_too_large_is_refused_while_it_comes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 3)
    drawn: list[bytes] = []

    async def growing() -> AsyncGenerator[bytes]:
        while True:
            drawn.append(b"ab")
            yield b"ab"

    with pytest.raises(PayloadTooLarge):
        await take(machine, growing())
    assert len(drawn) == 2
    await nothing_is_left(machine)


async def test_a_full_disk_leaves_nothing_once_it_has_room_again(machine: Machine) -> None:
    machine.blobs.failure = FilesUnavailable("files cannot be written: no space")
    with pytest.raises(FilesUnavailable, match="no space"):
        await take(machine, told(b"a" * MIB, b"a"))
    await machine.engine.files.settle()
    machine.blobs.failure = None
    machine.clock.advance(SECONDS)
    await machine.engine.files.sweep()
    await nothing_is_left(machine)


async def test_a_slow_upload_is_kept_as_long_as_it_is_heard_of(machine: Machine) -> None:
    async def slow() -> AsyncGenerator[bytes]:
        for _ in range(10):
            machine.clock.advance(SECONDS / 2)
            yield b"a"
            await machine.engine.files.sweep()

    assert await read(machine, await take(machine, slow())) == b"a" * 10


@pytest.mark.parametrize("more", [(), (b"b",)])
async def test_an_upload_that_was_given_up_leaves_nothing(
    machine: Machine, more: Sequence[bytes]
) -> None:
    async def silent() -> AsyncGenerator[bytes]:
        yield b"a"
        machine.clock.advance(SECONDS + 1)
        await machine.engine.files.sweep()
        for chunk in more:
            yield chunk

    with pytest.raises(UploadGivenUp):
        await take(machine, silent())
    await nothing_is_left(machine)


# Crashes.


async def announced(machine: Machine) -> bytes:
    blob = os.urandom(16)
    assert await machine.engine.writer.write(OpenBlob(blob))
    return blob


async def crash_after_the_announcement(machine: Machine) -> None:
    await announced(machine)


async def crash_while_bytes_come(machine: Machine) -> None:
    blob = await announced(machine)
    Path(machine.folder, f"{blob.hex()}#1").write_bytes(b"a")  # As obstore gathers a blob.


async def crash_before_the_file_is_kept(machine: Machine) -> None:
    blob = await announced(machine)
    await machine.blobs.write(blob.hex(), told(b"a"))


async def crash_before_an_expired_file_is_removed(machine: Machine) -> None:
    await take(machine, told(b"a"))
    machine.clock.advance(FILE_EXPIRE_AFTER_MS / 1_000)
    await machine.engine.writer.write(SweepFiles(10))


async def crash_before_a_removed_blob_is_forgotten(machine: Machine) -> None:
    file = await take(machine, told(b"a"))
    machine.clock.advance(FILE_EXPIRE_AFTER_MS / 1_000)
    await machine.engine.writer.write(SweepFiles(10))
    await machine.blobs.remove([file.blob.hex()])


@pytest.mark.parametrize(
    "crash",
    [
        crash_after_the_announcement,
        crash_while_bytes_come,
        crash_before_the_file_is_kept,
        crash_before_an_expired_file_is_removed,
        crash_before_a_removed_blob_is_forgotten,
    ],
)
async def test_a_sweep_removes_what_a_crash_has_left(
    tmp_path: Path, clock: StillClock, crash: Callable[[Machine], asyncio.Future[None]]
) -> None:
    path = tmp_path / "longshore.db"
    async with Machine(path, clock) as machine:
        survivor = await take(machine, told(b"b"), change=asked()._replace(expire_after=None))
        await crash(machine)
    async with Machine(path, clock) as machine:
        clock.advance(SECONDS)
        await machine.engine.files.sweep()
        assert kept(machine) == [survivor.blob.hex()]
        assert await read(machine, survivor) == b"b"
        assert await machine.engine.writer.write(SweepFiles(10)) == []


async def test_a_commit_whose_outcome_is_unknown_was_made_and_has_its_bytes(
    tmp_path: Path, clock: StillClock
) -> None:
    path, change = tmp_path / "longshore.db", asked()
    async with Machine(path, clock) as machine:
        store = machine.store
        apply = store.apply

        async def applied_in_silence(changes: Sequence[object]) -> Applied:
            await apply(cast("list[OpenBlob]", changes))
            raise OutcomeUnknown

        def lose_the_answer() -> str:
            store.apply = applied_in_silence  # type: ignore[method-assign]
            return ""

        with pytest.raises(OutcomeUnknown):
            await take(machine, told(b"a"), lose_the_answer, change)
        assert isinstance(machine.engine.failed.exception(), OutcomeUnknown)
    async with Machine(path, clock) as machine:
        clock.advance(1)
        await machine.engine.files.sweep()
        file = await found(machine, change.file.id)
        assert file is not None
        assert await read(machine, file) == b"a"


async def test_a_commit_whose_outcome_is_unknown_was_not_made_and_leaves_nothing(
    tmp_path: Path, clock: StillClock
) -> None:
    path, change = tmp_path / "longshore.db", asked()
    async with Machine(path, clock) as machine:

        def lose_the_change() -> str:
            machine.store.failure = OutcomeUnknown()
            return ""

        with pytest.raises(OutcomeUnknown):
            await take(machine, told(b"a"), lose_the_change, change)
        assert isinstance(machine.engine.failed.exception(), OutcomeUnknown)
        assert len(kept(machine)) == 1
    async with Machine(path, clock) as machine:
        assert await found(machine, change.file.id) is None
        clock.advance(SECONDS)
        await machine.engine.files.sweep()
        await nothing_is_left(machine)


# Reading and sweeping.


@pytest.mark.parametrize("bytes_now", [b"", b"a" * 4, b"a" * 4 + b"c", b"a" * 6])
async def test_damage_is_told_after_the_last_byte(machine: Machine, bytes_now: bytes) -> None:
    file = await take(machine, told(b"a" * 5))
    Path(machine.folder, file.blob.hex()).write_bytes(bytes_now)
    given = bytearray()

    async def gather() -> None:
        async for chunk in machine.engine.files.read(file):
            given.extend(chunk)

    with pytest.raises(FileDamaged):
        await gather()
    assert given == bytes_now


async def test_a_file_whose_blob_is_gone_cannot_be_read(machine: Machine) -> None:
    file = await take(machine, told(b"a"))
    Path(machine.folder, file.blob.hex()).unlink()
    with pytest.raises(FilesUnavailable):
        await read(machine, file)


async def test_who_goes_away_reads_no_further(machine: Machine) -> None:
    file = await take(machine, told(b"a" * 3 * MIB))
    chunks = machine.engine.files.read(file)
    await anext(chunks)
    assert machine.blobs.readers == 1
    await chunks.aclose()
    assert machine.blobs.readers == 0


async def test_very_many_are_swept_at_once(machine: Machine) -> None:
    blobs = [os.urandom(16) for _ in range(1_200)]
    await machine.engine.writer.write_all([OpenBlob(blob) for blob in blobs])
    machine.clock.advance(SECONDS)
    await machine.engine.files.sweep()
    assert await machine.engine.writer.write(SweepFiles(10)) == []


async def test_a_sweep_that_fails_is_made_up_for(tmp_path: Path, clock: StillClock) -> None:
    settings = EngineSettings(sweep_every_seconds=0.01)
    async with Machine(tmp_path / "longshore.db", clock, settings) as machine:
        await take(machine, told(b"a"))
        machine.blobs.failure = FilesUnavailable("files cannot be removed")
        clock.advance(HOUR)
        with pytest.raises(FilesUnavailable):
            await machine.engine.files.sweep()
        machine.blobs.failure = None
        machine.blobs.removed.clear()
        await asyncio.wait_for(machine.blobs.removed.wait(), PATIENCE_SECONDS)
        assert kept(machine) == []


async def test_the_engine_ends_when_what_was_given_up_is_removed(
    tmp_path: Path, clock: StillClock
) -> None:
    async with Machine(tmp_path / "longshore.db", clock) as machine:
        with pytest.raises(LongshoreError):
            await take(machine, told(b"a"), "f" * 64)
    assert kept(machine) == []


async def test_forgotten_blobs_are_none_of_the_sweeps_business(machine: Machine) -> None:
    blob = await announced(machine)
    await machine.engine.writer.write(ForgetBlobs((blob,)))
    await nothing_is_left(machine)

"""What a client shows, and to whom; files that change; and what is kept from listeners."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import ChannelConnectivity

from longshore.client import Client, InvalidValue, Tls, TlsFailed
from longshore.client.callers import Caller, is_loopback
from longshore.client.opened import Opened
from longshore.client.rereading import LOOK_SECONDS, Reread
from longshore.client.sync import SyncClient
from longshore.v1 import operation_pb2 as operation
from longshore.v1 import task_service_pb2 as tasks
from longshore.worker import Worker
from tests.tools.certificates import Authority, put
from tests.tools.recorder import Recorder, recorder

ELSEWHERE = "192.0.2.1:50051"
TOKEN = "lsk_k3v9x2m7q4_" + "s" * 43


@pytest.fixture
async def peer() -> AsyncIterator[Recorder]:
    async with recorder() as found:
        yield found


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
def always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshore.client.rereading.LOOK_SECONDS", 0.0)


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


# Tokens.


async def test_every_call_shows_the_token(peer: Recorder) -> None:
    done = tasks.WatchTasksResponse(revision=1, end=operation.END_DONE)
    peer.ready = [tasks.GetTaskResponse(), done]
    async with Client(peer.address, token=TOKEN, tenant="north") as client:
        await client.tasks.get("7")
        assert [one async for one in client.tasks.watch("7")] == []
        await client.files.upload(b"a photo", path="photo.png")
    assert len(peer.metadata) == 3
    for metadata in peer.metadata:
        assert metadata["authorization"] == f"Bearer {TOKEN}"
        assert metadata["x-tenant-id"] == "north"


async def test_a_client_without_a_token_shows_none(peer: Recorder) -> None:
    async with Client(peer.address) as client:
        await client.tasks.get("7")
    assert "authorization" not in peer.metadata[0]


async def test_a_token_is_read_from_its_file_again_when_that_changes(
    peer: Recorder, token_file: Path, always_looking: None
) -> None:
    async with Client(peer.address, token=token_file) as client:
        await client.tasks.get("7")
        token_file.write_text("another")
        await client.tasks.get("7")
    shown = [metadata["authorization"] for metadata in peer.metadata]
    assert shown == [f"Bearer {TOKEN}", "Bearer another"]


@pytest.mark.parametrize("left", ["", "two words", None])
async def test_a_token_holds_on_while_its_file_holds_none(
    left: str | None,
    peer: Recorder,
    token_file: Path,
    always_looking: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Client(peer.address, token=token_file) as client:
        token_file.unlink()
        if left is not None:
            token_file.write_text(left)
        with caplog.at_level(logging.WARNING):
            await client.tasks.get("7")
            await client.tasks.get("7")
    assert [metadata["authorization"] for metadata in peer.metadata] == [f"Bearer {TOKEN}"] * 2
    (said,) = (
        record.message for record in caplog.records if record.name.startswith("longshore")
    )
    assert str(token_file) in said
    assert TOKEN not in said


def test_a_sync_client_takes_what_a_client_takes() -> None:
    with pytest.raises(InvalidValue, match="in the clear"):
        SyncClient(ELSEWHERE, token=TOKEN)


@pytest.mark.parametrize("token", ["", " ", "two words", "líne", "a\x00b"], ids=repr)
async def test_what_cannot_be_a_token_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Client("127.0.0.1:1", token=token)
    assert str(refused.value) == "the token is no token: that is one word of ASCII"


async def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"token file .*/gone: No such file"):
        Client("127.0.0.1:1", token=tmp_path / "gone")


# Listeners.


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:50051",
        "127.9.9.9:50051",
        "[::1]:50051",
        "localhost:50051",
        "localhost",
        "dns:///localhost:50051",
        "ipv4:127.0.0.1:50051",
        "unix:/run/longshore",
        "unix-abstract:longshore",
    ],
)
def test_nobody_hears_what_stays_on_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        ELSEWHERE,
        "0.0.0.0:50051",
        "[2001:db8::1]:50051",
        "quay.example.org:50051",
        "localhost.example.org:50051",
        "dns://192.0.2.7/localhost:50051",
        "ipv4:192.0.2.1:50051",
        "127.0.0.1.example.org:1",
    ],
)
def test_others_hear_what_leaves_this_machine(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize(
    "shown", [{"token": TOKEN}, {"metadata": {"authorization": f"Basic {TOKEN}"}}], ids=str
)
async def test_a_token_is_not_sent_in_the_clear_to_another_machine(shown: Any) -> None:
    with pytest.raises(InvalidValue, match="in the clear: use tls, or say insecure") as refused:
        Client(["127.0.0.1:1", ELSEWHERE], **shown)
    assert ELSEWHERE in str(refused.value)
    assert TOKEN not in str(refused.value)
    async with Client(ELSEWHERE, insecure=True, **shown):
        pass
    async with Client(ELSEWHERE, tls=Tls(), **shown):
        pass


async def test_a_worker_does_not_send_it_either() -> None:
    worker = Worker("press")

    @worker.action("print")
    def print_() -> None: ...

    with pytest.raises(InvalidValue, match="in the clear"):
        await worker.run(ELSEWHERE, token=TOKEN)


# Files.


def test_files_are_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    file, clock = tmp_path / "file", Hands()
    file.write_text("first")
    reread = Reread((file,), file.read_text, clock)
    file.write_text("second, and longer")
    clock.seconds = LOOK_SECONDS * 0.99
    assert reread.now() == "first"
    clock.seconds = LOOK_SECONDS
    assert reread.now() == "second, and longer"


def test_what_files_make_is_the_same_as_long_as_they_are(tmp_path: Path) -> None:
    file, clock = tmp_path / "file", Hands()
    file.write_text("content")
    reread = Reread((file,), file.read_bytes, clock)
    before = reread.now()
    clock.seconds = 10 * LOOK_SECONDS
    assert reread.now() is before


def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    file, clock = tmp_path / "file", Hands()
    file.write_text("a")

    def read() -> str:
        found = file.read_text()
        if found == "ab":
            file.write_text("abc")
        return found

    reread = Reread((file,), read, clock)
    file.write_text("ab")
    clock.seconds = LOOK_SECONDS
    assert reread.now() == "a"
    clock.seconds = 2 * LOOK_SECONDS
    assert reread.now() == "abc"


def test_a_certificate_goes_with_its_key(authority: Authority) -> None:
    pair = authority.issue(subject="ada")
    with pytest.raises(InvalidValue, match="a certificate goes with its key"):
        Tls(certificate=pair.certificate)
    with pytest.raises(InvalidValue, match="a certificate goes with its key"):
        Tls(key=pair.key)


@pytest.mark.parametrize("file", ["ca", "certificate", "key"])
@pytest.mark.parametrize("held, said", [(None, "No such file"), ("nothing", "as PEM")])
async def test_a_file_that_cannot_be_used_is_named(
    file: str, held: str | None, said: str, authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue(subject="ada")
    bad = tmp_path / "bad.pem"
    if held is not None:
        bad.write_text(held)
    files: Any = {
        "ca": authority.ca,
        "certificate": pair.certificate,
        "key": pair.key,
        file: bad,
    }
    with pytest.raises(InvalidValue, match=said) as refused:
        Client("localhost:1", tls=Tls(**files))
    assert str(bad) in str(refused.value)


async def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    one, other = authority.issue(subject="ada"), authority.issue(subject="bob")
    with pytest.raises(InvalidValue, match=r"key .* is not that of the certificate"):
        Client("localhost:1", tls=Tls(authority.ca, one.certificate, other.key))


# Channels.


async def test_with_other_files_calls_go_over_other_channels_and_streams_stay(
    authority: Authority, tmp_path: Path, always_looking: None
) -> None:
    ca = tmp_path / "ca.pem"
    put(authority.ca, ca)
    opened: Any = Opened(Caller("localhost:1", tls=Tls(ca)))
    (before,) = opened.now()
    assert opened.now() == [before]
    with opened.using(before):
        put(authority.ca, ca)
        (after,) = opened.now()
        assert after is not before
        assert opened.now() == [after]
        assert not opened._closing
    await asyncio.gather(*opened._closing)
    assert before.get_state() is ChannelConnectivity.SHUTDOWN
    assert after.get_state() is ChannelConnectivity.IDLE
    await opened.close()


async def test_a_server_that_wants_tls_is_told_from_one_that_is_not_there(
    authority: Authority, unused_tcp_port: int
) -> None:
    nowhere = f"127.0.0.1:{unused_tcp_port}"
    async with Client(nowhere, tls=Tls(authority.ca)) as client:
        with pytest.raises(Exception, match=f"^there is no connection to {nowhere}$"):
            await client.connect()


async def test_a_server_without_tls_is_told_from_one_that_is_not_trusted(
    authority: Authority, peer: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.client.servers._WORDS_SECONDS", 45.0)
    async with Client(peer.address, tls=Tls(authority.ca)) as client:
        with pytest.raises(TlsFailed, match="it does not speak TLS"):
            await client.connect()

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from longshore.access import remote_keys
from longshore.access.remote_keys import RemoteKeys
from tests.tools.issuer import KeyServer, Signer, Time, key_server

ONE, TWO = Signer("one"), Signer("two", "EdDSA")


class Fetched:
    """The keys of a server as somebody sees them who has a clock."""

    def __init__(self, url: str) -> None:
        self.time = Time(0.0)
        self.forgotten = 0
        self.remote = RemoteKeys(url, monotonic=self.time, changed=self._forget)

    @property
    def names(self) -> list[str]:
        return [key.id for key in self.remote.keys]

    async def look(self) -> None:
        """Look, and wait for the fetch that has begun, if one has."""
        self.remote.look()
        if self.remote.fetching:
            await self.remote.renew()

    def _forget(self) -> None:
        self.forgotten += 1


@asynccontextmanager
async def fetched(url: str) -> AsyncGenerator[Fetched]:
    seen = Fetched(url)
    yield seen
    await seen.remote.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only an issuer that is told to be silent be one that does not answer."""
    monkeypatch.setattr(remote_keys, "PATIENCE", 45.0)


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server(ONE) as server:
        yield server


@pytest.fixture
async def seen(server: KeyServer) -> AsyncIterator[Fetched]:
    async with fetched(server.url) as seen:
        await seen.look()
        yield seen


async def test_keys_are_fetched_and_kept(server: KeyServer, seen: Fetched) -> None:
    seen.time.now += 299
    await seen.look()
    assert (seen.names, server.asked) == (["one"], 1)


async def test_keys_are_fetched_again_before_they_are_old(
    server: KeyServer, seen: Fetched
) -> None:
    server.show(ONE, TWO)
    seen.time.now += 300
    await seen.look()
    assert seen.names == ["one", "two"]
    assert seen.forgotten == 0


async def test_a_new_key_is_fetched_when_it_is_asked_for(
    server: KeyServer, seen: Fetched
) -> None:
    server.show(TWO)
    seen.time.now += 10
    await seen.remote.renew()
    assert seen.names == ["two"]


async def test_who_asks_for_unknown_keys_does_not_hurry_the_issuer(
    server: KeyServer, seen: Fetched
) -> None:
    for _ in range(99):
        seen.time.now += 0.1
        await seen.remote.renew()
    assert server.asked == 1


async def test_all_who_ask_at_once_wait_for_one_fetch(server: KeyServer) -> None:
    server.answering.clear()
    async with fetched(server.url) as seen:
        asked = [asyncio.create_task(seen.remote.renew()) for _ in range(10)]
        await asyncio.sleep(0)
        asked.pop().cancel()
        server.answering.set()
        await asyncio.gather(*asked)
        assert (seen.names, server.asked) == (["one"], 1)


async def test_what_a_lost_key_has_signed_is_to_be_checked_anew(
    server: KeyServer, seen: Fetched
) -> None:
    replaced = Signer("one")
    replaced.private = Signer("other").private
    for signers, forgotten in [
        ((ONE, TWO), 0),
        ((TWO,), 1),
        ((TWO, replaced), 1),
        ((ONE, TWO), 2),
    ]:
        server.show(*signers)
        seen.time.now += 300
        await seen.look()
        assert seen.forgotten == forgotten


async def test_keys_that_cannot_be_fetched_any_more_serve_for_an_hour(
    server: KeyServer, seen: Fetched
) -> None:
    server.status = 503
    with capture_logs() as logged:
        for _ in range(11):
            seen.time.now += 300
            await seen.look()
        assert seen.names == ["one"]
        seen.time.now += 299
        await seen.look()
        assert (seen.names, seen.forgotten) == (["one"], 0)
        seen.time.now += 1
        await seen.look()
    assert (seen.names, seen.forgotten) == ([], 1)
    assert [one["event"] for one in logged] == ["keys_unavailable"]


async def test_after_an_outage_keys_are_there_again(server: KeyServer, seen: Fetched) -> None:
    server.status = 503
    seen.time.now += 3600
    with capture_logs() as logged:
        await seen.look()
        server.status = 200
        seen.time.now += 9
        await seen.look()
        assert seen.names == []
        seen.time.now += 1
        await seen.look()
    assert seen.names == ["one"]
    assert [one["event"] for one in logged] == ["keys_unavailable", "keys_fetched_again"]


async def test_an_issuer_that_does_not_answer_holds_nobody_up_for_long(
    server: KeyServer, seen: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_keys, "PATIENCE", 0.05)
    server.answering.clear()
    seen.time.now += 300
    with capture_logs() as logged:
        await seen.look()
    assert seen.names == ["one"]
    assert "timed out" in logged[0]["error"]


@pytest.mark.parametrize("document", [b"", b"<html>", b'{"keys": []}', b" " * 2_000_000])
async def test_an_answer_that_is_no_set_of_keys_changes_nothing(
    server: KeyServer, seen: Fetched, document: bytes
) -> None:
    server.document = document
    seen.time.now += 300
    with capture_logs() as logged:
        await seen.look()
    assert seen.names == ["one"]
    assert logged[0]["event"] == "keys_unavailable"


async def test_nobody_is_sent_elsewhere_for_keys(server: KeyServer) -> None:
    server.status = 302
    async with fetched(server.url) as seen:
        with capture_logs():
            await seen.look()
        assert (seen.names, server.asked) == ([], 1)


async def test_an_issuer_that_is_not_there_is_said_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with fetched(f"http://127.0.0.1:{unused.getsockname()[1]}/keys") as seen:
            with capture_logs() as logged:
                for _ in range(3):
                    await seen.look()
                    seen.time.now += 10
    assert [one["event"] for one in logged] == ["keys_unavailable"]


async def test_a_fetch_under_way_ends_with_the_keeper(server: KeyServer) -> None:
    server.answering.clear()
    async with fetched(server.url) as seen:
        seen.remote.look()
        asked = asyncio.create_task(seen.remote.renew())
        await asyncio.sleep(0)
    await asked
    assert seen.names == []

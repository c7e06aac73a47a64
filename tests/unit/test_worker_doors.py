"""How processes elsewhere reach their worker, and who does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from longshore.client.sources import Source
from longshore.worker import doors
from longshore.worker.context import Facts
from longshore.worker.doors import LOOPBACK, Door, Doorkeeper
from longshore.worker.failures import Failure
from longshore.worker.porter import Claim
from longshore.worker.remote import packed, perform_remotely
from longshore.worker.results import Outcome
from longshore.worker.saving import Saved
from longshore.worker.switchboard import Switchboard, Ticket
from longshore.worker.words import Word

FACTS = Facts("operation-1", "act", 1, 0, "", "")


class Silence:
    """A voice that nobody hears."""

    cancelled = False

    def say(self, word: Word) -> None: ...

    def later(self, seconds: float, call: Callable[[], None]) -> None: ...

    def save(self, path: str, source: Source, content_type: str) -> Saved:
        raise NotImplementedError


@pytest.fixture
async def switchboard() -> AsyncIterator[Switchboard]:
    found = Switchboard(LOOPBACK)
    await found.open()
    yield found
    await found.close()


def ticket(switchboard: Switchboard) -> Ticket:
    claim = Claim(Door("", 0, b"", b""), 0, Path())
    return switchboard.ticket(FACTS, Silence(), None, claim, lambda: None)


async def perform(one: Ticket, function: Callable[..., Any] = str) -> Outcome:
    return await asyncio.to_thread(perform_remotely, "act", packed(function, {}), one)


def why(outcome: Outcome) -> str:
    assert isinstance(outcome, Failure)
    return str(outcome.error.message)


async def entered(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Enter, however short the patience of who enters is."""
    while True:
        with contextlib.suppress(TimeoutError):
            return await door.enter()


async def test_who_does_not_tell_the_secret_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served: list[bool] = []

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        served.append(True)

    monkeypatch.setattr(doors, "_SECONDS", 0.2)
    keeper = Doorkeeper(LOOPBACK, serve)
    await keeper.open()
    reader, writer = await entered(keeper.door._replace(secret=b"half of it"))
    async with asyncio.timeout(45):
        assert await reader.read() == b""
    writer.close()
    await keeper.close()
    assert served == []


async def test_a_call_begins_once_whoever_tries_again(switchboard: Switchboard) -> None:
    one = ticket(switchboard)
    assert not switchboard.has_begun(one.number)
    assert isinstance(await perform(one), bytes)
    assert switchboard.has_begun(one.number)
    assert "was lost, or cut off" in why(await perform(one))


async def test_a_call_that_is_not_wanted_any_more_does_not_begin(
    switchboard: Switchboard,
) -> None:
    one = ticket(switchboard)
    switchboard.forget(one.number)
    begun: list[str] = []
    assert "was lost, or cut off" in why(await perform(one, lambda: begun.append("begun")))
    assert begun == []


async def test_functions_that_have_no_name_are_called_too(switchboard: Switchboard) -> None:
    told = "from around it"
    outcome = await perform(ticket(switchboard), lambda: told)
    assert isinstance(outcome, bytes)
    assert told.encode() in outcome


async def test_who_does_not_reach_the_worker_says_where_it_was_looked_for(
    switchboard: Switchboard, unused_tcp_port: int
) -> None:
    one = ticket(switchboard)
    away = one._replace(door=one.door._replace(port=unused_tcp_port))
    assert f"does not reach its worker at {LOOPBACK}" in why(await perform(away))


async def test_nobody_is_served_without_the_secret_or_trusts_another_worker() -> None:
    served: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append("served")

    keepers = [Doorkeeper(LOOPBACK, serve) for _ in range(2)]
    for keeper in keepers:
        await keeper.open()
    first, second = (keeper.door for keeper in keepers)
    with pytest.raises(ssl.SSLCertVerificationError):
        await first._replace(authority=second.authority).enter()
    for secret, times in ((b"?" * 32, 0), (first.secret, 1)):
        reader, writer = await first._replace(secret=secret).enter()
        async with asyncio.timeout(45):
            assert await reader.read() == b""
        writer.transport.abort()
        assert len(served) == times
    for keeper in keepers:
        await keeper.close()

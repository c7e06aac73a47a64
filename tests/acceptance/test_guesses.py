"""Who guesses credentials is answered ever later; who has one, or is elsewhere, is not."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import grpc.aio

from tests.acceptance.office import Office, reason_of
from tests.acceptance.processes import Program, Server
from tests.acceptance.waiting import within
from tests.tools import wire
from tests.tools.wire import END_STREAM, Kind

CALLER = "/longshore.v1.ServerService/GetCaller"

#: From the third guess to the fourth at least, and nobody else waits; timers count whole
#: milliseconds.
STEP_SECONDS = 0.249


async def token_of(file: Path, name: str) -> str:
    words = ("principals", "add", name, "--role", "viewer", "--principals", file)
    async with Program(*words) as program:
        assert await program.ended() == 0, program.err
    return program.out[0]


async def show(office: Office, token: str) -> str:
    """Show a token; return the reason of the refusal, if any."""
    channel: Any = office.channel
    said = [("authorization", f"Bearer {token}")]
    try:
        await within(channel.unary_unary(CALLER)(b"", metadata=said), "who calls")
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


async def shown_from(host: str, address: str, token: str) -> bool:
    """Show a token from another address of this machine; return whether it is known."""
    authorization = ("authorization", f"Bearer {token}")
    one = await wire.opened(
        address, wire.HELLO, wire.call(CALLER, 1, [authorization]), host=host
    )
    try:
        one.send(wire.message(b""))
        await one.until(Kind.HEADERS, stream=1, flags=END_STREAM)
        return bool(one.count(Kind.DATA))
    finally:
        await one.close()


async def test_guesses_are_slowed_and_others_are_not(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "principals.toml"
    ada, grace = await token_of(file, "ada"), await token_of(file, "grace")
    guesses = [f"{ada[:-12]}xyzzy{number:07}" for number in range(12)]
    async with (
        Server(store, "--principals", file) as server,
        Office(server.address) as office,
    ):
        assert await show(office, ada) == ""
        for guess in guesses[:2]:
            assert await show(office, guess) == "UNAUTHENTICATED"
        began = time.monotonic()
        for guess in guesses[2:4]:
            assert await show(office, guess) == "UNAUTHENTICATED"
        assert time.monotonic() - began >= STEP_SECONDS
        guessing = [asyncio.create_task(show(office, guess)) for guess in guesses[4:]]
        refused, waiting = await within(
            asyncio.wait(guessing, return_when=asyncio.FIRST_COMPLETED), "a refusal"
        )
        # Known already, known by a token that is right, from elsewhere: none waits for guesses.
        assert await show(office, ada) == ""
        assert await show(office, grace) == ""
        assert not await shown_from("127.0.0.2", server.address, guesses[0])
        assert not all(one.done() for one in waiting)
        assert {one.result() for one in refused} <= {"RATE_LIMITED", "UNAUTHENTICATED"}
        assert waiting
        answers = await within(asyncio.gather(*guessing), "guesses")
        assert set(answers) == {"RATE_LIMITED", "UNAUTHENTICATED"}
    said = "\n".join(server.err)
    failures = [json.loads(line) for line in server.err if '"authentication_failed"' in line]
    assert len(failures) == 5 + answers.count("UNAUTHENTICATED")
    assert {one["address"] for one in failures} == {"127.0.0.1", "127.0.0.2"}
    assert {one["principal"] for one in failures} == {"ada"}
    assert all(one["reason"] for one in failures)
    assert not re.search(r"xyzzy|lsk_", said)

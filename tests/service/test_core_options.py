"""What the gRPC core is told works: it would ignore a misspelt name without a word."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from longshore.server import core_options
from longshore.server.limits import AccessLimits
from longshore.v1.server_service_pb2 import GetStatusRequest
from tests.service.harness import World, serving
from tests.tools import wire
from tests.tools.wire import Kind, Wire

PATH = "/longshore.v1.ServerService/GetStatus"

Serving = Callable[[], AbstractAsyncContextManager[World]]


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """A server that waits for a second where others wait longer."""
    for name in ("HANDSHAKE_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(core_options, name, 1)

    @asynccontextmanager
    async def start() -> AsyncGenerator[World]:
        limits = AccessLimits(request_seconds=1.0, streams_per_principal=50)
        async with serving(tmp_path / "longshore.db", limits=limits) as world:
            yield world

    return start


async def ask(world: World, **metadata: str) -> str:
    """Make a call and return the name of its status."""
    said = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    try:
        await world.servers.GetStatus(GetStatusRequest(), metadata=said, timeout=90)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@pytest.mark.parametrize(
    "said",
    [b"", wire.PREFACE[:10], wire.PREFACE, b"\x16\x03\x01"],
    ids=["nothing", "half a preface", "no settings", "half of TLS"],
)
async def test_who_does_not_say_hello_is_closed(hasty: Serving, said: bytes) -> None:
    async with hasty() as world, wire.wired(world.server.address, said) as [one]:
        await one.until_closed()


async def test_who_does_not_acknowledge_settings_is_closed(
    hasty: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_options, "IDLE_SECONDS", 600)
    monkeypatch.setattr(core_options, "SETTINGS_SECONDS", 1)
    async with (
        hasty() as world,
        wire.wired(world.server.address, wire.HELLO, polite=False) as [one],
    ):
        await one.until_closed()
        assert one.goodbye == "settings_timeout"


async def test_who_makes_no_calls_is_closed(hasty: Serving) -> None:
    async with hasty() as world, wire.wired(world.server.address, wire.HELLO) as [one]:
        await one.until_closed()
        assert one.goodbye == "connection idle"


async def test_who_never_ends_a_header_is_closed(hasty: Serving) -> None:
    begun = wire.frame(Kind.HEADERS, wire.headers(PATH), stream=1)
    more = wire.frame(Kind.CONTINUATION, wire.header("x-drop", "drip"), stream=1)
    async with (
        hasty() as world,
        wire.wired(world.server.address, wire.HELLO, count=2) as [silent, dripping],
    ):
        for one in (silent, dripping):
            await one.settled()
            one.send(begun)
        while not dripping.closed:
            dripping.send(more)
            await asyncio.sleep(0.1)
        await silent.until_closed()
        assert [one.goodbye for one in (silent, dripping)] == ["connection idle"] * 2


async def test_a_call_whose_request_does_not_come_is_given_up(hasty: Serving) -> None:
    drop = wire.frame(Kind.DATA, b"x", stream=1)
    async with (
        hasty() as world,
        wire.wired(world.server.address, wire.HELLO, wire.call(PATH), count=2) as wires,
    ):
        silent, dripping = wires
        dripping.send(wire.frame(Kind.DATA, b"\0\0\1\0\0", stream=1))
        while not any(one.kind == Kind.RST_STREAM for one in dripping.frames):
            dripping.send(drop)
            await asyncio.sleep(0.05)
        await silent.until(Kind.RST_STREAM, stream=1)
        assert await ask(world) == "OK"


async def test_a_request_in_time_may_be_served_for_longer(hasty: Serving) -> None:
    watch = "/longshore.v1.OperationService/WatchOperations"
    async with (
        hasty() as world,
        wire.wired(world.server.address, wire.HELLO, wire.call(watch), wire.message(b"")) as [
            watching
        ],
        wire.wired(world.server.address, wire.HELLO, wire.call(PATH)) as [silent],
    ):
        await watching.until(Kind.HEADERS, stream=1)
        await silent.until(Kind.RST_STREAM, stream=1)
        await silent.until_closed()
        assert not watching.closed
        assert not watching.count(Kind.RST_STREAM)


async def test_headers_up_to_a_bound_are_taken_and_none_beyond_it(hasty: Serving) -> None:
    async with hasty() as world:
        sizes = [1_000, 8_100, 10_000, 12_000, 14_000, 15_500]
        assert [await ask(world, x_filler="x" * size) for size in sizes] == ["OK"] * 6
        sizes = [16_384, 17_000, 65_536]
        answers = [await ask(world, x_filler="x" * size) for size in sizes]
        assert answers == ["RESOURCE_EXHAUSTED"] * 3


async def test_a_burst_of_calls_on_one_connection_is_answered_call_by_call(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path / "longshore.db") as world:
        answers = Counter(await asyncio.gather(*(ask(world) for _ in range(3_500))))
        assert answers == {"OK": 3_500}


async def test_streams_beyond_the_bound_of_a_connection_are_refused(hasty: Serving) -> None:
    calls = (wire.call(PATH, stream=2 * number + 1) for number in range(150))
    async with hasty() as world, wire.wired(world.server.address, wire.HELLO) as [one]:
        await one.settled()
        one.send(*calls)
        await one.until(Kind.RST_STREAM, stream=299)
        assert refused(one) == {2 * number + 1 for number in range(100, 150)}
        assert await ask(world) == "OK"


def refused(one: Wire) -> set[int]:
    """Return the streams that were refused, and not just given up."""
    refusal = (7).to_bytes(4)
    return {
        found.stream
        for found in one.frames
        if found.kind == Kind.RST_STREAM and found.payload == refusal
    }


async def test_connections_leave_files_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_options, "_connections", lambda: 20)
    async with serving(tmp_path / "longshore.db") as world:
        assert await ask(world) == "OK"
        async with wire.wired(world.server.address, wire.HELLO, count=30) as wires:
            await asyncio.gather(*(one.until_closed() for one in wires[19:]))
            assert not any(one.closed for one in wires[:19])
            assert await ask(world) == "OK"

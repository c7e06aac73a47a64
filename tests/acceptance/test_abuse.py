"""Who does not keep to the protocol costs the others nothing: by hand-made HTTP/2."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from longshore.v1.operation_service_pb2 import WatchOperationsRequest
from longshore.v1.task_service_pb2 import SubmitTaskRequest
from tests.acceptance.office import Office, request
from tests.acceptance.processes import Program, Server
from tests.acceptance.waiting import within
from tests.tools import wire
from tests.tools.wire import ACK, END_HEADERS, END_STREAM, Kind

PATH = "/longshore.v1.ServerService/GetStatus"
SUBMIT = "/longshore.v1.TaskService/SubmitTask"
WATCH = "/longshore.v1.OperationService/WatchOperations"
MIB = 1024 * 1024
TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED

#: Nobody notices, even on a loaded machine.
UNNOTICED_SECONDS = 1.0


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with Server(tmp_path_factory.mktemp("abuse") / "longshore.db") as running:
        yield running


@pytest.fixture
async def office(server: Server) -> AsyncIterator[Office]:
    async with Office(server.address) as caller:
        yield caller


async def usual(office: Office, calls: int = 50) -> float:
    """Make calls one by one, each of which has to succeed; return what is usual, in seconds."""
    times: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        await office.submit("anything")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


BEGINNINGS = {
    "nothing": (b"",),
    "half a preface": (wire.PREFACE[:10],),
    "a header without end": (
        wire.HELLO,
        wire.frame(Kind.HEADERS, wire.headers(PATH), stream=1),
    ),
    "a call without a request": (wire.HELLO, wire.call(PATH)),
    "a request that stops": (
        wire.HELLO,
        wire.call(PATH),
        wire.frame(Kind.DATA, b"\0\0\1\0\0", stream=1),
    ),
}


@pytest.mark.parametrize("said", BEGINNINGS.values(), ids=list(BEGINNINGS))
async def test_a_thousand_that_go_no_further_slow_nobody(
    server: Server, office: Office, said: tuple[bytes, ...]
) -> None:
    async with wire.wired(server.address, *said, count=1_000):
        assert await usual(office) < UNNOTICED_SECONDS


async def test_who_never_greets_is_closed_within_half_a_minute(server: Server) -> None:
    async with (
        wire.wired(server.address, count=100) as silent,
        wire.wired(server.address, wire.PREFACE[:10], count=100) as halting,
        wire.wired(server.address, wire.HELLO, count=100, polite=False) as rude,
    ):
        for one in (*silent, *halting, *rude):
            await one.until_closed()


def resets() -> Iterator[bytes]:
    """Calls that are cancelled as soon as they are made."""
    for number in count(1, 2):
        yield wire.call(PATH, stream=number)
        yield wire.message(b"", stream=number)
        yield wire.frame(Kind.RST_STREAM, (8).to_bytes(4), stream=number)


def calls() -> Iterator[bytes]:
    for number in count(1, 2):
        yield wire.call(PATH, stream=number)


def repeated(piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        while True:
            yield piece

    return pieces


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "resets": resets,
    "calls without requests": calls,
    "pings": repeated(wire.frame(Kind.PING, bytes(8))),
    "answers to no pings": repeated(wire.frame(Kind.PING, bytes(8), flags=ACK)),
    "settings": repeated(wire.frame(Kind.SETTINGS)),
    "windows": repeated(wire.frame(Kind.WINDOW_UPDATE, (1).to_bytes(4))),
    "priorities": repeated(wire.frame(Kind.PRIORITY, bytes(5), stream=1)),
    "empty data": repeated(wire.frame(Kind.DATA, stream=1)),
}


@pytest.mark.parametrize("pieces", FLOODS.values(), ids=list(FLOODS))
async def test_a_flood_on_one_connection_costs_nobody_else_a_call(
    server: Server, office: Office, pieces: Callable[[], Iterator[bytes]]
) -> None:
    before = server.resident_bytes()
    async with wire.wired(server.address, wire.HELLO) as [one]:
        await one.settled()
        limited = (piece for piece, _ in zip(pieces(), range(50_000), strict=False))
        flooding = asyncio.create_task(one.flood(limited))
        assert await usual(office) < UNNOTICED_SECONDS
        await within(flooding, "the end of a flood")
        assert await usual(office) < UNNOTICED_SECONDS
        assert server.resident_bytes() - before < 256 * MIB
        if pieces is FLOODS["pings"]:
            await one.until_closed()


async def status_of(
    channel: Any, path: str, *metadata: tuple[str, str], data: bytes = b""
) -> grpc.StatusCode:
    asked = channel.unary_unary(path)(data, metadata=metadata)
    return await within(asked.code(), "a status")


async def test_headers_that_are_too_large_are_refused_by_a_status(
    server: Server, office: Office
) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        for metadata in (
            [("x-filler", "x" * 64 * 1024)],
            [(f"x-filler-{number}", "x") for number in range(1_000)],
            [("x-request-id", "x" * 64 * 1024)],
            [("authorization", "Bearer " + "x" * 64 * 1024)],
        ):
            assert await status_of(channel, PATH, *metadata) == TOO_MUCH
        assert await status_of(channel, "/" + "x" * MIB) == TOO_MUCH
        for name in ("x-request-id", "x-tenant-id"):
            refused = await status_of(channel, PATH, (name, "x" * 4_096))
            assert refused == grpc.StatusCode.INVALID_ARGUMENT
    assert await usual(office, 5) < UNNOTICED_SECONDS


async def test_a_header_that_is_too_large_by_hand_ends_no_other_call(
    server: Server, office: Office
) -> None:
    large = [wire.header(f"x-{number}", "x" * 1_000) for number in range(1_000)]
    async with wire.wired(server.address, wire.HELLO) as [one]:
        await one.settled()
        one.send(wire.frame(Kind.HEADERS, wire.headers(PATH), stream=1))
        await one.flood(wire.frame(Kind.CONTINUATION, piece, stream=1) for piece in large)
        one.send(wire.frame(Kind.CONTINUATION, flags=END_HEADERS, stream=1))
        one.send(wire.call(PATH, stream=3), wire.message(b"", stream=3))
        refusal = await one.until(Kind.HEADERS, stream=1)
        assert refusal.flags & END_STREAM
        await one.until(Kind.DATA, stream=3)
    assert await usual(office, 5) < UNNOTICED_SECONDS


async def test_messages_that_are_too_large_are_refused_by_a_status(
    server: Server, office: Office
) -> None:
    async with grpc.aio.insecure_channel(
        server.address, options=(("grpc.max_send_message_length", -1),)
    ) as channel:
        for size in (4 * MIB + 1, 64 * MIB):
            data = SubmitTaskRequest(request_id="x" * size).SerializeToString()
            assert await status_of(channel, SUBMIT, data=data) == TOO_MUCH
    assert await usual(office, 5) < UNNOTICED_SECONDS
    assert server.resident_bytes() < 512 * MIB


async def test_a_message_that_says_it_is_huge_is_not_waited_for(
    server: Server, office: Office
) -> None:
    huge = wire.frame(Kind.DATA, b"\0" + (2**31).to_bytes(4), stream=1)
    async with wire.wired(server.address, wire.HELLO, wire.call(PATH), huge) as [one]:
        await one.until(Kind.HEADERS, stream=1)
    assert await usual(office, 5) < UNNOTICED_SECONDS


async def principals(file: Path, *words: str) -> str:
    async with Program("principals", *words, "--principals", file) as program:
        assert await program.ended() == 0, program.err
    return program.out[0] if program.out else ""


async def test_watches_that_are_never_read_cost_little_and_end_when_revoked(
    tmp_path: Path,
) -> None:
    file = tmp_path / "principals.toml"
    ada = await principals(file, "add", "ada", "--role", "viewer")
    grace = await principals(file, "add", "grace", "--role", "submitter")
    hello = wire.PREFACE + wire.frame(Kind.SETTINGS, wire.NO_WINDOW)
    said = (("authorization", f"Bearer {ada}"),)
    streams = range(1, 401, 2)
    watches = [wire.call(WATCH, stream, said) + wire.message(b"", stream) for stream in streams]
    quiet = wire.message(WatchOperationsRequest(filter="number = 0").SerializeToString())
    async with (
        Server(tmp_path / "longshore.db", "--principals", file) as server,
        wire.wired(server.address, hello, *watches) as [deaf],
        wire.wired(server.address, hello, *watches, read=False),
        wire.wired(server.address, wire.HELLO, wire.call(WATCH, 1, said), quiet) as [hearing],
    ):
        for stream in streams:
            await deaf.until(Kind.HEADERS, stream=stream)
        await told(server, grace)
        before = server.resident_bytes()
        for _ in range(20):
            await told(server, grace)
        assert server.resident_bytes() - before < 64 * MIB
        await principals(file, "remove", "ada")
        await hearing.until(Kind.HEADERS, stream=1, flags=END_STREAM)
        assert not deaf.count(Kind.DATA)
        # What was under way to it arrives, and then why there is no more.
        deaf.send(wire.frame(Kind.SETTINGS, wire.A_WINDOW))
        for stream in streams:
            await deaf.until(Kind.HEADERS, stream=stream, flags=END_STREAM)
        assert sum(len(one.payload) for one in deaf.frames if one.kind == Kind.DATA) < 10_000
        await told(server, grace)


async def told(server: Server, token: str) -> None:
    """Submit something long, of which watches tell."""
    async with Office(server.address) as office:
        said = (("authorization", f"Bearer {token}"),)
        await within(
            office.tasks.SubmitTask(request("anything", text="x" * 100_000), metadata=said),
            "an answer",
        )

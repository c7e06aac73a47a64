"""What a gateway bears of those who connect: slowness, size, silence; and how it leaves them."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Sized
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import structlog.testing
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Fault, TooLarge
from longshore.gateway.forms import form_of
from longshore.gateway.health import health_routes
from longshore.gateway.requests import body_of
from longshore.gateway.settings import GatewaySettings, Limits
from tests.gateway.harness import GRACE_SECONDS, World, gateway

#: What is kept within them comes at once, though not if the machine stands still for so long.
QUICK = Limits(
    head=timedelta(seconds=1),
    silence=timedelta(seconds=1),
    header_bytes=2_000,
    body_bytes=1_000,
    upload_bytes=5_000,
    form_fields=3,
)


@asynccontextmanager
async def connected(world: World) -> AsyncGenerator[Client]:
    host, _, port = world.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


class Client:
    """A connection whose bytes are the test's own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> str:
        async with asyncio.timeout(20):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def rest(self) -> bytes:
        """Return all that comes until the connection is closed."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


class Desk:
    """Routes for this test, beside those of the product."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.routes = [
            Route("/body", self.body, methods=["POST"]),
            Route("/form", self.form, methods=["POST"]),
            Route("/late", self.late),
            Route("/much", self.much),
            Route("/stream", self.stream),
            Route("/busy/{status:int}", self.busy),
        ]

    async def body(self, request: Request) -> Response:
        return await _told(body_of(request, QUICK.body_bytes))

    async def form(self, request: Request) -> Response:
        async def fields() -> Sized:
            form = await form_of(request, QUICK)
            await form.close()
            return form

        return await _told(fields())

    async def late(self, _request: Request) -> Response:
        self.began.set()
        await self.go.wait()
        return PlainTextResponse("late")

    async def much(self, _request: Request) -> Response:
        async def pieces() -> AsyncGenerator[bytes]:
            try:
                while True:
                    yield bytes(1_000_000)
                    await asyncio.sleep(0)
            finally:
                self.go.set()

        return StreamingResponse(pieces())

    async def stream(self, request: Request) -> Response:
        async def lines() -> AsyncGenerator[bytes]:
            yield b'{"revision":"1"}\n'
            self.began.set()
            await asyncio.Event().wait()

        kind = request.query_params["kind"]
        headers = {"x-accel-buffering": "no"} if kind.endswith("octet-stream") else {}
        return StreamingResponse(lines(), media_type=kind, headers=headers)

    async def busy(self, request: Request) -> Response:
        return Response(status_code=request.path_params["status"])


async def _told(reading: Awaitable[Sized]) -> Response:
    try:
        found = await reading
    except Fault as fault:
        return PlainTextResponse(str(fault), fault.status)
    return PlainTextResponse(str(len(found)))


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()

    def routes(gateway: Gateway) -> list[Route]:
        return [*health_routes(gateway), *made.routes]

    monkeypatch.setattr("longshore.gateway.app.health_routes", routes)
    return made


@pytest.fixture
async def world(tmp_path: Path, desk: Desk) -> AsyncGenerator[World]:
    async with gateway(tmp_path, GatewaySettings(limits=QUICK), "none") as (world, _):
        yield world


async def test_who_says_nothing_is_closed(world: World) -> None:
    async with connected(world) as client:
        assert await client.rest() == b""


@pytest.mark.parametrize("begin", [b"\r\n", b"GET /healthz HTTP/1.1\r\n", b"GET /he"])
async def test_a_head_that_does_not_come_to_an_end_is_not_waited_for(
    world: World, begin: bytes
) -> None:
    async with connected(world) as client:
        for byte in begin:
            client.send(bytes([byte]))
        said = await client.rest()
    if begin.strip():
        assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"connection: close\r\n" in said
    else:
        assert said == b""


async def test_a_head_in_single_bytes_is_understood_if_it_comes_in_time(world: World) -> None:
    async with connected(world) as client:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n":
            client.send(bytes([byte]))
            await client.writer.drain()
        assert (await client.head()).startswith("HTTP/1.1 200 OK\r\n")


async def test_the_next_head_on_a_connection_is_not_waited_for_either(world: World) -> None:
    async with connected(world) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.head()
        assert await client.reader.readexactly(15) == b'{"status":"ok"}'
        client.send(b"GET /healthz HTTP/1.1\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
async def test_a_head_that_is_too_large_is_refused_whether_it_ends_or_not(
    world: World, end: bytes
) -> None:
    async with connected(world) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Long: " + b"x" * 2_000 + end)
        said = await client.rest()
        assert said.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert b"connection: close\r\n" in said


async def test_a_url_counts_as_part_of_the_head(world: World) -> None:
    answer = await world.http.get(f"/healthz?{'x' * 2_000}")
    assert answer.status_code == 431


async def test_a_body_that_stops_is_not_waited_for(world: World) -> None:
    with structlog.testing.capture_logs() as logs:
        async with connected(world) as client:
            client.send(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n12")
            assert await client.rest() == b""
    (slow,) = (one for one in logs if one["event"] == "slow_client")
    assert {"during": "body", "address": "127.0.0.1"}.items() <= slow.items()


async def test_a_body_that_comes_slowly_but_steadily_is_read(
    tmp_path: Path, desk: Desk
) -> None:
    limits = replace(QUICK, silence=timedelta(seconds=3))
    async with (
        gateway(tmp_path, GatewaySettings(limits=limits), "none") as (world, _),
        connected(world) as client,
    ):
        client.send(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            client.send(b"x")
            await asyncio.sleep(0.4)  # Together longer than any silence that is borne.
        assert (await client.head()).startswith("HTTP/1.1 200 OK\r\n")


async def test_an_answer_that_nobody_takes_is_given_up(world: World, desk: Desk) -> None:
    async with connected(world) as client:
        client.send(b"GET /much HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.head()
        async with asyncio.timeout(20):
            await desk.go.wait()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size, status", [(1_000, 200), (1_001, 413)])
async def test_a_body_is_refused_that_is_too_large_whether_it_says_so_or_not(
    world: World, size: int, status: int, chunked: bool
) -> None:
    answer = await world.http.post("/body", content=_content(b"x" * size, chunked))
    assert answer.status_code == status


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"


def _parts(*parts: bytes) -> bytes:
    return (
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="n"%b\r\n\r\n%b\r\n' % (b"", part)
            for part in parts
        )
        + b"--b--\r\n"
    )


def _file(size: int) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="n"; filename="f"\r\n\r\n'
    return head + b"x" * size + b"\r\n--b--\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "kind, body, status",
    [
        (FORM, b"a=1&b=2&c=3", 200),
        (FORM, b"a=1&b=2&c=3&d=4", 413),
        (FORM, b"a=" + b"x" * 999, 413),
        (MULTIPART, _parts(b"1", b"2", b"3"), 200),
        (MULTIPART, _parts(b"1", b"2", b"3", b"4"), 413),
        (MULTIPART, _parts(b"x" * 1_001), 413),
        (MULTIPART, _parts(b"x" * 500, b"x" * 500), 200),
        (MULTIPART, _parts(b"x" * 500, b"x" * 501), 413),
        (MULTIPART, _parts(b"1")[:-4], 400),
        (MULTIPART, b"", 400),
        (MULTIPART, _file(4_000), 200),
        (MULTIPART, _file(5_000), 413),
        (MULTIPART, b"--c\r\n", 400),
        ("text/plain", b"a=1", 415),
    ],
)
async def test_a_form_is_bounded_in_size_and_in_number(
    world: World, kind: str, body: bytes, status: int, chunked: bool
) -> None:
    headers = {"content-type": kind}
    answer = await world.http.post("/form", content=_content(body, chunked), headers=headers)
    assert answer.status_code == status, answer.text


def _content(body: bytes, chunked: bool) -> bytes | AsyncGenerator[bytes]:
    async def pieces() -> AsyncGenerator[bytes]:
        yield body

    return pieces() if chunked else body


@pytest.mark.parametrize("status, seconds", [(503, "5"), (429, "1"), (500, None)])
async def test_who_may_come_again_is_told_when(
    world: World, status: int, seconds: str | None
) -> None:
    answer = await world.http.get(f"/busy/{status}")
    assert answer.headers.get("retry-after") == seconds


async def test_the_access_log_has_no_secrets(world: World) -> None:
    with structlog.testing.capture_logs() as logs:
        await world.http.get(
            "/healthz?api_key=s3cret",
            headers={
                "authorization": "Bearer s3cret",
                "x-vitam-key": "s3cret",
                "x-request-id": "r-1",
                "cookie": "s3cret",
            },
        )
    (line,) = (one for one in logs if one["event"] == "request")
    assert "s3cret" not in str(logs)
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "path": "/healthz",
        "status": 200,
        "bytes": 15,
        "milliseconds": line["milliseconds"],
        "address": "127.0.0.1",
        "request_id": "r-1",
    }


async def until_nobody_listens(world: World) -> None:
    with suppress(ConnectionRefusedError):
        while True:
            with suppress(ConnectionResetError):
                async with connected(world):
                    await asyncio.sleep(0.01)


async def test_what_is_asked_is_answered_before_the_gateway_leaves(
    tmp_path: Path, desk: Desk
) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        async with gateway(tmp_path, GatewaySettings(limits=QUICK), "none") as (world, _):
            asking = asyncio.create_task(http.get(f"{world.url}/late"))
            await desk.began.wait()
            leaving = asyncio.create_task(until_nobody_listens(world))
            leaving.add_done_callback(lambda _: desk.go.set())
        await leaving
        answer = await asking
        assert (answer.text, answer.headers["connection"]) == ("late", "close")
        with pytest.raises(httpx.ConnectError):
            await http.get(world.url)


@pytest.mark.parametrize(
    "kind, resumed",
    [
        ("application/x-ndjson", True),
        ("text/event-stream", True),
        ("application/octet-stream", False),
    ],
)
async def test_a_stream_comes_to_its_end_when_the_gateway_leaves(
    tmp_path: Path, desk: Desk, kind: str, resumed: bool
) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        async with gateway(tmp_path, GatewaySettings(limits=QUICK), "none") as (world, _):
            asking = asyncio.create_task(http.get(f"{world.url}/stream?kind={kind}"))
            await desk.began.wait()
            began = time.monotonic()
        assert time.monotonic() - began < GRACE_SECONDS / 2
        if resumed:
            assert (await asking).text == '{"revision":"1"}\n'
        else:
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                await asking


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    from longshore.gateway.serving import CannotListen
    from longshore.gateway.settings import Mount

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mounts = {"dataone": Mount("", port=port)}
        with pytest.raises(CannotListen, match=re.escape(f"127.0.0.1:{port}")):
            async with gateway(tmp_path, GatewaySettings(mounts=mounts), "dataone"):
                pass


async def test_numbers_of_bytes_that_are_none_are_not_believed() -> None:
    request = Request({"type": "http", "headers": [(b"content-length", b"9" * 30)]})
    with pytest.raises(TooLarge):
        await body_of(request, 1_000)

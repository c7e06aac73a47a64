"""A client of HTTP/1.1 that costs little: the same request again and again over one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Final, cast
from urllib.parse import urlsplit

_END_OF_HEADERS: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length: "


class Connection(asyncio.Protocol):
    """One connection, with one request under way at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # That of uvloop is none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(_END_OF_HEADERS)
        if head < 0:
            return
        start = self._received.lower().find(_LENGTH, 0, head) + len(_LENGTH)
        length = int(self._received[start : self._received.find(b"\r\n", start)])
        if len(self._received) < head + len(_END_OF_HEADERS) + length:
            return
        answer, self._received = self._received, b""
        assert self._answer is not None
        self._answer.set_result(answer)

    def ask(self, request: bytes) -> Awaitable[bytes]:
        """Send a request; its answer is all bytes from the status line on."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Posts:
    """Posts the same JSON to a path, each time over a connection that is free."""

    def __init__(self, connections: list[Connection], path: str, body: bytes) -> None:
        self._free = connections
        self._request = (
            f"POST {path} HTTP/1.1\r\nhost: benchmark\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def once(self) -> None:
        """Post once. Raises `RuntimeError` if it is refused."""
        connection = self._free.pop()
        answer = await connection.ask(self._request)
        self._free.append(connection)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(answer.decode())


@asynccontextmanager
async def posts(url: str, path: str, body: bytes, width: int) -> AsyncGenerator[Posts]:
    """Connect to `http://HOST:PORT` as often as requests shall be under way at once."""
    host, _, port = urlsplit(url).netloc.rpartition(":")
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Connection, host, int(port)) for _ in range(width)]
    connections = [connection for _, connection in made]
    try:
        yield Posts(list(connections), path, body)
    finally:
        for connection in connections:
            connection.close()

"""Somebody who is called back: a real HTTP server, on the test's own loop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Answer: TypeAlias = bytes | Callable[[int], bytes | Awaitable[bytes]]


@dataclass(slots=True)
class Call:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    server_name: str | None  #: What the client asked for by TLS.


@dataclass(slots=True)
class Receiver:
    """What came, and where it came to."""

    port: int = 0
    answer: Answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    calls: list[Call] = field(default_factory=list[Call])
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def called(self, count: int = 1) -> list[Call]:
        """Wait until so many calls came."""
        async with asyncio.timeout(30), self.arrived:
            await self.arrived.wait_for(lambda: len(self.calls) >= count)
        return self.calls


@asynccontextmanager
async def receiver(
    answer: Answer = b"HTTP/1.1 204 No Content\r\n\r\n",
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[Receiver]:
    """Answer every request with these bytes, or by the how-manieth it is, from 1; then close.

    An answer without bytes leaves the caller waiting.
    """
    names: list[str | None] = []
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: names.append(name)
    made = Receiver(answer=answer)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            call = await _read(reader, names)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        async with made.arrived:
            made.calls.append(call)
            made.arrived.notify_all()
        told = made.answer if isinstance(made.answer, bytes) else made.answer(len(made.calls))
        told = told if isinstance(told, bytes) else await told
        try:
            writer.write(told)
            await writer.drain()
            if not told:
                await reader.read()
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader, names: list[str | None]) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.split(": ", 1) for line in head[1:-2])
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, target, headers, body, names[-1] if names else None)

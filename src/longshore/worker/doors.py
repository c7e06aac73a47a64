"""Doors: how the processes that run actions talk to their worker.

They are on the worker's machine or, where an executor has others, anywhere. Each connection is
TLS under an authority of this run alone, and opens with a secret; both travel with the work.
Then frames follow, both ways: bytes after their length in four.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, Final, NamedTuple

import trustme

LOOPBACK: Final = "127.0.0.1"

_NAME: Final = "worker.longshore.internal"  #: In the certificate, wherever the worker is.
_SECRET_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_LONGEST: Final = 4 * 1024 * 1024
_SECONDS: Final = 10.0  #: Patience with a worker that does not answer.

#: After so many seconds a machine that has fallen silent is taken for lost, where the platform
#: knows how: idle ones are asked after 10, and every 5; what was sent may be unanswered for 25.
_LIVELY: Final = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 25_000,
}

#: Serves one connection, until it returns.
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door(NamedTuple):
    """Where a worker listens, and what it wants to hear first; it can be pickled."""

    host: str
    port: int
    secret: bytes
    authority: bytes  #: The certificate that its own is signed with, in PEM.

    def knock(self) -> ssl.SSLSocket:
        """Connect from another process, for one thread. Raises `OSError`."""
        plain = socket.create_connection((self.host, self.port), _SECONDS)
        _keep_alive(plain)
        connection = _trusting(self.authority).wrap_socket(plain, server_hostname=_NAME)
        connection.settimeout(None)
        connection.sendall(self.secret)
        return connection

    async def enter(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from another process, for a conversation. Raises `OSError`."""
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(
                self.host,
                self.port,
                ssl=_trusting(self.authority),
                server_hostname=_NAME,
            )
        _keep_alive(writer.get_extra_info("socket"))
        writer.write(self.secret)
        return reader, writer


class Doorkeeper:
    """Listens on one address for those who know its secret."""

    def __init__(self, host: str, serve: Serve) -> None:
        self._host = host
        self._serve = serve
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._server: asyncio.Server | None = None
        self._authority = b""
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self) -> None:
        """Begin to listen, on any free port. Raises `OSError`."""
        authority = trustme.CA(organization_name="Longshore")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(_NAME).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        self._authority = authority.cert_pem.bytes()
        self._server = await asyncio.start_server(self._answer, self._host, 0, ssl=context)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._lines.values():
            writer.transport.abort()
        if self._lines:
            await asyncio.wait(self._lines)

    @property
    def door(self) -> Door:
        """How it is reached, once it is open."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return Door(self._host, port, self._secret, self._authority)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = writer
        _keep_alive(writer.get_extra_info("socket"))
        with contextlib.suppress(OSError, EOFError):
            async with asyncio.timeout(_SECONDS):
                shown = await reader.readexactly(_SECRET_BYTES)
            if hmac.compare_digest(shown, self._secret):
                await self._serve(reader, writer)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                writer.close()
                await writer.wait_closed()
        writer.transport.abort()
        del self._lines[task]


@functools.lru_cache(maxsize=8)
def _trusting(authority: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.decode())
    return context


def _keep_alive(connection: Any) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _LIVELY.items():
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def frame(data: bytes) -> bytes:
    """Return bytes with their length before them."""
    return len(data).to_bytes(_LENGTH_BYTES) + data


async def hear_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame's bytes. Raises `EOFError` at the end, or if it is far too long."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > _LONGEST:
        raise EOFError
    return await reader.readexactly(length)


def read_frame(stream: BinaryIO) -> bytes | None:
    """Return the next frame's bytes, None at the end."""
    length = stream.read(_LENGTH_BYTES)
    if len(length) < _LENGTH_BYTES:
        return None
    return stream.read(int.from_bytes(length))

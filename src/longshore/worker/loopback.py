"""The loopback: how processes of one machine talk to their worker.

Each connection opens with a secret; then frames follow, both ways: bytes after their length in
four.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import BinaryIO, Final, NamedTuple

_SECRET_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_LONGEST: Final = 4 * 1024 * 1024
_SECONDS: Final = 10.0  #: Patience with a worker that does not answer.

#: Serves one connection, until it returns.
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door(NamedTuple):
    """Where a worker listens, and what it wants to hear first; it can be pickled."""

    port: int
    secret: bytes

    def knock(self) -> socket.socket:
        """Connect from another process. Raises `OSError`."""
        connection = socket.create_connection(("127.0.0.1", self.port), _SECONDS)
        connection.settimeout(None)
        connection.sendall(self.secret)
        return connection


class Loopback:
    """Listens on the loopback interface for those who know its secret."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._lines.values():
            writer.close()
        if self._lines:
            await asyncio.wait(self._lines)

    @property
    def door(self) -> Door:
        """How it is reached, once it is open."""
        assert self._server is not None
        return Door(self._server.sockets[0].getsockname()[1], self._secret)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = writer
        with contextlib.suppress(OSError, EOFError):
            if hmac.compare_digest(await reader.readexactly(_SECRET_BYTES), self._secret):
                await self._serve(reader, writer)
        writer.close()
        del self._lines[task]


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

"""Unary calls at next to no cost for the caller: frames of HTTP/2, made once and sent again.

Where all share two cores, a caller with a library of gRPC would take the place of a server.
Whatever goes wrong on a connection ends the load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Final, cast

_DATA: Final = 0
_HEADERS: Final = 1
_RESET: Final = 3
_SETTINGS: Final = 4
_PING: Final = 6
_GO_AWAY: Final = 7
_WINDOW: Final = 8
_ACKNOWLEDGED: Final = 1  # Of settings and pings; …
_ENDED: Final = 1  # … of a stream, by its last frame.
_WHOLE_HEADERS: Final = 4
_FRAME: Final = 9  #: Bytes before what a frame holds.
_LARGEST_WINDOW: Final = 2**31 - 1

#: What a call ended well with. No table of headers is kept, so that it stands there as it is.
_OK: Final = b"\x0bgrpc-status\x010"


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return (
        len(content).to_bytes(3, "big")
        + bytes((kind, flags))
        + stream.to_bytes(4, "big")
        + content
    )


def _setting(name: int, value: int) -> bytes:
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


_GREETING: Final = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    # No table of headers, and windows that are never full.
    + _frame(_SETTINGS, 0, 0, _setting(1, 0) + _setting(4, _LARGEST_WINDOW))
    + _frame(_WINDOW, 0, 0, (_LARGEST_WINDOW - 65_535).to_bytes(4, "big"))
)


def _text(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def _headers(method: str) -> bytes:
    """Return the headers of a call; names and values of HPACK's own table by their number."""
    return (
        b"\x83\x86"  # POST, http
        + (b"\x04" + _text(method))
        + (b"\x01" + _text("localhost"))
        + (b"\x0f\x10" + _text("application/grpc"))
        + (b"\x00" + _text("te") + _text("trailers"))
    )


class _Connection(asyncio.Protocol):
    """Makes one call after the other, many at a time, as long as there are turns."""

    def __init__(self, method: str, message: bytes) -> None:
        self._headers = _headers(method)
        self._message = b"\0" + len(message).to_bytes(4, "big") + message
        self._stream = 1
        self._under_way = 0
        self._turns: Iterator[int] = iter(())
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""

    async def run(self, turns: Iterator[int], width: int) -> None:
        """Make calls as long as there are turns. Raises `RuntimeError` if one fails."""
        self._turns = turns
        self._done = asyncio.get_running_loop().create_future()
        self._send([frame for _ in range(width) for frame in self._call()])
        if self._under_way:
            await self._done

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type.
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        at, answers = 0, list[bytes]()
        while len(buffer) - at >= _FRAME:
            end = at + _FRAME + int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) < end:
                break
            answers += self._answer(buffer[at + 3], buffer[at + 4], buffer[at + _FRAME : end])
            at = end
        self._buffer = buffer[at:]
        self._send(answers)
        if not self._under_way and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")

    def _answer(self, kind: int, flags: int, content: bytes) -> list[bytes]:
        """Return the frames that a frame is answered with."""
        if kind == _HEADERS and flags & _ENDED:
            self._under_way -= 1
            if _OK not in content:
                self._fail(f"a call failed: {content!r}")
            return self._call()
        if kind in (_SETTINGS, _PING) and not flags & _ACKNOWLEDGED:
            return [_frame(kind, _ACKNOWLEDGED, 0, content if kind == _PING else b"")]
        if kind in (_RESET, _GO_AWAY):
            self._fail(f"the server sent {content!r}")
        return []

    def _call(self) -> list[bytes]:
        if next(self._turns, None) is None:
            return []
        stream, self._stream = self._stream, self._stream + 2
        self._under_way += 1
        return [
            _frame(_HEADERS, _WHOLE_HEADERS, stream, self._headers),
            _frame(_DATA, _ENDED, stream, self._message),
        ]

    def _send(self, frames: list[bytes]) -> None:
        if frames:
            self._transport.write(b"".join(frames))

    def _fail(self, why: str) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError(why))


class Callers:
    """Many connections over which the same call is made."""

    def __init__(self, connections: list[_Connection]) -> None:
        self._connections = connections

    async def rate(self, calls: int, width: int) -> float:
        """Return how many calls a second ended, with so many of them under way."""
        turns, each = iter(range(calls)), width // len(self._connections)
        start = time.perf_counter()
        await asyncio.gather(*(one.run(turns, each) for one in self._connections))
        return calls / (time.perf_counter() - start)


@asynccontextmanager
async def callers(
    address: str, connections: int, method: str, message: bytes
) -> AsyncGenerator[Callers]:
    """Connect as often with the server at an address."""
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    made: list[_Connection] = []
    try:
        for _ in range(connections):
            _, one = await loop.create_connection(
                lambda: _Connection(method, message), host, int(port)
            )
            made.append(one)
        yield Callers(made)
    finally:
        for one in made:
            one.close()

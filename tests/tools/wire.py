"""HTTP/2 by hand: connections that behave as no client library would let them."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_PATIENCE_SECONDS = 45.0


class Kind(enum.IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM, ACK, END_HEADERS = 1, 1, 4

NO_WINDOW = b"\0\x04\0\0\0\0"  #: The setting that nothing may be sent on any stream.
A_WINDOW = b"\0\x04\0\0\xff\xff"  #: … and that some may be, which is usual.


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: Kind, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    head = bytes([kind, flags]) + stream.to_bytes(4)
    return len(payload).to_bytes(3) + head + payload


#: What a connection begins with.
HELLO = PREFACE + frame(Kind.SETTINGS)


def header(name: str, value: str) -> bytes:
    """Return a header as HPACK writes it without any table and any Huffman code.

    Surrogates stand for bytes that are no text, as `surrogateescape` has it.
    """
    encoded = (text.encode(errors="surrogateescape") for text in (name, value))
    return b"\0" + b"".join(_length(len(text)) + text for text in encoded)


def _length(number: int) -> bytes:
    if number < 127:
        return bytes([number])
    number -= 127
    digits = [127]
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def headers(path: str, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the headers of a call."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    )
    return b"".join(header(name, value) for name, value in fields)


def call(path: str, stream: int = 1, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the beginning of a call: its headers, whole, and nothing else."""
    return frame(Kind.HEADERS, headers(path, more), flags=END_HEADERS, stream=stream)


def message(data: bytes, stream: int = 1, *, last: bool = True) -> bytes:
    """Return a message of a call."""
    flags = END_STREAM if last else 0
    body = b"\0" + len(data).to_bytes(4) + data
    return frame(Kind.DATA, body, flags=flags, stream=stream)


class Wire:
    """A connection. Everything that the server sends is kept, as long as it is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.frames: list[Frame] = []
        self.polite = True  #: Whether pings and settings are acknowledged.
        self._heard = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    def listen(self) -> None:
        self._reading = asyncio.create_task(self._read(), name="wire")

    def send(self, *pieces: bytes) -> None:
        self._writer.writelines(pieces)

    async def flood(self, pieces: Iterable[bytes]) -> int:
        """Send as long as the server takes it; return how many pieces that were."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            for sent, piece in enumerate(pieces, 1):
                self._writer.write(piece)
                if sent % 50 == 0:
                    await self._writer.drain()
                if self.closed:
                    break
        return sent

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        return self._reading is not None and self._reading.done()

    @property
    def goodbye(self) -> str:
        """What the server said last: why it leaves."""
        said = [one.payload[8:] for one in self.frames if one.kind == Kind.GOAWAY]
        return said[-1].decode() if said else ""

    def count(self, kind: Kind) -> int:
        return sum(one.kind == kind for one in self.frames)

    async def until_closed(self) -> None:
        assert self._reading is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.shield(self._reading)

    async def until(self, kind: Kind, *, stream: int = 0, flags: int = 0) -> Frame:
        """Return the first frame of a kind."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                for one in self.frames:
                    if (one.kind, one.stream) == (kind, stream) and one.flags & flags == flags:
                        return one
                assert not self.closed, f"the server closed: {self.goodbye}"
                self._heard.clear()
                await self._heard.wait()

    async def settled(self) -> None:
        """Wait until both sides know the settings of the other."""
        await self.until(Kind.SETTINGS)
        await self.until(Kind.SETTINGS, flags=ACK)

    def cut(self) -> None:
        """Break the connection, as a machine does that dies."""
        self._writer.transport.abort()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                found = Frame(head[3], head[4], int.from_bytes(head[5:]), payload)
                self.frames.append(found)
                self._acknowledge(found)
                self._heard.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._heard.set()

    def _acknowledge(self, found: Frame) -> None:
        if not self.polite or found.flags & ACK:
            return
        if found.kind == Kind.SETTINGS:
            self.send(frame(Kind.SETTINGS, flags=ACK))
        elif found.kind == Kind.PING:
            self.send(frame(Kind.PING, found.payload, flags=ACK))


async def opened(
    address: str, *pieces: bytes, polite: bool = True, read: bool = True, host: str = ""
) -> Wire:
    """Connect, from this host, and send something. Who does not read hears nothing."""
    near = (host, 0) if host else None
    far, _, port = address.rpartition(":")
    wire = Wire(*await asyncio.open_connection(far, int(port), local_addr=near))
    wire.polite = polite
    wire.send(*pieces)
    if read:
        wire.listen()
    return wire


@asynccontextmanager
async def wired(
    address: str, *pieces: bytes, count: int = 1, polite: bool = True, read: bool = True
) -> AsyncGenerator[Sequence[Wire]]:
    """Connect so often, send the same on each, and close all when the block ends."""
    wires: list[Wire] = []
    try:
        while len(wires) < count:
            wires.append(await opened(address, *pieces, polite=polite, read=read))
        yield wires
    finally:
        await asyncio.gather(*(wire.close() for wire in wires))

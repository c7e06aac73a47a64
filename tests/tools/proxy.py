"""A TCP proxy between a client and a server, through which real faults are made."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self

_PIECE_BYTES = 64 * 1024

#: Closing with this lingering sends RST at once and drops what is under way.
_RESET = struct.pack("ii", 1, 0)

#: Of the event loop, until a connection that was accepted just now is served.
_TURNS_TO_SERVE = 10


class Proxy:
    """Hands bytes both ways between whoever connects to `address` and the `target`.

    The target is a host and a port, or the path of a socket. It may be changed: that holds for
    the next connection.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.address = ""
        #: Seconds by which every piece is late.
        self.delay = 0.0
        #: How many connections there have been.
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._lay_ways()
        self._refusing = False

    def _lay_ways(self) -> None:
        self._open, self._answers = asyncio.Event(), asyncio.Event()
        self._there = _Way(self._open)
        self._back = _Way(self._open, self._answers)

    async def __aenter__(self) -> Self:
        self.heal()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server
        self._server.close()
        self.refuse()
        for _ in range(_TURNS_TO_SERVE):
            await asyncio.sleep(0)
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection. New ones are served."""
        for pipe in self._pipes:
            pipe.cancel()

    def cut_after(self, sent: int | None = None, answered: int | None = None) -> None:
        """Reset every connection when so many more bytes went to the target, or came back."""
        self._there.left = sent
        self._back.left = answered

    def refuse(self) -> None:
        """Reset every connection, and those to come as soon as they are made."""
        self._refusing = True
        self.cut()

    def hush(self) -> None:
        """Hand nothing on, and close nothing: both sides look alive to one another."""
        self._open.clear()

    def hold_answers(self) -> None:
        """Hand on what the client says, and keep back what the target says."""
        self._answers.clear()

    def strand(self) -> None:
        """Hand nothing on any more over the connections that there are, and close none of them.

        So it is when something between the two has forgotten them. New ones are served.
        """
        self.hush()
        self._lay_ways()
        self.heal()

    def heal(self) -> None:
        """Refuse, hush, hold, delay and cut no longer."""
        self._refusing = False
        self.cut_after()
        self.delay = 0.0
        self._open.set()
        self._answers.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        pipe = asyncio.current_task()
        assert pipe
        self._pipes.add(pipe)
        try:
            if not self._refusing:
                await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            _reset(writer)
            self._pipes.discard(pipe)

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await _reach(self.target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hand_on(reader, far_writer, self._there))
                group.create_task(self._hand_on(far_reader, writer, self._back))
        except* OSError:
            pass
        finally:
            _reset(far_writer)

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way
    ) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            await asyncio.sleep(self.delay)
            for gate in way.gates:
                await gate.wait()
            writer.write(way.through(piece))
            await writer.drain()
            if way.left == 0:
                self.cut_after()
                self.cut()
        raise ConnectionResetError("one side has hung up, so the other is cut as well")


class _Way:
    """What stands on one of the two ways through a proxy."""

    def __init__(self, *gates: asyncio.Event) -> None:
        self.gates = gates
        #: Bytes that are still let through; None: all.
        self.left: int | None = None

    def through(self, piece: bytes) -> bytes:
        """Return what of a piece is let through."""
        if self.left is None:
            return piece
        allowed = piece[: self.left]
        self.left -= len(allowed)
        return allowed


async def _reach(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def _reset(writer: asyncio.StreamWriter) -> None:
    taken: socket.socket | None = writer.get_extra_info("socket")
    if taken is not None and not writer.transport.is_closing():
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()

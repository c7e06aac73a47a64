"""The switchboard: where actions in other processes call their worker.

A call is a TCP connection on the loopback interface. It opens with the switchboard's secret;
then messages follow, each after its length in four bytes: `Report`s one way, whose number
is that of the call, `StopOrder`s and `Acknowledgement`s the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from typing import Final, NamedTuple

from longshore.v1.worker_service_pb2 import (
    Acknowledgement,
    Report,
    StopOrder,
    WorkResponse,
)
from longshore.worker.context import Facts, Voice
from longshore.worker.words import Word

SECRET_BYTES: Final = 32
LENGTH_BYTES: Final = 4
_LONGEST: Final = 1024 * 1024


class Ticket(NamedTuple):
    """What an action in another process needs to call its worker; it can be pickled."""

    port: int
    secret: bytes
    number: int
    facts: Facts
    parameter: str  #: The name under which the function wants its context.


class _Call:
    """One running action that may call."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.stopped = False
        self.writer: asyncio.StreamWriter | None = None


class Switchboard:
    """Takes calls from the processes that run actions."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._calls: dict[int, _Call] = {}
        self._last = 0
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

    def ticket(self, facts: Facts, voice: Voice, parameter: str) -> Ticket:
        """Return what an action needs to call; what it says goes to the voice."""
        assert self._server is not None
        self._last += 1
        self._calls[self._last] = _Call(voice)
        port = self._server.sockets[0].getsockname()[1]
        return Ticket(port, self._secret, self._last, facts, parameter)

    def stop(self, number: int) -> None:
        """Tell an action that it should end."""
        call = self._calls[number]
        call.stopped = True
        self._pass_on(number, call)

    def forget(self, number: int) -> None:
        """Take no more calls of an action: it is over."""
        self._calls.pop(number, None)

    def _pass_on(self, number: int, call: _Call) -> None:
        if call.stopped and call.writer is not None:
            _send(call.writer, WorkResponse(stops=[StopOrder(number=number)]))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = writer
        with contextlib.suppress(OSError, EOFError):
            if hmac.compare_digest(await reader.readexactly(SECRET_BYTES), self._secret):
                await self._listen(reader, writer)
        writer.close()
        del self._lines[task]

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
            if length > _LONGEST:
                return
            report = Report.FromString(await reader.readexactly(length))
            self._hear(report, writer)

    def _hear(self, report: Report, writer: asyncio.StreamWriter) -> None:
        call = self._calls.get(report.number)
        if report.HasField("stopped"):
            settled = Acknowledgement(number=report.number)
            _send(writer, WorkResponse(acknowledgements=[settled]))
        elif call is not None and call.writer is None:
            call.writer = writer
            self._pass_on(report.number, call)
        if call is not None and (word := _word(report)) is not None:
            call.voice.say(word)


def _word(report: Report) -> Word | None:
    match report.WhichOneof("detail"):
        case "progress":
            return report.progress
        case "log":
            return report.log
        case "property":
            return report.property
        case _:
            return None


def _send(writer: asyncio.StreamWriter, response: WorkResponse) -> None:
    data = response.SerializeToString()
    writer.write(len(data).to_bytes(LENGTH_BYTES) + data)

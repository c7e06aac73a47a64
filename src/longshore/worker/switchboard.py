"""The switchboard: where actions in other processes call their worker.

`Report`s come one way, whose number is that of the call, `StopOrder`s and `Acknowledgement`s
go the other way.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from longshore.v1.worker_service_pb2 import (
    Acknowledgement,
    Report,
    StopOrder,
    WorkResponse,
)
from longshore.worker.context import Facts, Voice
from longshore.worker.loopback import Door, Loopback, frame, hear_frame
from longshore.worker.porter import Claim
from longshore.worker.words import Word


class Ticket(NamedTuple):
    """What an action in another process needs to call its worker; it can be pickled."""

    door: Door
    number: int
    facts: Facts
    parameter: str  #: The name under which the function wants its context.
    claim: Claim  #: For its files.


class _Call:
    """One running action that may call."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.stopped = False
        self.writer: asyncio.StreamWriter | None = None


class Switchboard:
    """Takes calls from the processes that run actions."""

    def __init__(self) -> None:
        self._loopback = Loopback(self._listen)
        self._calls: dict[int, _Call] = {}
        self._last = 0

    async def open(self) -> None:
        await self._loopback.open()

    async def close(self) -> None:
        await self._loopback.close()

    def ticket(self, facts: Facts, voice: Voice, parameter: str, claim: Claim) -> Ticket:
        """Return what an action needs to call; what it says goes to the voice."""
        self._last += 1
        self._calls[self._last] = _Call(voice)
        return Ticket(self._loopback.door, self._last, facts, parameter, claim)

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

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self._hear(Report.FromString(await hear_frame(reader)), writer)

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
    writer.write(frame(response.SerializeToString()))

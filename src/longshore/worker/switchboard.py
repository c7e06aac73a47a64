"""The switchboard: where actions in other processes call their worker.

`Report`s come one way, whose number is that of the call; `WorkAssignment`s, `StopOrder`s and
`Acknowledgement`s go the other way. The first report of a call asks whether it may begin: it
may once, so that no executor can run again, unnoticed, what was lost with a machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from longshore.v1.worker_service_pb2 import (
    Acknowledgement,
    Report,
    StopOrder,
    WorkAssignment,
    WorkResponse,
)
from longshore.worker.context import Facts, Voice
from longshore.worker.doors import Door, Doorkeeper, frame, hear_frame
from longshore.worker.porter import Claim
from longshore.worker.words import Word


class Ticket(NamedTuple):
    """What an action in another process needs to call its worker; it can be pickled."""

    door: Door
    number: int
    facts: Facts
    parameter: str | None  #: The name under which the function wants its context.
    claim: Claim  #: For its files.


class _Call:
    """One action that is to run elsewhere, or does."""

    def __init__(self, voice: Voice, lost: Callable[[], None]) -> None:
        self.voice = voice
        self.lost = lost
        self.begun = False
        self.stopped = False
        self.writer: asyncio.StreamWriter | None = None  # While it runs.


class Switchboard:
    """Takes calls from the processes that run actions."""

    def __init__(self, host: str) -> None:
        self._doorkeeper = Doorkeeper(host, self._listen)
        self._calls: dict[int, _Call] = {}
        self._last = 0

    async def open(self) -> None:
        await self._doorkeeper.open()

    async def close(self) -> None:
        self._calls.clear()
        await self._doorkeeper.close()

    def ticket(
        self,
        facts: Facts,
        voice: Voice,
        parameter: str | None,
        claim: Claim,
        lost: Callable[[], None],
    ) -> Ticket:
        """Return what an action needs to call.

        What it says goes to the voice; `lost` is called if its process falls silent.
        """
        self._last += 1
        self._calls[self._last] = _Call(voice, lost)
        return Ticket(self._doorkeeper.door, self._last, facts, parameter, claim)

    def has_begun(self, number: int) -> bool:
        return self._calls[number].begun

    def stop(self, number: int) -> None:
        """Tell an action that it should end."""
        call = self._calls[number]
        call.stopped = True
        self._pass_on(number, call)

    def forget(self, number: int) -> None:
        """Take no more calls of an action: it is over, or shall not begin."""
        self._calls.pop(number, None)

    def _pass_on(self, number: int, call: _Call) -> None:
        if call.stopped and call.writer is not None:
            _stop(call.writer, number)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self._hear(Report.FromString(await hear_frame(reader)), writer)
        finally:
            for call in list(self._calls.values()):
                if call.writer is writer:
                    call.writer = None
                    call.lost()

    def _hear(self, report: Report, writer: asyncio.StreamWriter) -> None:
        call = self._calls.get(report.number)
        if report.HasField("stopped"):
            settled = Acknowledgement(number=report.number)
            _send(writer, WorkResponse(acknowledgements=[settled]))
            if call is not None and call.writer is writer:
                call.writer = None
        elif call is not None and not call.begun:
            self._begin(report.number, call, writer)
        elif call is None or call.writer is not writer:
            _stop(writer, report.number)
        elif (word := _word(report)) is not None:
            call.voice.say(word)

    def _begin(self, number: int, call: _Call, writer: asyncio.StreamWriter) -> None:
        call.begun = True
        call.writer = writer
        _send(writer, WorkResponse(assignments=[WorkAssignment(number=number)]))
        self._pass_on(number, call)


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


def _stop(writer: asyncio.StreamWriter, number: int) -> None:
    _send(writer, WorkResponse(stops=[StopOrder(number=number)]))


def _send(writer: asyncio.StreamWriter, response: WorkResponse) -> None:
    writer.write(frame(response.SerializeToString()))

"""Lines: the connections of a process that runs actions, each to one worker."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Final

from longshore.client.portal import portal
from longshore.v1.worker_service_pb2 import ActionStopped, Report, WorkResponse
from longshore.worker.doors import Door, frame, hear_frame

_SECONDS: Final = 10.0  #: Patience with a worker that does not answer.
_MUCH_BYTES: Final = 256 * 1024  #: When so much waits to be sent, whoever says more waits too.

_making: Final = threading.Lock()


class Refused(Exception):
    """A call may not begin: it is not wanted any more, or has begun before."""


class _Call:
    """One action that runs here."""

    def __init__(self) -> None:
        self.may_begin: Future[bool] = Future()
        self.stopped = threading.Event()
        self.heard = threading.Event()

    def end(self) -> None:
        """Nobody listens any more."""
        self.stopped.set()
        self.heard.set()
        _answer(self.may_begin, yes=False)


class Line:
    """The connection to one worker, shared by all its calls here. It breaks once, for good.

    It is served by the process's one event loop for those who have none, and used by threads.
    """

    def __init__(self, door: Door) -> None:
        self._calls: dict[int, _Call] = {}
        reader, self._writer = portal().call(door.enter)
        self.broken = False
        portal().soon(lambda: self._listen(reader))

    def dial(self, number: int) -> threading.Event:
        """Begin a call; the event is set when it should end. Raises `Refused`, `OSError`."""
        call = self._calls[number] = _Call()
        self.send(Report(number=number))
        if self.broken or not call.may_begin.result(_SECONDS):
            del self._calls[number]
            raise Refused
        return call.stopped

    def send(self, report: Report) -> None:
        """Send a report, unless nobody listens any more."""
        data = frame(report.SerializeToString())
        portal().soon(lambda: self._write(data))
        if self._writer.transport.get_write_buffer_size() > _MUCH_BYTES:
            portal().call(self._drain)

    def hang_up(self, number: int) -> None:
        """Return when the worker has heard all."""
        self.send(Report(number=number, stopped=ActionStopped()))
        if not self.broken:
            self._calls[number].heard.wait(_SECONDS)
        del self._calls[number]

    def _write(self, data: bytes) -> None:
        if not self.broken:
            self._writer.write(data)

    async def _drain(self) -> None:
        if not self.broken:
            await self._writer.drain()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._hear(WorkResponse.FromString(await hear_frame(reader)))
        except (OSError, EOFError):
            self.broken = True
            self._writer.transport.abort()
            for call in list(self._calls.values()):
                call.end()

    def _hear(self, response: WorkResponse) -> None:
        for assignment in response.assignments:
            if call := self._calls.get(assignment.number):
                _answer(call.may_begin, yes=True)
        for order in response.stops:
            if call := self._calls.get(order.number):
                call.stopped.set()
                _answer(call.may_begin, yes=False)
        for acknowledgement in response.acknowledgements:
            if call := self._calls.get(acknowledgement.number):
                call.heard.set()


def _answer(question: Future[bool], *, yes: bool) -> None:
    if not question.done():
        question.set_result(yes)


_lines: Final[dict[Door, Line]] = {}


def line_to(door: Door) -> Line:
    """Return this process's line to a worker. Raises `OSError` if there can be none."""
    with _making:
        for other in [one for one, line in _lines.items() if line.broken]:
            del _lines[other]
        if door not in _lines:
            _lines[door] = Line(door)
        return _lines[door]

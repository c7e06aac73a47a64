"""The far side: how an action is called in another process, and calls its worker from there."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Final

from longshore.client.sources import Source
from longshore.v1.operation_pb2 import LogEntry, Progress
from longshore.v1.worker_service_pb2 import ActionStopped, Report, WorkResponse
from longshore.worker.context import Context
from longshore.worker.loopback import Door, frame, read_frame
from longshore.worker.remote_files import RemoteFiles
from longshore.worker.results import Outcome, perform
from longshore.worker.saving import Paths, Saved
from longshore.worker.switchboard import Ticket
from longshore.worker.words import Word

_SECONDS: Final = 10.0  #: Patience with a worker that does not answer.


def perform_remotely(
    action: str, function: Callable[..., Any], arguments: dict[str, Any], ticket: Ticket | None
) -> Outcome:
    """Call an action's function to its end, in the process where this is."""
    if ticket is None:
        return perform(action, function, arguments)
    voice = _RemoteVoice(_line(ticket.door), ticket.number, RemoteFiles(ticket.claim))
    context = Context(ticket.facts, voice)
    try:
        return perform(action, function, {**arguments, ticket.parameter: context})
    finally:
        context.close()
        voice.hang_up()


class _RemoteVoice:
    """The voice of one call."""

    def __init__(self, line: _Line, number: int, files: RemoteFiles) -> None:
        self._line = line
        self._number = number
        self._files = files
        self._paths = Paths()
        self._stopped = line.dial(number)

    @property
    def cancelled(self) -> bool:
        return self._stopped.is_set()

    def say(self, word: Word) -> None:
        if isinstance(word, Progress):
            self._line.send(Report(number=self._number, progress=word))
        elif isinstance(word, LogEntry):
            self._line.send(Report(number=self._number, log=word))
        else:
            self._line.send(Report(number=self._number, property=word))

    def save(self, path: str, source: Source, content_type: str) -> Saved:
        self._paths.take(path)
        try:
            return Saved(self._files.save(path, source, content_type))
        except BaseException:
            self._paths.release(path)
            raise

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        timer.start()

    def hang_up(self) -> None:
        """Return when the worker has heard all."""
        self._line.hang_up(self._number)


class _Line:
    """One process's connection to its worker, shared by all its calls."""

    def __init__(self, door: Door) -> None:
        self._socket = door.knock()
        self._sending = threading.Lock()
        self._stops: dict[int, threading.Event] = {}
        self._heard: dict[int, threading.Event] = {}
        threading.Thread(target=self._listen, name="longshore-line", daemon=True).start()

    def dial(self, number: int) -> threading.Event:
        """Announce a call; the event is set when it should end."""
        self._heard[number] = threading.Event()
        stop = self._stops[number] = threading.Event()
        self.send(Report(number=number))
        return stop

    def send(self, report: Report) -> None:
        data = frame(report.SerializeToString())
        with self._sending:
            self._socket.sendall(data)

    def hang_up(self, number: int) -> None:
        self.send(Report(number=number, stopped=ActionStopped()))
        self._heard[number].wait(_SECONDS)
        del self._heard[number], self._stops[number]

    def _listen(self) -> None:
        stream = self._socket.makefile("rb")
        while (data := read_frame(stream)) is not None:
            response = WorkResponse.FromString(data)
            for order in response.stops:
                self._set(self._stops, order.number)
            for acknowledgement in response.acknowledgements:
                self._set(self._heard, acknowledgement.number)

    def _set(self, events: dict[int, threading.Event], number: int) -> None:
        event = events.get(number)
        if event is not None:
            event.set()


_line = functools.lru_cache(maxsize=8)(_Line)

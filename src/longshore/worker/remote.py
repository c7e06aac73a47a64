"""The far side: how an action is called in another process, and calls its worker from there."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from longshore.client.sources import Source
from longshore.v1.operation_pb2 import LogEntry, Progress
from longshore.v1.worker_service_pb2 import Report
from longshore.worker.context import Context
from longshore.worker.endings import lost, unloadable, unreachable
from longshore.worker.lines import Line, Refused, line_to
from longshore.worker.remote_files import RemoteFiles
from longshore.worker.results import Outcome, perform
from longshore.worker.saving import Paths, Saved
from longshore.worker.switchboard import Ticket
from longshore.worker.words import Word


def packed(function: Callable[..., Any], arguments: dict[str, Any]) -> bytes:
    """Return a call as bytes, which no executor has to understand. Raises what pickling does."""
    call: bytes = cloudpickle.dumps((function, arguments))  # pyright: ignore[reportUnknownMemberType]
    return call


def perform_remotely(action: str, call: bytes, ticket: Ticket) -> Outcome:
    """Call an action's function to its end, in the process where this is.

    Does nothing if it was called before, whether or not anything came of that.
    """
    try:
        line = line_to(ticket.door)
        stopped = line.dial(ticket.number)
    except Refused:
        return lost(action)
    except OSError as error:
        return unreachable(action, ticket.door.host, error)
    try:
        voice = _RemoteVoice(line, ticket.number, stopped, RemoteFiles(ticket.claim))
        return _perform(action, call, ticket, voice)
    finally:
        line.hang_up(ticket.number)


def _perform(action: str, call: bytes, ticket: Ticket, voice: _RemoteVoice) -> Outcome:
    try:
        function, arguments = pickle.loads(call)  # noqa: S301  # from the worker, as this call is
    except Exception as error:  # noqa: BLE001  # a module that is not there, for one
        return unloadable(action, error)
    if ticket.parameter is None:
        return perform(action, function, arguments)
    context = Context(ticket.facts, voice)
    try:
        return perform(action, function, {**arguments, ticket.parameter: context})
    finally:
        context.close()


class _RemoteVoice:
    """The voice of one call."""

    def __init__(
        self, line: Line, number: int, stopped: threading.Event, files: RemoteFiles
    ) -> None:
        self._line = line
        self._number = number
        self._stopped = stopped
        self._files = files
        self._paths = Paths()

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

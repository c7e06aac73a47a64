"""The context: how a function talks to the operation that it works for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from longshore.client.sources import Source
from longshore.v1.operation_pb2 import LogKind, Progress
from longshore.worker import words
from longshore.worker.saving import Saved, check_path
from longshore.worker.words import Word

_PROGRESS_SECONDS: Final = 1.0  #: Between two words of progress.

Said: TypeAlias = Literal["progress", "output", "warning", "error"]

_KINDS: Final[dict[Said, LogKind.ValueType]] = {
    "progress": LogKind.LOG_KIND_PROGRESS,
    "output": LogKind.LOG_KIND_OUTPUT,
    "warning": LogKind.LOG_KIND_WARNING,
    "error": LogKind.LOG_KIND_ERROR,
}


class Facts(NamedTuple):
    """What is known of a piece of work when it begins."""

    operation_id: str
    action: str
    attempt: int  #: From 1.
    step: int  #: The place of the action in the plan, from 0.
    tenant: str
    traceparent: str  #: The W3C trace context of the submit; may be empty.


class Voice(Protocol):
    """The way from the function to the operation; all of it may be used by any thread."""

    @property
    def cancelled(self) -> bool: ...

    def say(self, word: Word) -> None: ...

    def later(self, seconds: float, call: Callable[[], None]) -> None: ...

    def save(self, path: str, source: Source, content_type: str) -> Saved: ...


class Context:
    """What an action can say and ask while it works.

    A parameter annotated with this class receives it, whatever the parameter's name, and is
    not published. All methods can be called by any thread.
    """

    def __init__(self, facts: Facts, voice: Voice) -> None:
        self.operation_id = facts.operation_id
        self.action = facts.action
        self.attempt = facts.attempt
        self.step = facts.step
        self.tenant = facts.tenant
        self.traceparent = facts.traceparent
        self._voice = voice
        self._progress = _ProgressGate(voice)

    @property
    def cancelled(self) -> bool:
        """Whether the work should end: it was canceled, or is no longer this worker's.

        A coroutine need not ask: `asyncio.CancelledError` is raised in it.
        """
        return self._voice.cancelled

    def progress(
        self, done: float, total: float | None = None, unit: str = "", message: str = ""
    ) -> None:
        """Say how far the work is, as often as is convenient.

        One word a second is sent, and always the last. Raises `ValueError` if a number is
        negative or not finite.
        """
        self._progress.put(words.progress(done, total, unit, message))

    def log(self, message: str, kind: Said = "output") -> None:
        """Add an entry to the operation's log, of one of the four kinds.

        Entries are cut at 16 KiB; after 10,000 of an attempt no more are kept.
        """
        self._voice.say(words.log(_KINDS[kind], message))

    def warning(self, message: str) -> None:
        """Log something that the reader may want to look at."""
        self.log(message, "warning")

    def error(self, message: str) -> None:
        """Log something that went wrong, without failing."""
        self.log(message, "error")

    def property(self, name: str, value: str) -> None:
        """Set a property of the operation. Raises `ValueError` without a name."""
        self._voice.say(words.property_set(name, value))

    def save_file(self, path: str, source: Source, content_type: str = "") -> Saved:
        """Save a file as one that the operation makes.

            @worker.action
            async def render(page: str, context: Context) -> None:
                await context.save_file("page.html", template(page).encode())

            @worker.action
            def export(table: str, context: Context) -> None:
                context.save_file("table.csv", (row.csv() for row in database.rows(table)))

        `path` is its name, with `/` between folders. `source` is bytes, the path of a file on
        this machine, an open binary file, or an iterable of bytes, also an asynchronous one.
        Of anything but bytes only a small part is held in memory. `content_type` is a media
        type; by default it is guessed from the path.

        A coroutine awaits it; what is not awaited is waited for when the action has ended. In
        threads and other processes it returns when the file safely is saved. While no server
        answers it waits, and sends bytes and files again; what an open file or an iterator
        yields cannot be had again, so that a broken connection fails it. The files of a failed
        attempt are removed when the next begins.

        Raises `ValueError` if nothing can be saved under the path, or something was already,
        `TypeError` if the source is none. If the server refuses the file `ActionError` is
        raised, or what the source raises; unless it is caught it fails the attempt.
        """
        check_path(path)
        return self._voice.save(path, source, content_type)

    def close(self) -> None:
        """Say what is still held back. The worker calls this when the function is done."""
        self._progress.close()


class _ProgressGate:
    """Lets one word of progress a second pass, and the last."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._lock = threading.Lock()
        self._open_at = 0.0  # On the monotonic clock.
        self._held: Progress | None = None

    def put(self, word: Progress) -> None:
        with self._lock:
            wait = self._open_at - time.monotonic()
            if wait > 0:
                waiting, self._held = self._held is not None, word
                if not waiting:
                    self._voice.later(wait, self.close)
                return
            self._say(word)

    def close(self) -> None:
        with self._lock:
            if self._held is not None:
                self._say(self._held)

    def _say(self, word: Progress) -> None:
        self._held = None
        self._open_at = time.monotonic() + _PROGRESS_SECONDS
        self._voice.say(word)

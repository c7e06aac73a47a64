"""The watchdog: names what keeps the event loop from turning."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final

_LOOK_SECONDS: Final = 0.5

#: Is called in the watchdog's thread with the task that blocks, and where it stands.
Blocked = Callable[["asyncio.Task[Any] | None", str], None]


class Watchdog:
    """A thread that expects the loop to answer within a limit."""

    def __init__(self, blocked: Blocked, limit_seconds: float = 2.0) -> None:
        self._blocked = blocked
        self._limit = limit_seconds
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, name="longshore-watchdog", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            answered = threading.Event()
            try:
                self._loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # the loop is closed
                return
            if not answered.wait(self._limit) and not self._stopped.is_set():
                self._blocked(asyncio.current_task(self._loop), self._where())
                self._wait_for(answered)

    def _wait_for(self, answered: threading.Event) -> None:
        """Say each block once, however long it lasts."""
        while not answered.wait(_LOOK_SECONDS) and not self._stopped.is_set():
            pass

    def _where(self) -> str:
        """Return the place that the loop's thread is at, the innermost call last."""
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        frame = frames.get(self._loop_thread)
        if frame is None:
            return ""
        return "".join(traceback.format_stack(frame)[-3:]).rstrip()

"""Threads beside the event loop, for what would hold it up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")

_Call = tuple[Callable[[], Any], Future[Any]]


class Helper:
    """A thread of one transfer: calls are made in it, one after the other.

    It begins with the first call. Whatever hangs in it, such as reading a pipe that nobody
    writes to, holds up neither the helpers of others nor the end of the process.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, function: Callable[..., R], *arguments: Any) -> asyncio.Future[R]:
        """Have a function called; the future has what it returns, or raises."""
        return asyncio.wrap_future(self.soon(function, *arguments))

    def soon(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Have a function called, also if nobody waits for it."""
        called: Future[R] = Future()
        self._calls.put((lambda: function(*arguments), called))
        if self._thread is None:
            self._thread = threading.Thread(
                target=_serve, args=(self._calls,), name="longshore-transfer", daemon=True
            )
            self._thread.start()
        return called

    def close(self) -> None:
        """Let the thread end after the calls that it was given."""
        self._calls.put(None)

    def __del__(self) -> None:
        self.close()


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        function, called = call
        if not called.set_running_or_notify_cancel():
            continue
        try:
            called.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            called.set_exception(error)
        del call, function, called  # What they hold may be large.

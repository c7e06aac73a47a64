"""The post: from any thread to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Post:
    """Brings calls to the event loop that it was made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def here(self) -> bool:
        """Whether this is the loop's thread."""
        return threading.get_ident() == self._thread

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function on the loop after some time, from any thread."""
        self.call(self._call_later, seconds, function)

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop, from any thread; its future is for other threads."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self._loop.call_later(seconds, function)

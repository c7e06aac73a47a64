"""Voices on the worker's side: from any thread to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from longshore.worker.lease import Lease
from longshore.worker.words import Word


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

    def _call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self._loop.call_later(seconds, function)


class LeaseVoice:
    """The voice of what works under a lease."""

    __slots__ = ("_lease", "_post", "_tell")

    def __init__(self, lease: Lease, tell: Callable[[Lease, Word], None], post: Post) -> None:
        self._lease = lease
        self._tell = tell
        self._post = post

    @property
    def cancelled(self) -> bool:
        return self._lease.stop is not None

    def say(self, word: Word) -> None:
        if self._post.here():
            self._tell(self._lease, word)
        else:
            self._post.call(self._tell, self._lease, word)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._post.call_later(seconds, call)

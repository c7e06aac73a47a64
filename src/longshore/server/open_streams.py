"""Open streams: how many each caller has, and those that may not go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import grpc.aio

from longshore.core.errors import RateLimited, Unauthenticated

Owner: TypeAlias = tuple[str, str]
"""The name of a principal or, of a stranger, nothing and its address."""


class OpenStream:
    """A stream that a task serves."""

    def __init__(self, look: Callable[[], None], expires: float | None) -> None:
        self.expires = expires  #: Seconds since 1970; None: not by itself.
        #: Why it was ended by `OpenStreams.look_again`.
        self.refusal: Exception | None = None
        self.look = look  #: Raises what ends it.
        self.stopped = False  #: Whether what serves it was cancelled for its refusal.
        self._writing = False
        self._task = asyncio.current_task()

    def end(self, refusal: Exception) -> None:
        """Stop what serves it; that finds the reason in `refusal`.

        A message that waits for its reader cannot be taken back, and before it has gone no
        status can follow.
        """
        if self.refusal is None and self._task is not None:
            self.refusal = refusal
            if not self._writing:
                self.stopped = True
                self._task.cancel()

    async def write(self, context: grpc.aio.ServicerContext[Any, Any], message: Any) -> None:
        """Send a message. Raises what has ended the stream meanwhile."""
        self._writing = True
        await context.write(message)
        self._writing = False
        self.check()

    def check(self) -> None:
        """Raise what has ended the stream."""
        if self.refusal is not None:
            raise self.refusal


class OpenStreams:
    """All streams of a server."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[Owner] = Counter()
        self._open: set[OpenStream] = set()
        self._expiring: set[OpenStream] = set()  #: Those of the open ones that will.

    @contextlib.contextmanager
    def entered(
        self, owner: Owner, look: Callable[[], None], expires: float | None
    ) -> Generator[OpenStream]:
        """Count a stream of somebody's while it is served by the task that runs.

        Raises `RateLimited`, and what `look` has raised since it was told to look again.
        """
        if self._counts[owner] >= self._limit:
            raise RateLimited(
                f"more than {self._limit} streams at once", self._limit, "stream", 1.0
            )
        stream = OpenStream(look, expires)
        self._counts[owner] += 1
        self._open.add(stream)
        if expires is not None:
            self._expiring.add(stream)
        try:
            yield stream
        except asyncio.CancelledError:
            if stream.refusal is None or not stream.stopped:
                raise
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            raise stream.refusal from None
        finally:
            self._open.discard(stream)
            self._expiring.discard(stream)
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]

    def look_again(self, now: float, *, at_all: bool) -> None:
        """End the streams of those who may not go on; unless at all, of those who expire."""
        for stream in tuple(self._expiring):
            if stream.expires is not None and now >= stream.expires:
                stream.end(Unauthenticated("the credential has expired"))
        for stream in tuple(self._open) if at_all else ():
            try:
                stream.look()
            except Exception as refusal:  # noqa: BLE001  who cannot be looked at goes as well
                stream.end(refusal)

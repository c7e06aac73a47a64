"""Streams of results: who listens to which, one listener at a time on all servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Final, NamedTuple, cast

from longshore.core.callers import Caller
from longshore.core.changes import OpenStream
from longshore.core.errors import StreamTaken
from longshore.core.events import Event, EventKind
from longshore.core.operations import FIRST_TERMINAL
from longshore.core.store import Applied
from longshore.engine.writer import Writer

_NAMED: Final = '"stream":'  #: In the details of ends that come into a channel.
#: What takes a result from a channel: it was acknowledged, or its operation has expired.
_GONE: Final = frozenset({EventKind.DELIVERY_CHANGED, EventKind.EXPIRED})


class Channel(NamedTuple):
    """A stream of results of one tenant."""

    tenant: str
    stream: str


class Listener:
    """One listener to a channel; made by `Streams.open`, close it when done."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.revision = 0  #: When it took the stream over; 0: not yet.
        self._taken = False
        self._news = asyncio.Event()
        self._pending: set[int] = set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a result; false after the timeout. Raises `StreamTaken`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._news.wait()
        except TimeoutError:
            self.check()
            return False
        self._news.clear()
        self.check()
        return True

    def check(self) -> None:
        """Raise `StreamTaken` if a younger listener has the stream."""
        if self._taken:
            raise StreamTaken(self.channel.stream)

    def expect(self, numbers: Iterable[int]) -> None:
        """Note which results have been read, to be sent one after the other."""
        self._pending = set(numbers)

    def expects(self, number: int) -> bool:
        """Tell whether a result that was read is still there, and neither acknowledged nor expired."""
        return number in self._pending

    def forget(self, number: int) -> None:
        """Leave out a result that is gone."""
        self._pending.discard(number)

    def tell(self) -> None:
        """Make a waiting `wait` return."""
        self._news.set()

    def take(self) -> None:
        """Let it know that a younger listener has the stream."""
        self._taken = True
        self.tell()


class Streams:
    """The listeners whose streams end in this server."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._listeners: dict[Channel, set[Listener]] = {}
        self._newest: dict[Channel, int] = {}

    async def open(self, caller: Caller, stream: str) -> Listener:
        """Take a stream over from whoever listens to it, on any server."""
        channel = Channel(caller.tenant, stream)
        listener = Listener(channel)
        # Before it is written, so that nothing is missed between.
        self._listeners.setdefault(channel, set()).add(listener)
        try:
            revision = await self._writer.write(OpenStream(caller, stream))
        except BaseException:
            self.close(listener)
            raise
        listener.revision = cast("int", revision)
        if self._newest.get(channel, 0) > listener.revision:
            listener.take()
        return listener

    def close(self, listener: Listener) -> None:
        """Forget a listener; a second time does nothing."""
        group = self._listeners.get(listener.channel)
        if group is not None:
            group.discard(listener)
            if not group:
                del self._listeners[listener.channel]
                self._newest.pop(listener.channel, None)

    def applied(self, applied: Applied) -> None:
        """Tell listeners what a commit has for them."""
        if not self._listeners:
            return
        if applied.missed:
            self.interrupt()
        for event in applied.history:
            if event.kind == EventKind.STREAM:
                self._taken_over(event)
            elif event.state >= FIRST_TERMINAL:
                self._ended(event)

    def _taken_over(self, event: Event) -> None:
        channel = _channel_of(event)
        listeners = self._listeners.get(channel)
        if listeners is None:
            return
        self._newest[channel] = event.revision
        for listener in listeners:
            if 0 < listener.revision < event.revision:
                listener.take()

    def _ended(self, event: Event) -> None:
        """Tell of an operation that has ended, or whose result is gone since."""
        if event.kind == EventKind.STATE_CHANGED:
            if event.detail is not None and _NAMED in event.detail:
                for listener in self._listeners.get(_channel_of(event), ()):
                    listener.tell()
        elif event.kind in _GONE:
            for group in self._listeners.values():
                for listener in group:
                    listener.forget(event.number)

    def interrupt(self) -> None:
        """Make every listener return at once, to be told to reconnect or to look itself."""
        for group in self._listeners.values():
            for listener in group:
                listener.tell()


def _channel_of(event: Event) -> Channel:
    return Channel(event.tenant, json.loads(event.detail or "{}").get("stream", ""))

"""Watch streams: one watch under way, from its first message to its last."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Final

from longshore.core.events import Event, EventKind
from longshore.core.limits import PAGE_BYTES
from longshore.core.operations import Record
from longshore.core.store import Replay
from longshore.engine.engine import Engine
from longshore.engine.feed import Told
from longshore.server import wire
from longshore.server.encoded_changes import EncodedChanges, Tidings, ends
from longshore.v1.operation_pb2 import END_DONE, END_RECONNECT, End
from longshore.v1.task_service_pb2 import RunTaskResponse

_REVISION: Final = RunTaskResponse.REVISION_FIELD_NUMBER
_END: Final = RunTaskResponse.END_FIELD_NUMBER
_CREATED: Final = RunTaskResponse.CREATED_FIELD_NUMBER

_AT_ONCE: Final = 64  #: Events that are encoded at once: operations may be large.
_AGE_SPREAD: Final = (0.9, 1.1)  #: Streams that began together do not end together.


class WatchStream:
    """Makes the messages of one watch.

    `waiting` are the named operations whose end has not been told; None if none was named.
    """

    def __init__(
        self,
        engine: Engine,
        changes: EncodedChanges,
        replay: Replay,
        *,
        full: bool,
        waiting: set[int] | None = None,
    ) -> None:
        self._engine = engine
        self._changes = changes
        self._replay = replay
        self._full = full
        self._waiting = waiting
        #: Revisions of operations that were shown as they were after the cursor already.
        self._shown: dict[int, int] = {}

    def opening(self, record: Record, revision: int, *, created: bool) -> bytes:
        """Return the first message of a call that submits and watches."""
        self._note(record, revision)
        shown = self._changes.present(record, full=self._full)
        return _message([shown], revision, self._end()) + wire.number(_CREATED, int(created))

    async def present(
        self, records: AsyncIterator[Record], revision: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield how things stand; only the last message has the revision."""
        gathered: list[bytes] = []
        size = 0
        async for record in records:
            self._note(record, revision)
            change = self._changes.present(record, full=self._full)
            if gathered and size + len(change) > PAGE_BYTES:
                yield _message(gathered)
                gathered, size = [], 0
            gathered.append(change)
            size += len(change)
        yield _message(gathered, revision, self._end())

    def _note(self, record: Record, revision: int) -> None:
        operation = record.operation
        if operation.revision > revision:
            self._shown[operation.number] = operation.revision
        if operation.ended and self._waiting is not None:
            self._waiting.discard(operation.number)

    @property
    def done(self) -> bool:
        """Whether everything that was asked for has been told."""
        return self._waiting is not None and not self._waiting

    def _end(self) -> End.ValueType | None:
        return END_DONE if self.done else None

    async def follow(self, after: int) -> AsyncGenerator[bytes, None]:
        """Yield what happens after a revision until all has ended, or the stream is old.

        Raises `RevisionCompacted` and `RevisionInFuture`.
        """
        watcher = await self._engine.watch(self._replay._replace(after=after))
        try:
            if self.done:
                yield _message((), after, END_DONE)
                return
            settings, clock = self._engine.settings, asyncio.get_running_loop().time
            draining = self._engine.draining
            if draining.is_set():
                watcher.interrupt()
            last = clock() + settings.stream_age_seconds * random.uniform(*_AGE_SPREAD)  # noqa: S311
            bookmark = clock() + settings.bookmark_seconds
            end: End.ValueType | None = None
            while end is None:
                told = await watcher.next(max(0.0, min(bookmark, last) - clock()))
                events = self._news(told)
                now = clock()
                leaving = draining.is_set() or now >= last
                # Who could not be told anything by now may be told it elsewhere.
                leaving = leaving or (now >= bookmark and self._engine.cut_off)
                end = self._end() or (END_RECONNECT if leaving else None)
                if not events and end is None and now < bookmark:
                    continue
                tidings = Tidings(events, told.revision, end, self._full)
                message = self._changes.latest(tidings)
                if message is not None:
                    yield message
                else:
                    async for message in self._messages(tidings):
                        yield message
                bookmark = clock() + settings.bookmark_seconds
        finally:
            watcher.close()

    def _news(self, told: Told) -> list[Event]:
        """Return what was not shown yet, as far as the end of all that was named."""
        events = told.events
        if self._shown:
            shown = self._shown
            events = [one for one in events if one.revision > shown.get(one.number, 0)]
            if told.revision >= max(shown.values()):
                shown.clear()
        if self._waiting is None:
            return events
        for index, event in enumerate(events):
            if ends(event) or event.kind == EventKind.EXPIRED:
                self._waiting.discard(event.number)
                if not self._waiting:
                    return events[: index + 1]
        return events

    async def _messages(self, tidings: Tidings) -> AsyncGenerator[bytes, None]:
        """Yield messages of some size with events; the last has the revision and the end."""
        events = tidings.events
        gathered: list[bytes] = []
        size = reached = 0
        for start in range(0, len(events), _AT_ONCE):
            some = events[start : start + _AT_ONCE]
            changes = await self._changes.of(some, self._replay.tenant, full=self._full)
            for event, change in zip(some, changes, strict=True):
                if gathered and size + len(change) > PAGE_BYTES:
                    yield _message(gathered, reached)
                    gathered, size = [], 0
                gathered.append(change)
                size += len(change)
                reached = event.revision
        message = _message(gathered, tidings.revision, tidings.end)
        if len(gathered) == len(events):
            self._changes.made(tidings, message)
        yield message


def _message(
    changes: Iterable[bytes], revision: int | None = None, end: End.ValueType | None = None
) -> bytes:
    pieces = [] if revision is None else [wire.number(_REVISION, revision)]
    pieces += changes
    if end is not None:
        pieces.append(wire.number(_END, end))
    return b"".join(pieces)

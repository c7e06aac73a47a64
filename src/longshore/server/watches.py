"""Watches: the present state first if asked for, then every change, until told to reconnect.

Whatever is watched, a change is the same bytes for everybody who may see it, so it is encoded
once and messages are put together from encoded changes.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from longshore.core import limits
from longshore.core.errors import InvalidFields, LimitExceeded, OperationNotFound, Violation
from longshore.core.events import FIRST_SYSTEM_KIND, Event, EventKind
from longshore.core.filters import EVERYTHING, names_reserved_queue, refuse_changing_fields
from longshore.core.ids import target_of
from longshore.core.operations import FIRST_TERMINAL, Kind, Record
from longshore.core.orders import NEWEST_FIRST
from longshore.core.store import Query, Replay
from longshore.engine.engine import Engine
from longshore.engine.feed import Told, Watcher
from longshore.server import wire
from longshore.server.events import event_message
from longshore.server.filters import parse_filter
from longshore.server.messages import Messages, parts_of
from longshore.v1.operation_pb2 import End
from longshore.v1.operation_service_pb2 import AnyChange
from longshore.v1.task_service_pb2 import RunTaskResponse

_REVISION: Final = RunTaskResponse.REVISION_FIELD_NUMBER
_CHANGES: Final = RunTaskResponse.CHANGES_FIELD_NUMBER
_END: Final = RunTaskResponse.END_FIELD_NUMBER
_EVENT: Final = AnyChange.EVENT_FIELD_NUMBER
#: Where a change holds its operation; the changes of one kind use the same numbers.
_OPERATION: Final = {
    Kind.TASK: AnyChange.TASK_FIELD_NUMBER,
    Kind.JOB: AnyChange.JOB_FIELD_NUMBER,
    Kind.LAUNCH: AnyChange.LAUNCH_FIELD_NUMBER,
}
_WITHOUT_LOGS: Final = frozenset(
    kind for kind in EventKind if kind < FIRST_SYSTEM_KIND and kind != EventKind.LOG
)
_KEPT_CHANGES: Final = 2_048


class Wish(NamedTuple):
    """What a caller wants to watch: named operations, or those that match a filter."""

    tenant: str
    kind: Kind | None
    ids: Sequence[str] = ()
    filter: str = ""
    after_revision: int | None = None  #: None: the present state comes first.
    include_logs: bool = False
    full: bool = True


class Watches:
    """Serves every watch of a server."""

    def __init__(self, engine: Engine, messages: Messages) -> None:
        self._engine = engine
        self._messages = messages
        self._encoded: dict[tuple[int, bool], bytes] = {}

    async def watch(self, wish: Wish) -> AsyncGenerator[bytes, None]:
        """Yield encoded messages until the watch is over.

        Raises `InvalidFields`, `InvalidFilter`, `FilterFieldChanges`, `LimitExceeded`,
        `OperationNotFound`, `RevisionCompacted` and `RevisionInFuture`.
        """
        replay = _replay_of(wish)
        if wish.ids:
            stream = self._watch_named(wish, replay)
        else:
            stream = self._watch_matching(wish, replay)
        async with aclosing(stream) as messages:
            async for message in messages:
                yield message

    async def _watch_named(self, wish: Wish, replay: Replay) -> AsyncGenerator[bytes, None]:
        after = wish.after_revision
        if after is not None:
            await self._engine.check_revision(after)
        records = await self._named(wish)
        numbers = frozenset(record.operation.number for record in records)
        if after is None:
            after = max(one.operation.revision for one in records)
            after = max(after, self._engine.feed.revision)
        open_ = {
            record.operation.number
            for record in records
            if not record.operation.ended or record.operation.revision > after
        }
        end = End.END_UNSPECIFIED if open_ else End.END_DONE
        if wish.after_revision is None:
            for message in _in_messages(self._present(records, wish), after, end):
                yield message
        elif not open_:
            yield _message((), after, end)
        if open_:
            selected = replay._replace(after=after, numbers=numbers)
            async with aclosing(self._follow(selected, wish, open_)) as messages:
                async for message in messages:
                    yield message

    async def _named(self, wish: Wish) -> list[Record]:
        """Return the named operations. Raises `OperationNotFound` for the first unknown."""
        parts = parts_of(full=wish.full) if wish.after_revision is None else ()
        targets = [target_of(one) for one in wish.ids]
        records = await self._engine.store.get(wish.tenant, targets, parts)
        found: list[Record] = []
        for asked, record in zip(wish.ids, records, strict=True):
            if record is None or wish.kind not in (None, record.operation.kind):
                raise OperationNotFound(asked)
            found.append(record)
        return list({record.operation.number: record for record in found}.values())

    async def _watch_matching(self, wish: Wish, replay: Replay) -> AsyncGenerator[bytes, None]:
        after = wish.after_revision
        if after is None:
            page = await self._engine.store.find(_first_page(wish, replay))
            after = page.revision
            while page.after is not None:
                for message in _in_messages(self._present(page.records, wish), None):
                    yield message
                query = _first_page(wish, replay)._replace(after=page.after)
                page = await self._engine.store.find(query)
            for message in _in_messages(self._present(page.records, wish), after):
                yield message
        selected = replay._replace(after=after)
        async with aclosing(self._follow(selected, wish, None)) as messages:
            async for message in messages:
                yield message

    def _present(self, records: Iterable[Record], wish: Wish) -> Iterator[bytes]:
        """Yield changes that show operations as they are now."""
        for record in records:
            yield self._shown(record, full=wish.full)

    def _shown(self, record: Record, *, full: bool) -> bytes:
        field = _OPERATION[Kind(record.operation.kind)]
        return wire.part(field, self._messages.task(record, full=full))

    async def _follow(
        self, replay: Replay, wish: Wish, open_: set[int] | None
    ) -> AsyncGenerator[bytes, None]:
        """Yield changes after a revision; with `open_` until all of those have ended."""
        watcher = await self._engine.watch(replay)
        try:
            async for told in self._told(watcher):
                end = self._end_after(told, open_)
                changes = await self._changes(told.events, wish)
                for message in _in_messages(changes, told.revision, end, told.events):
                    yield message
                if end == End.END_DONE:
                    return
            yield _message((), watcher.cursor, End.END_RECONNECT)
        finally:
            watcher.close()

    async def _told(self, watcher: Watcher) -> AsyncGenerator[Told, None]:
        """Yield what a watcher is told, and bookmarks in silence, until it has to reconnect."""
        settings, clock = self._engine.settings, self._engine.clock
        # Not all at once: streams that began together should not come back together.
        age = settings.stream_age_seconds * random.uniform(0.9, 1.1)  # noqa: S311
        until = clock.monotonic() + age
        while not self._engine.draining.is_set() and clock.monotonic() < until:
            silence = min(settings.bookmark_seconds, until - clock.monotonic())
            yield await watcher.next(silence)

    def _end_after(self, told: Told, open_: set[int] | None) -> End.ValueType:
        if open_ is None:
            return End.END_UNSPECIFIED
        open_ -= {event.number for event in told.events if event.state >= FIRST_TERMINAL}
        return End.END_UNSPECIFIED if open_ else End.END_DONE

    async def _changes(self, events: Sequence[Event], wish: Wish) -> list[bytes]:
        """Return encoded changes; those that nobody was told yet are encoded now."""
        full, kept = wish.full, self._encoded
        missing = [event for event in events if (event.revision, full) not in kept]
        if missing:
            await self._encode(missing, wish.tenant, full=full)
        changes = [kept[event.revision, full] for event in events]
        while len(kept) > _KEPT_CHANGES:
            del kept[next(iter(kept))]
        return changes

    async def _encode(self, events: Sequence[Event], tenant: str, *, full: bool) -> None:
        """Encode changes; an event that ends an operation comes with its result."""
        ends = [event.number for event in events if _is_end(event)]
        shown: dict[int, bytes] = {}
        if ends:
            records = await self._engine.store.get(tenant, ends, parts_of(full=full))
            for record in records:
                if record is not None:
                    shown[record.operation.number] = self._shown(record, full=full)
        for event in events:
            change = wire.part(_EVENT, event_message(event).SerializeToString())
            if _is_end(event):
                change += shown.get(event.number, b"")
            self._encoded[event.revision, full] = change


def _is_end(event: Event) -> bool:
    return event.kind == EventKind.STATE_CHANGED and event.state >= FIRST_TERMINAL


def _replay_of(wish: Wish) -> Replay:
    """Return which events are wanted, checked."""
    if wish.ids and wish.filter:
        raise InvalidFields([Violation("filter", "either ids or a filter, not both")])
    if len(wish.ids) > limits.WATCH_IDS:
        raise LimitExceeded("ids", limits.WATCH_IDS, len(wish.ids))
    if wish.after_revision is not None and wish.after_revision < 0:
        raise InvalidFields([Violation("after_revision", "from 0")])
    wanted = parse_filter(wish.filter, wish.kind)
    refuse_changing_fields(wanted)
    return Replay(
        tenant=wish.tenant,
        after=wish.after_revision or 0,
        kind=wish.kind,
        filter=None if wanted == EVERYTHING else wanted,
        kinds=None if wish.include_logs else _WITHOUT_LOGS,
        reserved=names_reserved_queue(wanted),
    )


def _first_page(wish: Wish, replay: Replay) -> Query:
    return Query(
        tenant=replay.tenant,
        kind=replay.kind,
        filter=replay.filter,
        order=NEWEST_FIRST,
        after=None,
        limit=limits.PAGE_SIZE,
        parts=parts_of(full=wish.full),
        reserved=replay.reserved,
    )


def _in_messages(
    changes: Iterable[bytes],
    revision: int | None,
    end: End.ValueType = End.END_UNSPECIFIED,
    events: Sequence[Event] = (),
) -> Iterator[bytes]:
    """Yield messages of a bounded size.

    The last one has the revision and the end. If the changes are events, each one before it
    has the revision of its last event, so that the watch can be resumed after any of them.
    """
    pending: list[bytes] = []
    size = 0
    for index, change in enumerate(changes):
        if pending and size + len(change) > limits.PAGE_BYTES:
            reached = events[index - 1].revision if events else None
            yield _message(pending, reached, End.END_UNSPECIFIED)
            pending, size = [], 0
        pending.append(change)
        size += len(change)
    if pending or revision is not None:
        yield _message(pending, revision, end)


def _message(changes: Iterable[bytes], revision: int | None, end: End.ValueType) -> bytes:
    pieces = [wire.parts(_CHANGES, changes)]
    if revision is not None:
        pieces.append(wire.number(_REVISION, revision))
    if end:
        pieces.append(wire.number(_END, end))
    return b"".join(pieces)

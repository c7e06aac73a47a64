"""Watches: what is asked for, and the present state that comes first if that is wanted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from longshore.core.errors import InvalidFields, OperationNotFound, Violation
from longshore.core.events import FIRST_SYSTEM_KIND, EventKind
from longshore.core.filters import EVERYTHING, Filter, refuse_changing_fields
from longshore.core.ids import target_of
from longshore.core.limits import WATCH_IDS
from longshore.core.operations import Kind, Operation, Record
from longshore.core.orders import Order, SortKey
from longshore.core.store import Page, Query, Replay
from longshore.engine.engine import Engine
from longshore.server.checks import at_most
from longshore.server.encoded_changes import EncodedChanges
from longshore.server.filters import parse_filter
from longshore.server.messages import Messages, parts_of
from longshore.server.watch_streams import WatchStream

_OLDEST_FIRST: Final = Order((SortKey("number"),))
_AT_ONCE: Final = 100  #: Operations that are read at once: they may be large.

_OF_OPERATIONS: Final = frozenset(kind for kind in EventKind if kind < FIRST_SYSTEM_KIND)
_WITHOUT_LOGS: Final = _OF_OPERATIONS - {EventKind.LOG}


class Wish(NamedTuple):
    """What a caller wants to watch: named operations, or those that match a filter."""

    tenant: str
    kind: Kind | None  #: None: operations of any kind.
    ids: Sequence[str] = ()
    filter: str = ""
    after_revision: int | None = None  #: None: the present state comes first.
    include_logs: bool = False
    full: bool = True


class Watches:
    """Serves the watches of every kind; their messages are encoded already."""

    def __init__(self, engine: Engine, messages: Messages) -> None:
        self._engine = engine
        self._changes = EncodedChanges(engine.store, messages)

    def watch(self, wish: Wish) -> AsyncGenerator[bytes, None]:
        """Return the messages of a watch.

        Raises `InvalidFields`, `InvalidFilter`, `FilterFieldChanges`, `LimitExceeded`,
        `OperationNotFound`, `RevisionCompacted` and `RevisionInFuture`.
        """
        if wish.after_revision is not None and wish.after_revision < 0:
            raise InvalidFields([Violation("after_revision", "from 0")])
        if wish.ids and wish.filter:
            raise InvalidFields([Violation("filter", "either ids or a filter, not both")])
        at_most("ids", WATCH_IDS, len(wish.ids))
        return self._watch_named(wish) if wish.ids else self._watch_matching(wish)

    async def submitted(
        self, wish: Wish, record: Record, revision: int, *, created: bool
    ) -> AsyncGenerator[bytes, None]:
        """Yield the messages of a call that has submitted an operation and watches it.

        The record shows everything up to the revision.
        """
        number = record.operation.number
        stream = self._stream(wish, waiting={number}, numbers=frozenset({number}))
        yield stream.opening(record, revision, created=created)
        if not stream.done:
            async with aclosing(stream.follow(revision)) as messages:
                async for message in messages:
                    yield message

    async def _watch_named(self, wish: Wish) -> AsyncGenerator[bytes, None]:
        after = wish.after_revision
        if after is not None:
            await self._engine.check_revision(after)
        revision = self._engine.feed.revision if after is None else after
        operations = await self._named(wish)
        waiting = {
            one.number for one in operations if after is None or not _ended_by(one, after)
        }
        numbers = list(dict.fromkeys(one.number for one in operations))
        stream = self._stream(wish, waiting=waiting, numbers=frozenset(numbers))
        if after is None:
            async with aclosing(stream.present(self._read(wish, numbers), revision)) as first:
                async for message in first:
                    yield message
            if stream.done:
                return
        async with aclosing(stream.follow(revision)) as rest:
            async for message in rest:
                yield message

    async def _watch_matching(self, wish: Wish) -> AsyncGenerator[bytes, None]:
        wanted = parse_filter(wish.filter, wish.kind)
        refuse_changing_fields(wanted)
        stream = self._stream(wish, filter=None if wanted == EVERYTHING else wanted)
        after = wish.after_revision
        if after is None:
            query = _query(wish, wanted)
            page = await self._engine.store.find(query)
            after = page.revision
            async with aclosing(stream.present(self._listed(query, page), after)) as first:
                async for message in first:
                    yield message
        async with aclosing(stream.follow(after)) as rest:
            async for message in rest:
                yield message

    def _stream(
        self,
        wish: Wish,
        *,
        waiting: set[int] | None = None,
        numbers: frozenset[int] | None = None,
        filter: Filter | None = None,  # noqa: A002  as `Replay` calls it
    ) -> WatchStream:
        replay = Replay(
            tenant=wish.tenant,
            after=0,
            numbers=numbers,
            kind=wish.kind,
            filter=filter,
            kinds=_OF_OPERATIONS if wish.include_logs else _WITHOUT_LOGS,
        )
        return WatchStream(self._engine, self._changes, replay, full=wish.full, waiting=waiting)

    async def _named(self, wish: Wish) -> list[Operation]:
        """Return the named operations. Raises `OperationNotFound` for the first unknown."""
        targets = [target_of(text) for text in wish.ids]
        records = await self._engine.store.get(wish.tenant, targets)
        found: list[Operation] = []
        for asked, record in zip(wish.ids, records, strict=True):
            if record is None or wish.kind not in (None, record.operation.kind):
                raise OperationNotFound(asked)
            found.append(record.operation)
        return found

    async def _read(self, wish: Wish, numbers: Sequence[int]) -> AsyncGenerator[Record, None]:
        parts = parts_of(full=wish.full)
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            for record in await self._engine.store.get(wish.tenant, some, parts):
                if record is not None:  # not expired meanwhile
                    yield record

    async def _listed(self, query: Query, page: Page) -> AsyncGenerator[Record, None]:
        while True:
            for record in page.records:
                yield record
            if page.after is None:
                return
            page = await self._engine.store.find(query._replace(after=page.after))


def _query(wish: Wish, wanted: Filter) -> Query:
    return Query(
        tenant=wish.tenant,
        kind=wish.kind,
        filter=wanted,
        order=_OLDEST_FIRST,
        after=None,
        limit=_AT_ONCE,
        parts=parts_of(full=wish.full),
    )


def _ended_by(operation: Operation, revision: int) -> bool:
    """Tell whether who knows everything up to a revision knows that it has ended."""
    return operation.ended and operation.revision <= revision

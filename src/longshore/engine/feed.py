"""The feed: the tail of the log, handed to whoever watches.

A watcher is a cursor. It replays from the store up to the newest revision, then takes what
the feed puts into its small buffer. A buffer that overflows is thrown away and the watcher
reads the store again from its cursor: nothing is lost and a slow watcher costs no memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longshore.core.events import Event
from longshore.core.store import Replay, Store
from longshore.engine.matching import Matcher, Subjects

_BUFFER_EVENTS = 512
_REPLAY_EVENTS = 1_000


class Told(NamedTuple):
    """Events in order, and the revision up to which a watcher now knows everything."""

    events: list[Event]
    revision: int


class Watcher:
    """One cursor on the log. Made by `Feed.watch`; close it when done."""

    def __init__(self, feed: Feed, replay: Replay, groups: list[set[Watcher]]) -> None:
        self._feed = feed
        self._replay = replay
        self._groups = groups
        self.cursor = replay.after
        self._buffer: deque[Event] = deque()
        self._behind = True
        self._awake = asyncio.Event()
        for group in groups:
            group.add(self)

    def push(self, event: Event) -> None:
        """Take an event from the feed, or fall behind."""
        if self._behind:
            return
        if len(self._buffer) >= _BUFFER_EVENTS:
            self._buffer.clear()
            self._behind = True
        else:
            self._buffer.append(event)
        self._awake.set()

    def interrupt(self) -> None:
        """Make a waiting `next` return."""
        self._awake.set()

    async def next(self, timeout_seconds: float) -> Told:
        """Return what came since the last call.

        Without a change it returns no events after the timeout, or when interrupted; the
        revision then says that nothing was missed up to there. Raises `RevisionCompacted`
        if it fell so far behind that the log no longer reaches back to its cursor.
        """
        if not self._behind and not self._buffer:
            await self._wait(timeout_seconds)
        self._awake.clear()
        if self._behind:
            told = await self._read_store()
            if told.events or self._behind:
                return told
        events = [event for event in self._buffer if event.revision > self.cursor]
        self._buffer.clear()
        self.cursor = max(self.cursor, self._feed.revision)
        return Told(events, self.cursor)

    async def _wait(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _read_store(self) -> Told:
        """Read on from the cursor; once level with the feed, follow it from there."""
        newest = self._feed.revision
        # From here on the feed's pushes are kept, so nothing falls between the two.
        self._behind = False
        if self.cursor >= newest:
            return Told([], self.cursor)
        replay = self._replay._replace(after=self.cursor, until=newest, limit=_REPLAY_EVENTS)
        found = await self._feed.store.events(replay)
        self.cursor = found.revision
        if found.revision < newest:
            self._buffer.clear()
            self._behind = True
        return Told(found.events, found.revision)

    def close(self) -> None:
        for group in self._groups:
            group.discard(self)


class Feed:
    """Publishes each commit's events to those who want them."""

    def __init__(self, store: Store, revision: int) -> None:
        self.store = store
        self.revision = revision
        self._by_number: dict[int, set[Watcher]] = {}
        self._by_matcher: dict[Matcher, set[Watcher]] = {}
        self._subjects = Subjects(store)

    def watch(self, replay: Replay) -> Watcher:
        """Return a watcher of everything that `replay` selects, without an end.

        Watches of named operations are routed by number; all others are matched in memory
        by the same question that the store answers.
        """
        if replay.numbers is not None:
            groups = [self._by_number.setdefault(number, set()) for number in replay.numbers]
        else:
            groups = [self._by_matcher.setdefault(Matcher.of(replay), set())]
        return Watcher(self, replay, groups)

    def interrupt(self) -> None:
        """Make every watcher return at once, so that it can be told to reconnect."""
        for group in (*self._by_number.values(), *self._by_matcher.values()):
            for watcher in group:
                watcher.interrupt()

    async def publish(self, events: Sequence[Event], revision: int) -> None:
        """Hand a commit's events to their watchers; each distinct question is asked once."""
        chosen = [
            (watchers, await matcher.chosen(events, self._subjects))
            for matcher, watchers in self._by_matcher.items()
            if watchers
        ]
        # From here on nothing is awaited: a watcher sees a commit whole or not at all.
        self.revision = revision
        for watchers, wanted in chosen:
            _push(watchers, wanted)
        if self._by_number:
            for event in events:
                _push(self._by_number.get(event.number, ()), (event,))
        self._tidy()

    def _tidy(self) -> None:
        """Drop groups that nobody is in any more, a few at a time."""
        for groups in (self._by_number, self._by_matcher):
            if len(groups) > 1_000 or groups is self._by_matcher:
                empty = [key for key, group in groups.items() if not group]
                for key in empty:
                    del groups[key]  # type: ignore[arg-type]


def _push(watchers: Iterable[Watcher], events: Iterable[Event]) -> None:
    for watcher in watchers:
        for event in events:
            watcher.push(event)

"""The feed: the tail of the log, handed to whoever watches.

A watcher is a cursor. It replays from the store up to the newest revision, then takes what
the feed puts into its small buffer. A buffer that overflows is thrown away and the watcher
reads the store again from its cursor: nothing is lost and a slow watcher costs no memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from longshore.core.events import Event
from longshore.core.store import Replay, Store
from longshore.engine.matching import Matcher, Subject, Subjects

_BUFFER_EVENTS = 512
_REPLAY_EVENTS = 1_000


class Told(NamedTuple):
    """Events in order, and the revision up to which a watcher now knows everything."""

    events: list[Event]
    revision: int


class Watcher:
    """One cursor on the log. Made by `Feed.watch`; close it when done."""

    def __init__(self, feed: Feed, replay: Replay) -> None:
        self._feed = feed
        self._replay = replay
        self.cursor = replay.after
        self._buffer: deque[Event] = deque()
        self._behind = True
        self._awake = asyncio.Event()

    def push(self, event: Event) -> None:
        """Take an event from the feed, or fall behind."""
        kinds = self._replay.kinds
        if self._behind or (kinds is not None and event.kind not in kinds):
            return
        if len(self._buffer) >= _BUFFER_EVENTS:
            self.fall_behind()
        else:
            self._buffer.append(event)
            self._awake.set()

    def push_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self.push(event)

    def fall_behind(self) -> None:
        """Forget what is buffered, and read the store again from the cursor."""
        self._buffer.clear()
        self._behind = True
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
        try:
            found = await self._feed.store.events(replay)
        except BaseException:
            self._behind = True
            raise
        self.cursor = found.revision
        if found.revision < newest:
            self.fall_behind()
        return Told(found.events, found.revision)

    def close(self) -> None:
        self._feed.leave(self, self._replay)


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
        watcher = Watcher(self, replay)
        if replay.numbers is not None:
            for number in replay.numbers:
                self._by_number.setdefault(number, set()).add(watcher)
        else:
            self._by_matcher.setdefault(Matcher.of(replay), set()).add(watcher)
        return watcher

    def leave(self, watcher: Watcher, replay: Replay) -> None:
        """Forget a watcher; a second time does nothing."""
        if replay.numbers is not None:
            for number in replay.numbers:
                _discard(self._by_number, number, watcher)
        else:
            _discard(self._by_matcher, Matcher.of(replay), watcher)

    def interrupt(self) -> None:
        """Make every watcher return at once, so that it can be told to reconnect."""
        for group in (*self._by_number.values(), *self._by_matcher.values()):
            for watcher in group:
                watcher.interrupt()

    async def publish(self, events: Sequence[Event], revision: int) -> None:
        """Hand a commit's events to their watchers; each distinct question is asked once."""
        subjects: Mapping[int, Subject] = {}
        if any(matcher.needs_subjects for matcher in self._by_matcher):
            # Of all events: watchers with other questions may come while this is read.
            subjects = await self._subjects.of(events)
        # From here on nothing is awaited: a watcher sees a commit whole or not at all.
        self.revision = revision
        for matcher, watchers in self._by_matcher.items():
            wanted = matcher.chosen(events, subjects)
            for watcher in watchers:
                if wanted is None:
                    watcher.fall_behind()
                else:
                    watcher.push_all(wanted)
        if self._by_number:
            for event in events:
                for watcher in self._by_number.get(event.number, ()):
                    watcher.push(event)


_Key = TypeVar("_Key")


def _discard(groups: dict[_Key, set[Watcher]], key: _Key, watcher: Watcher) -> None:
    group = groups.get(key)
    if group is not None:
        group.discard(watcher)
        if not group:
            del groups[key]

"""The feed: the tail of the log, handed to whoever watches.

A watcher is a cursor. It replays from the store up to the newest revision, then takes what
the feed puts into its small buffer. A buffer that overflows is thrown away and the watcher
reads the store again from its cursor: nothing is lost and a slow watcher costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple, TypeVar

from longshore.core.errors import StoreUnavailable
from longshore.core.events import Event
from longshore.core.store import Applied, Replay, Store
from longshore.engine.matching import Matcher, Subject, Subjects

_BUFFER_EVENTS = 512
_REPLAY_EVENTS = 1_000
_RETRY_SECONDS = 0.5  #: Until the next attempt to read a store that was gone.


class Told(NamedTuple):
    """Events in order, and the revision up to which a watcher now knows everything.

    Watchers that are told the same are given the same list; none of them may change it.
    """

    events: list[Event]
    revision: int


class Watcher:
    """One cursor on the log, read by one task. Made by `Feed.watch`; close it when done."""

    __slots__ = (
        "_alarm",
        "_batches",
        "_behind",
        "_buffered",
        "_feed",
        "_interrupted",
        "_loop",
        "_replay",
        "_until",
        "_waiter",
        "cursor",
    )

    def __init__(self, feed: Feed, replay: Replay) -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._replay = replay
        self.cursor = replay.after
        self._batches: list[list[Event]] = []
        self._buffered = 0
        self._behind = True
        self._interrupted = False
        self._waiter: asyncio.Future[None] | None = None
        self._until = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def kinds(self) -> frozenset[int] | None:
        return self._replay.kinds

    def push(self, events: list[Event]) -> None:
        """Take what a commit has for this watcher, or fall behind."""
        if self._behind or not events:
            return
        self._buffered += len(events)
        if self._buffered > _BUFFER_EVENTS:
            self.fall_behind()
        else:
            self._batches.append(events)
            self._wake()

    def fall_behind(self) -> None:
        """Forget what is buffered, and read the store again from the cursor."""
        self._batches = []
        self._buffered = 0
        self._behind = True
        self._wake()

    def interrupt(self) -> None:
        """Make a waiting `next` return, or else the one that is called next."""
        self._interrupted = True
        self._wake()

    async def next(self, timeout_seconds: float) -> Told:
        """Return what came since the last call.

        Without a change it returns no events after the timeout, or when interrupted; the
        revision then says that nothing was missed up to there. Raises `RevisionCompacted`
        if it fell so far behind that the log no longer reaches back to its cursor.
        """
        if not (self._batches or self._behind or self._interrupted):
            await self._wait(timeout_seconds)
        self._interrupted = False
        if self._behind:
            told = await self._read_on(timeout_seconds)
            if told.events or self._behind:
                return told
        events = self._taken()
        self.cursor = max(self.cursor, self._feed.revision)
        return Told(events, self.cursor)

    def _taken(self) -> list[Event]:
        """Empty the buffer; what one commit put there is returned as it is."""
        batches, self._batches, self._buffered = self._batches, [], 0
        if len(batches) == 1 and batches[0][0].revision > self.cursor:
            return batches[0]
        events = [one for batch in batches for one in batch if one.revision > self.cursor]
        # A commit's events come apart by operation to those who named several.
        events.sort(key=_revision)
        return events

    async def _wait(self, timeout_seconds: float) -> None:
        self._until = self._loop.time() + timeout_seconds
        if self._alarm is None or self._alarm.when() > self._until:
            self._set_alarm()
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _set_alarm(self) -> None:
        self._stop_alarm()
        self._alarm = self._loop.call_at(self._until, self._ring)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        """End a wait that has lasted long enough.

        A wait that ends early leaves its alarm to the next one: what is told often would set
        and stop one each time. So an alarm may ring too early, and is set again.
        """
        self._alarm = None
        if self._waiter is None:
            return
        if self._loop.time() < self._until:
            self._set_alarm()
        else:
            self._wake()

    async def _read_on(self, timeout_seconds: float) -> Told:
        """Read the store; if it is gone and may be back, wait a moment."""
        try:
            return await self._read_store()
        except StoreUnavailable:
            if not self._feed.store.recovers:
                raise
        await self._wait(min(timeout_seconds, _RETRY_SECONDS))
        return Told([], self.cursor)

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
        self._stop_alarm()
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
        for watcher in self._watchers():
            watcher.interrupt()

    async def publish(self, applied: Applied) -> None:
        """Hand a commit's events to their watchers; each distinct question is asked once."""
        subjects: Mapping[int, Subject] = {}
        if any(matcher.needs_subjects for matcher in self._by_matcher):
            # Of all events: watchers with other questions may come while this is read.
            subjects = await self._subjects_of(applied)
        # From here on nothing is awaited: a watcher sees a commit whole or not at all.
        # The feed began with what was in the store: that is told once more at first.
        self.revision = max(self.revision, applied.revision)
        if applied.missed:
            self._all_fall_behind()
            return
        events = applied.history
        for matcher, watchers in self._by_matcher.items():
            wanted = matcher.chosen(events, subjects)
            for watcher in watchers:
                if wanted is None:
                    watcher.fall_behind()
                else:
                    watcher.push(wanted)
        if self._by_number:
            self._tell_named(events)

    async def _subjects_of(self, applied: Applied) -> Mapping[int, Subject]:
        """Return the subjects of a commit; none if they cannot be read just now."""
        try:
            return await self._subjects.of(applied.history, applied.created())
        except StoreUnavailable:
            if not self.store.recovers:
                raise
            return {}

    def _all_fall_behind(self) -> None:
        for watcher in self._watchers():
            watcher.fall_behind()

    def _watchers(self) -> Iterable[Watcher]:
        groups = (*self._by_number.values(), *self._by_matcher.values())
        return (watcher for group in groups for watcher in group)

    def _tell_named(self, events: Iterable[Event]) -> None:
        """Tell watchers of named operations; those of one operation share what they are told."""
        by_number: dict[int, list[Event]] = {}
        for event in events:
            if event.number in self._by_number:
                by_number.setdefault(event.number, []).append(event)
        for number, happened in by_number.items():
            wanted: dict[frozenset[int] | None, list[Event]] = {}
            for watcher in self._by_number[number]:
                kinds = watcher.kinds
                if kinds not in wanted:
                    wanted[kinds] = [
                        event for event in happened if kinds is None or event.kind in kinds
                    ]
                watcher.push(wanted[kinds])


_revision = attrgetter("revision")

_Key = TypeVar("_Key")


def _discard(groups: dict[_Key, set[Watcher]], key: _Key, watcher: Watcher) -> None:
    group = groups.get(key)
    if group is not None:
        group.discard(watcher)
        if not group:
            del groups[key]

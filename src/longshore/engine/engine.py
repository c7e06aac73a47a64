"""The engine: everything that runs, put together, entered and left as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from longshore.core.blobs import Blobs
from longshore.core.callers import SERVER
from longshore.core.changes import Change, Grant, Mode, SetMode
from longshore.core.errors import RevisionCompacted, RevisionInFuture
from longshore.core.events import EventKind
from longshore.core.store import Applied, Replay, Store
from longshore.engine.catalog import CatalogCache
from longshore.engine.clock import Clock, StoreClock, SystemClock
from longshore.engine.dispatcher import Dispatcher
from longshore.engine.feed import Feed, Watcher
from longshore.engine.files import Files
from longshore.engine.presence import Presence
from longshore.engine.reaper import Reaper
from longshore.engine.retention import Retention
from longshore.engine.sessions import Sessions
from longshore.engine.settings import EngineSettings
from longshore.engine.streams import Streams
from longshore.engine.writer import Writer


class Engine:
    """The running machine over one store; an async context manager.

    `writer` takes changes, `store` answers reads, `catalog` is the small state without
    waiting, `sessions` are the workers connected here, `watch` follows the log, `files` has
    what is in files, `streams` are the listeners to results, `presence` says whether the
    store is there. `failed` is set to an exception when the store can no longer be written and
    will not be back: serving must end then.
    """

    catalog: CatalogCache
    feed: Feed
    writer: Writer
    sessions: Sessions
    reaper: Reaper
    retention: Retention
    files: Files
    streams: Streams

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        settings: EngineSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.store = store
        self._blobs = blobs
        self.settings = settings or EngineSettings()
        self.clock = StoreClock(clock or SystemClock())
        self.draining = asyncio.Event()
        self._background: list[asyncio.Task[None]] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def failed(self) -> asyncio.Future[None]:
        return self.writer.failed

    @property
    def presence(self) -> Presence:
        return self.writer.presence

    @property
    def cut_off(self) -> bool:
        """Whether the store has been gone for so long that other servers may serve better."""
        return self.presence.is_gone_for(3 * self.settings.beat_seconds)

    async def __aenter__(self) -> Self:
        await self.store.open()
        try:
            await self._blobs.open()
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def _start(self) -> None:
        current = await self.store.catalog()
        self.catalog = CatalogCache(self.store, current)
        self.feed = Feed(self.store, current.revision)
        # The writer asks the dispatcher, which knows the sessions, which report to the writer.
        self.writer = Writer(self.store, self.clock, self)
        self.sessions = Sessions(self.writer, self.clock)
        self._dispatcher = Dispatcher(self.sessions, self.writer)
        self.reaper = Reaper(
            self.store, self.catalog, self.sessions, self.writer, self.clock, self.settings
        )
        self.retention = Retention(self.writer, self.catalog, self.clock, self.settings)
        self.files = Files(self._blobs, self.writer, self.clock, self.settings)
        self.streams = Streams(self.writer)
        # Also sets the clock by the store's, before anybody looks at it.
        alone = not await self.reaper.others()
        self._writing = asyncio.create_task(self.writer.run(), name="writer")
        self._background = [
            asyncio.create_task(self.reaper.run(), name="reaper"),
            asyncio.create_task(self.retention.run(), name="retention"),
            asyncio.create_task(self.files.run(), name="files"),
        ]
        if alone and current.mode != Mode.ACTIVE and current.resume_on_restart:
            await self.writer.write(SetMode(SERVER, Mode.ACTIVE))
        self.writer.wake()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        """Write what was accepted, then let go of the store."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._writing is not None:
            await self.files.settle()
            self.writer.finish()
            await self._writing
        await self.store.close()

    # What the writer says and asks.

    def grants(self) -> tuple[Grant, ...]:
        return self._dispatcher.grants()

    async def applied(self, changes: Sequence[Change], applied: Applied) -> None:
        try:
            await self.catalog.follow(applied)
        finally:
            # Whether or not the catalog can be read now, this has happened.
            self._compare_sessions(applied)
            self._dispatcher.applied(changes, applied)
            self.streams.applied(applied)
            await self.feed.publish(applied)

    def _compare_sessions(self, applied: Applied) -> None:
        if applied.missed:
            # Their leases may be over, or they may be asked to stop.
            self.sessions.send_away()
        if applied.missed or any(one.kind == EventKind.SESSION for one in applied.foreign):
            self.sessions.compare(self.catalog.current.sessions)

    async def back(self, *, unsure: bool) -> None:
        await self.catalog.refresh()
        self.sessions.compare(self.catalog.current.sessions)
        self.streams.interrupt()  # What they could not read they can read now.
        if unsure:
            # They may have been given leases that they were not told of.
            self.sessions.send_away()

    async def learn(self) -> bool:
        """Read the catalog; tell whether anything has happened that was not known here.

        What another server has committed is heard of a moment later.
        """
        before = self.catalog.current.revision
        await self.catalog.refresh()
        return self.catalog.current.revision > before

    async def watch(self, replay: Replay) -> Watcher:
        """Return a watcher from `replay.after` on. Raises as `check_revision` does."""
        await self.check_revision(replay.after)
        return self.feed.watch(replay)

    async def check_revision(self, after: int) -> None:
        """Raise `RevisionCompacted` or `RevisionInFuture` if no watch can start there."""
        compacted = self.catalog.current.compacted
        if after < compacted:
            raise RevisionCompacted(after, compacted + 1)
        if after > self.feed.revision:
            # A commit is in the store a moment before it is in the feed.
            newest = (await self.store.catalog()).revision
            if after > newest:
                raise RevisionInFuture(after, newest)

    def drain(self) -> None:
        """Tell every watcher and worker to reconnect; what was accepted is still written."""
        self.draining.set()
        self.sessions.tell_to_reconnect()
        self.feed.interrupt()
        self.streams.interrupt()

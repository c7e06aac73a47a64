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
from longshore.core.store import Applied, Replay, Store
from longshore.engine.catalog import CatalogCache
from longshore.engine.clock import Clock, SystemClock
from longshore.engine.dispatcher import Dispatcher
from longshore.engine.feed import Feed, Watcher
from longshore.engine.files import Files
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
    what is in files, `streams` are the listeners to results. `failed` is
    set to an exception when the store can no longer be written: serving must end then.
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
        self.clock = clock or SystemClock()
        self.draining = asyncio.Event()
        self._background: list[asyncio.Task[None]] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def failed(self) -> asyncio.Future[None]:
        return self.writer.failed

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
        self.writer = Writer(self.store, self.clock, self._grants, self._applied)
        self.sessions = Sessions(self.writer, self.clock)
        self._dispatcher = Dispatcher(self.sessions, self.writer)
        self.reaper = Reaper(
            self.catalog, self.sessions, self.writer, self.clock, self.settings
        )
        self.retention = Retention(self.writer, self.catalog, self.clock, self.settings)
        self.files = Files(self._blobs, self.writer, self.clock, self.settings)
        self.streams = Streams(self.writer)
        self._writing = asyncio.create_task(self.writer.run(), name="writer")
        self._background = [
            asyncio.create_task(self.reaper.run(), name="reaper"),
            asyncio.create_task(self.retention.run(), name="retention"),
            asyncio.create_task(self.files.run(), name="files"),
        ]
        if current.mode != Mode.ACTIVE and current.resume_on_restart:
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

    def _grants(self) -> tuple[Grant, ...]:
        return self._dispatcher.grants()

    async def _applied(self, changes: Sequence[Change], applied: Applied) -> None:
        await self.catalog.follow(applied.events)
        self._dispatcher.applied(changes, applied)
        self.streams.applied(applied.events)
        await self.feed.publish(applied)

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

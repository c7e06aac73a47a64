"""The store itself: opened and closed as one, asked through `core.store.Store`."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import BaseFileLock
from sqlite_utils import Database

from longshore.core.callers import Target
from longshore.core.changes import Change
from longshore.core.errors import StoreUnavailable
from longshore.core.files import File
from longshore.core.installation import Registered
from longshore.core.operations import Glance, Operation, Record
from longshore.core.plans import Codec
from longshore.core.store import (
    Applied,
    Attendance,
    Catalog,
    Channel,
    Counts,
    Events,
    Page,
    Query,
    Renewal,
    Replay,
    Standing,
)
from longshore.stores.sqlite import counting, installation, lists, replays
from longshore.stores.sqlite.applying import Applier
from longshore.stores.sqlite.connections import (
    Readers,
    connect,
    connect_reader,
    snapshot,
    take_lock,
    translated,
)
from longshore.stores.sqlite.copying import refuse_unfinished
from longshore.stores.sqlite.files import arrivals, kept_files
from longshore.stores.sqlite.points import Points
from longshore.stores.sqlite.schema import migrate


def wall_clock() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class _Connections(NamedTuple):
    """What an open store works with."""

    lock: BaseFileLock
    applier: Applier
    points: Points  #: Used on the event loop's thread only.
    readers: Readers


class SqliteStore:
    """`core.store.Store` in one SQLite file.

    Batches and point reads run on the event loop's thread, commits, lists and replays in
    helper threads. No read transaction spans an await. One server has the file for itself, so
    there is nothing to be heard of others. A disk that has failed is not trusted again.
    """

    recovers = False

    def __init__(
        self, path: Path | str, codec: Codec, clock: Callable[[], int] = wall_clock
    ) -> None:
        self._path = Path(path)
        self._codec = codec
        self._clock = clock
        self._connections: _Connections | None = None

    async def open(self) -> None:
        lock = take_lock(self._path)
        try:
            with translated():
                self._connections = await asyncio.to_thread(self._connect, lock)
        except BaseException:
            lock.release()
            raise

    def _connect(self, lock: BaseFileLock) -> _Connections:
        connection = connect(self._path)
        try:
            database = Database(connection)
            migrate(database)
            refuse_unfinished(connection)
            applier = Applier(database, self._codec, self._clock)
        except BaseException:
            connection.close()
            raise
        points, readers = Points(connect_reader(self._path)), Readers(self._path)
        return _Connections(lock, applier, points, readers)

    async def close(self) -> None:
        connections, self._connections = self._connections, None
        if connections is None:
            return
        await connections.readers.close()
        connections.points.connection.close()
        # Last of all, so that it can fold the WAL into the file.
        await asyncio.to_thread(connections.applier.close)
        connections.lock.release()

    @property
    def _open(self) -> _Connections:
        if self._connections is None:
            raise StoreUnavailable("the store is not open")
        return self._connections

    async def apply(self, changes: Sequence[Change]) -> Applied:
        return await self._open.applier.apply(changes)

    async def news(self) -> Applied | None:
        return None

    def listen(self, callback: Callable[[], None]) -> None:
        """Never call back."""

    async def renew(self, live: Sequence[int], silent_ms: int) -> Renewal | None:
        return None

    async def get(
        self, tenant: str, targets: Sequence[Target], parts: Sequence[int] = ()
    ) -> list[Record | None]:
        points = self._open.points
        with translated(), snapshot(points.connection):
            return points.get(tenant, targets, parts)

    async def glance(self, tenant: str, targets: Sequence[Target]) -> list[Glance | None]:
        points = self._open.points
        with translated(), snapshot(points.connection):
            return points.glance(tenant, targets)

    async def find(self, query: Query) -> Page:
        return await self._open.readers.read(functools.partial(lists.find, query))

    async def events(self, replay: Replay) -> Events:
        return await self._open.readers.read(functools.partial(replays.replay, replay))

    async def catalog(self) -> Catalog:
        connections = self._open
        catalogs = connections.applier.catalogs
        read = functools.partial(catalogs.read, catalogs.versions())
        return await connections.readers.read(read)

    async def accounts(self, tenant: str, principal: str) -> Sequence[Registered]:
        read = functools.partial(installation.accounts, tenant, principal)
        return await self._open.readers.read(read)

    async def files(self, tenant: str, ids: Sequence[bytes], now: int) -> list[File | None]:
        points = self._open.points
        with translated(), snapshot(points.connection):
            return kept_files(tenant, ids, now, points.connection)

    async def channel(self, asked: Channel) -> Sequence[tuple[int, int]]:
        points = self._open.points
        with translated(), snapshot(points.connection):
            return arrivals(asked, points.connection)

    async def counts(self, tenant: str) -> Counts:
        return await self._open.readers.read(functools.partial(counting.counts, tenant))

    async def warnings(self) -> Sequence[str]:
        return ()  # Nobody else is to have the file.

    async def standing(self, operation: Operation, most: int) -> Standing:
        points = self._open.points
        with translated(), snapshot(points.connection):
            return points.standing(operation, most)

    async def attendance(self, sessions: Sequence[int]) -> Mapping[int, Attendance]:
        points = self._open.points
        with translated(), snapshot(points.connection):
            return points.attendance(sessions)

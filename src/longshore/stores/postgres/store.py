"""The store itself: opened and closed as one, asked through `core.store.Store`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
from longshore.stores.postgres import channels, condition, counting, lists, points, replays
from longshore.stores.postgres.applying import Applier
from longshore.stores.postgres.catalogs import Catalogs, read_accounts
from longshore.stores.postgres.connections import Address, Readers, Writing, translated
from longshore.stores.postgres.copying import refuse_unfinished
from longshore.stores.postgres.listening import Listener
from longshore.stores.postgres.migrating import migrate
from longshore.stores.postgres.renewing import Renewer


@dataclass
class _Parts:
    """What an open store works with."""

    address: Address
    writing: Writing
    readers: Readers
    applier: Applier
    renewer: Renewer
    catalogs: Catalogs
    listener: Listener | None = None


class PostgresStore:
    """`core.store.Store` in a PostgreSQL database, which any number of servers may share."""

    recovers = True

    def __init__(self, url: str, codec: Codec, clock: Callable[[], int] | None = None) -> None:
        """Take a URL as `connections.Address` reads it.

        A clock gives milliseconds since 1970; without one the database's is asked.
        """
        self._url = url
        self._codec = codec
        self._clock = clock
        self._parts: _Parts | None = None

    async def open(self) -> None:
        address = Address.parse(self._url)
        writing, readers = Writing(address), Readers(address)
        try:
            with translated():
                connection = await writing.connection()
                await migrate(connection)
                await refuse_unfinished(connection)
                applier = Applier(writing, self._codec, self._clock)
                await applier.open()
                await readers.open()
        except BaseException:
            writing.drop()
            raise
        renewer = Renewer(address, self._clock)
        self._parts = _Parts(address, writing, readers, applier, renewer, Catalogs())

    async def close(self) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:
            if parts.listener is not None:
                await parts.listener.close()
            await parts.renewer.close()
            await parts.readers.close()
            await parts.writing.close()

    @property
    def _open(self) -> _Parts:
        if self._parts is None:
            raise StoreUnavailable("the store is not open")
        return self._parts

    async def apply(self, changes: Sequence[Change]) -> Applied:
        return await self._open.applier.apply(changes)

    async def news(self) -> Applied | None:
        return await self._open.applier.news()

    def listen(self, callback: Callable[[], None]) -> None:
        parts = self._open
        parts.listener = Listener(parts.address, parts.writing, callback)

    async def renew(self, live: Sequence[int], silent_ms: int) -> Renewal | None:
        return await self._open.renewer.renew(live, silent_ms)

    async def get(
        self, tenant: str, targets: Sequence[Target], parts: Sequence[int] = ()
    ) -> list[Record | None]:
        return await points.get(tenant, targets, parts, self._open.readers)

    async def glance(self, tenant: str, targets: Sequence[Target]) -> list[Glance | None]:
        return await points.glance(tenant, targets, self._open.readers)

    async def find(self, query: Query) -> Page:
        return await self._open.readers.read_long(functools.partial(lists.find, query))

    async def events(self, replay: Replay) -> Events:
        return await self._open.readers.read(functools.partial(replays.replay, replay))

    async def catalog(self) -> Catalog:
        return await self._open.readers.read(self._open.catalogs.read)

    async def accounts(self, tenant: str, principal: str) -> Sequence[Registered]:
        read = functools.partial(read_accounts, tenant, principal)
        return await self._open.readers.read(read)

    async def files(self, tenant: str, ids: Sequence[bytes], now: int) -> list[File | None]:
        return await points.files(tenant, ids, now, self._open.readers)

    async def channel(self, asked: Channel) -> Sequence[tuple[int, int]]:
        return await self._open.readers.read(functools.partial(channels.arrivals, asked))

    async def counts(self, tenant: str) -> Counts:
        return await self._open.readers.read(functools.partial(counting.counts, tenant))

    async def warnings(self) -> Sequence[str]:
        return await self._open.readers.read(condition.warnings)

    async def standing(self, operation: Operation, most: int) -> Standing:
        read = functools.partial(points.standing, operation, most)
        return await self._open.readers.read(read)

    async def attendance(self, sessions: Sequence[int]) -> Mapping[int, Attendance]:
        return await points.attendance(sessions, self._open.readers)

"""The catalog as this server knows it: kept level with the log, read without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from longshore.core.events import FIRST_SYSTEM_KIND, Event
from longshore.core.store import Catalog, Store


class CatalogCache:
    """The latest catalog; refreshed before the change that altered it is answered."""

    def __init__(self, store: Store, current: Catalog) -> None:
        self._store = store
        self._listeners: list[Callable[[], object]] = []
        self.current = current

    async def follow(self, events: Iterable[Event]) -> None:
        """Read the catalog again if a commit says that it has changed."""
        if any(event.kind >= FIRST_SYSTEM_KIND for event in events):
            await self.refresh()

    async def refresh(self) -> None:
        self.current = await self._store.catalog()
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call a function whenever the catalog was read again; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

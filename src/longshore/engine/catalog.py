"""The catalog as this server knows it: kept level with the log, read without waiting."""

from __future__ import annotations

from collections.abc import Callable

from longshore.core.events import FIRST_SYSTEM_KIND
from longshore.core.store import Applied, Catalog, Store


class CatalogCache:
    """The latest catalog; refreshed before the change that altered it is answered."""

    def __init__(self, store: Store, current: Catalog) -> None:
        self._store = store
        self._listeners: list[Callable[[], object]] = []
        self.current = current

    async def follow(self, applied: Applied) -> None:
        """Read the catalog again if a commit says that it has changed."""
        if applied.missed or any(one.kind >= FIRST_SYSTEM_KIND for one in applied.history):
            await self.refresh()

    async def refresh(self) -> None:
        found = await self._store.catalog()
        if found.revision < self.current.revision:
            return  # It was read before that which is known by now.
        self.current = found
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call a function whenever the catalog was read again; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

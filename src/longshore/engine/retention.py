"""Retention: forgets old events and expired operations, a few at a time."""

from __future__ import annotations

import asyncio

import structlog

from longshore.core.changes import Compact
from longshore.core.errors import StoreUnavailable
from longshore.engine.catalog import CatalogCache
from longshore.engine.clock import Clock
from longshore.engine.settings import EngineSettings
from longshore.engine.writer import Writer

log = structlog.get_logger()

_OPERATIONS_AT_ONCE = 500


class Retention:
    """Compacts the log by age."""

    def __init__(
        self, writer: Writer, catalog: CatalogCache, clock: Clock, settings: EngineSettings
    ) -> None:
        self._writer = writer
        self._catalog = catalog
        self._clock = clock
        self._settings = settings

    async def run(self) -> None:
        """Compact at intervals until cancelled."""
        while True:
            await asyncio.sleep(self._settings.compact_every_seconds)
            try:
                await self.compact()
            except StoreUnavailable as error:
                log.warning("compact_failed", reason=str(error))
            except Exception:
                log.exception("compact_failed")

    async def compact(self) -> None:
        """Compact everything that is old enough, in small batches that let others in."""
        before = self._clock.now() - int(self._settings.history_seconds * 1_000)
        removed = _OPERATIONS_AT_ONCE
        while removed == _OPERATIONS_AT_ONCE:
            outcome = await self._writer.write(Compact(before, _OPERATIONS_AT_ONCE))
            removed = outcome if isinstance(outcome, int) else 0
        await self._catalog.refresh()

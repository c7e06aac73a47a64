"""The reaper: ends sessions whose workers were silent for longer than their time to live.

Where several servers share a store, each says once a beat whose streams end in it, and the
store tells what nobody has spoken for. Else this server has heard everybody itself.
"""

from __future__ import annotations

import asyncio

import structlog

from longshore.core.changes import ExpireSessions
from longshore.core.errors import StoreUnavailable
from longshore.core.store import Renewal, Store
from longshore.engine.catalog import CatalogCache
from longshore.engine.clock import StoreClock
from longshore.engine.sessions import Sessions
from longshore.engine.settings import EngineSettings
from longshore.engine.writer import Writer

log = structlog.get_logger()


class Reaper:
    """Looks at every session once a beat, on the monotonic clock."""

    def __init__(
        self,
        store: Store,
        catalog: CatalogCache,
        sessions: Sessions,
        writer: Writer,
        clock: StoreClock,
        settings: EngineSettings,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._sessions = sessions
        self._writer = writer
        self._clock = clock
        self._settings = settings
        # After a start nobody has been heard yet: silence before it proves nothing.
        self._looked_at = self._started = self._renewed_at = clock.monotonic()
        self._patient_until = self._started + settings.time_to_live_seconds

    async def run(self) -> None:
        """Reap until cancelled."""
        while True:
            await asyncio.sleep(self._settings.beat_seconds)
            try:
                await self.reap()
            except StoreUnavailable as error:
                log.warning("reap_failed", reason=str(error))
            except Exception:
                log.exception("reap_failed")

    async def others(self) -> int:
        """Return how many other servers the store has heard of within a time to live."""
        renewal = await self._renew()
        return 0 if renewal is None else renewal.others

    async def reap(self) -> None:
        """Expire the sessions that are silent now, unless this server itself was asleep."""
        try:
            renewal = await self._renew()
        except StoreUnavailable:
            self._miss_a_beat()
            raise
        now = self._clock.monotonic()
        if now - self._looked_at > 2 * self._settings.beat_seconds:
            # A tick that came a beat late: the workers may have spoken to deaf ears.
            self._patient_until = now + self._settings.time_to_live_seconds
        self._looked_at = now
        if now < self._patient_until:
            return
        silent = self._unheard(now) if renewal is None else tuple(renewal.silent)
        if silent:
            log.warning("sessions_expired", sessions=[number for number, _ in silent])
            await self._writer.write(ExpireSessions(silent))
            for number, _ in silent:
                self._sessions.last_heard.pop(number, None)

    async def _renew(self) -> Renewal | None:
        # A worker may have spoken up to a beat after it was last spoken for.
        span = self._settings.time_to_live_seconds + self._settings.beat_seconds
        asked = self._clock.now()
        renewal = await self._store.renew(tuple(self._sessions.live), round(span * 1_000))
        self._renewed_at = self._clock.monotonic()
        if renewal is not None and self._clock.level(asked, renewal.time):
            self._writer.wake()
        return renewal

    def _miss_a_beat(self) -> None:
        """Be as patient as after a late tick, and let workers try other servers in time."""
        now = self._clock.monotonic()
        self._looked_at = now
        self._patient_until = now + self._settings.time_to_live_seconds
        if now - self._renewed_at > 3 * self._settings.beat_seconds:
            self._sessions.send_away()

    def _unheard(self, now: float) -> tuple[tuple[int, int], ...]:
        time_to_live = self._settings.time_to_live_seconds
        return tuple(
            (session.number, session.epoch)
            for session in self._catalog.current.sessions.values()
            if session.number not in self._sessions.live
            and now - self._heard_at(session.number) > time_to_live
        )

    def _heard_at(self, number: int) -> float:
        return self._sessions.last_heard.get(number, self._started)

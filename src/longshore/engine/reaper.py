"""The reaper: ends sessions whose workers were silent for longer than their time to live."""

from __future__ import annotations

import asyncio

import structlog

from longshore.core.changes import ExpireSessions
from longshore.engine.catalog import CatalogCache
from longshore.engine.clock import Clock
from longshore.engine.sessions import Sessions
from longshore.engine.settings import EngineSettings
from longshore.engine.writer import Writer

log = structlog.get_logger()


class Reaper:
    """Looks at every session once a beat, on the monotonic clock."""

    def __init__(
        self,
        catalog: CatalogCache,
        sessions: Sessions,
        writer: Writer,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self._catalog = catalog
        self._sessions = sessions
        self._writer = writer
        self._clock = clock
        self._settings = settings
        # After a start nobody has been heard yet: silence before it proves nothing.
        self._looked_at = self._started = clock.monotonic()
        self._patient_until = self._started + settings.time_to_live_seconds

    async def run(self) -> None:
        """Reap until cancelled."""
        while True:
            await asyncio.sleep(self._settings.beat_seconds)
            try:
                await self.reap()
            except Exception:
                log.exception("reap_failed")

    async def reap(self) -> None:
        """Expire the sessions that are silent now, unless this server itself was asleep."""
        now = self._clock.monotonic()
        if now - self._looked_at > 2 * self._settings.beat_seconds:
            # A tick that came a beat late: the workers may have spoken to deaf ears.
            self._patient_until = now + self._settings.time_to_live_seconds
        self._looked_at = now
        if now < self._patient_until:
            return
        silent = self._silent(now)
        if silent:
            log.warning("sessions_expired", sessions=[number for number, _ in silent])
            await self._writer.write(ExpireSessions(silent))
            for number, _ in silent:
                self._sessions.last_heard.pop(number, None)

    def _silent(self, now: float) -> tuple[tuple[int, int], ...]:
        time_to_live = self._settings.time_to_live_seconds
        return tuple(
            (session.number, session.epoch)
            for session in self._catalog.current.sessions.values()
            if session.number not in self._sessions.live
            and now - self._heard_at(session.number) > time_to_live
        )

    def _heard_at(self, number: int) -> float:
        return self._sessions.last_heard.get(number, self._started)

"""The scheduler: submits what schedules are due to, when their time has come."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import structlog

from longshore.core.callers import Caller
from longshore.core.changes import FireSchedule, Mode, Submit
from longshore.core.errors import LongshoreError, Maintenance, StoreUnavailable
from longshore.core.installation import Schedule
from longshore.core.schedules import fire
from longshore.engine.engine import Engine
from longshore.server.schedules import agreed, missed_of, occasion, submit_of, timing_of
from longshore.server.submissions import Submissions
from longshore.v1.catalog_service_pb2 import Schedule as Document

log = structlog.get_logger()

_RETRY_MS: Final = 5_000  #: After what should not have happened.


class Scheduler:
    """Fires the schedules of all tenants.

    Any number of them may run over one store, on one server or on many: only the first
    `FireSchedule` for a due time submits anything.
    """

    def __init__(self, engine: Engine, submissions: Submissions) -> None:
        self._engine = engine
        self._submissions = submissions

    async def run(self) -> None:
        """Fire what is due until cancelled."""
        awake = asyncio.Event()
        forget = self._engine.catalog.listen(awake.set)
        try:
            while True:
                awake.clear()
                await self._wait(awake, await self._look())
        finally:
            forget()

    async def _look(self) -> int | None:
        """Fire all that is due, whatever happens, and return when to look again."""
        try:
            return await self.fire()
        except Exception:
            log.exception("schedules_failed")
            return self._engine.clock.now() + _RETRY_MS

    async def _wait(self, awake: asyncio.Event, until: int | None) -> None:
        if until is None:
            await awake.wait()
            return
        alarm = self._engine.clock.alarm(until, awake.set)
        try:
            await awake.wait()
        finally:
            alarm.cancel()

    async def fire(self) -> int | None:
        """Fire all that is due, and return when to look again unless the catalog changes."""
        catalog, now = self._engine.catalog.current, self._engine.clock.now()
        if catalog.mode == Mode.MAINTENANCE:
            return None
        due: list[_Due] = []
        times: list[int] = []
        for (tenant, name), schedule in catalog.schedules.items():
            if schedule.next_time is not None and schedule.next_time > now:
                times.append(schedule.next_time)
            elif schedule.next_time is not None:
                due.append(_Due(tenant, name, schedule, schedule.next_time))
        # Together, so that they share a commit.
        if not all(await asyncio.gather(*(self._fire(one, now) for one in due))):
            times.append(now + _RETRY_MS)
        return min(times, default=None)

    async def _fire(self, due: _Due, now: int) -> bool:
        """Fire one schedule, whatever becomes of it; false if it must be tried again."""
        try:
            await self._submit(due, now)
        except Maintenance:
            return True  # It stays due, and the end of the maintenance is told.
        except StoreUnavailable as error:
            log.warning("schedule_delayed", **due.facts, reason=str(error))
            return False
        except Exception:
            log.exception("schedule_failed", **due.facts)
            return False
        return True

    async def _submit(self, due: _Due, now: int) -> None:
        """Submit for the times that are due; what is refused is told, and its time is over."""
        document = agreed(due.schedule.document)
        timing = timing_of(document, due.time)
        firing = fire(timing, due.time, now, missed_of(document))
        occasions = [occasion(due.name, time) for time in firing.due_times]
        try:
            submits = tuple(self._submit_for(due, document, one) for one in occasions)
            outcome = await self._engine.writer.write(due.change(submits, firing.next_time))
        except (Maintenance, StoreUnavailable):
            raise
        except LongshoreError as refusal:
            log.warning(
                "schedule_refused", **due.facts, occasions=occasions, reason=str(refusal)
            )
            outcome = await self._engine.writer.write(due.change((), firing.next_time))
        if outcome is None:
            # Somebody else did, or has changed it: see what it is now.
            await self._engine.catalog.refresh()

    def _submit_for(self, due: _Due, document: Document, request_id: str) -> Submit:
        owner = due.schedule
        caller = Caller(due.tenant, owner.principal, request_id, stream=owner.stream)
        return submit_of(document, caller, self._submissions)


class _Due(NamedTuple):
    """A schedule whose time has come."""

    tenant: str
    name: str
    schedule: Schedule
    time: int

    @property
    def facts(self) -> dict[str, str]:
        """What a log says of it."""
        return {"tenant": self.tenant, "schedule": self.name}

    def change(self, submits: tuple[Submit, ...], next_time: int | None) -> FireSchedule:
        caller = Caller(self.tenant, self.schedule.principal)
        document = self.schedule.document
        return FireSchedule(caller, self.name, document, self.time, submits, next_time)

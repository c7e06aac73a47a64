"""The writer: one task that turns everybody's waiting changes into one commit after another.

While a batch is being committed the next one gathers, so many callers share one disk sync.
Each batch ends with what is due and with one lease for all free slots: submit and lease share
a commit. Between batches the writer hears what other servers have committed, so that all
events pass here in the order of their revisions. A store that is gone is waited for, if it may
come back: meanwhile everything is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from longshore.core.changes import Change, Grant, Lease, Wake
from longshore.core.errors import OutcomeUnknown, StoreUnavailable
from longshore.core.store import Applied, Store
from longshore.engine.clock import Alarm, StoreClock
from longshore.engine.gathering import Gathering, Group, answer, refuse
from longshore.engine.news import frees_work
from longshore.engine.presence import Presence

log = structlog.get_logger()

#: Between two attempts to find the store again; the first one is made at once.
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0

#: Between two looks at what others have committed, if there is nothing else to do: while they
#: commit all the time several of their batches are heard of at once.
_NEWS_APART_SECONDS: Final = 0.01


class Audience(Protocol):
    """Who hears of every commit, and has free slots to offer."""

    def grants(self) -> tuple[Grant, ...]:
        """Return the slots that the next batch may fill."""
        ...

    async def applied(self, changes: Sequence[Change], applied: Applied) -> None:
        """Hear of a commit of this server, or of others without changes of one's own."""
        ...

    async def back(self, *, unsure: bool) -> None:
        """Hear that the store is back.

        With `unsure` a batch may have been committed whose outcomes nobody was told.
        """
        ...


class Writer:
    """Collects changes and hands them to the store."""

    def __init__(self, store: Store, clock: StoreClock, audience: Audience) -> None:
        self._store = store
        self._clock = clock
        self._audience = audience
        self._gathering = Gathering()
        self._awake = asyncio.Event()
        self._asked = False  #: Whether to look for what is due and what can be leased.
        self._heard = False  #: Whether others may have committed.
        self._listened_at = 0.0  # On the loop's clock.
        self._next_wake: int | None = 0
        self._alarm: Alarm | None = None
        self._finishing = asyncio.Event()
        self._refusal = ""  #: Why nothing is taken; "": it is.
        self.presence = Presence()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        store.listen(self._hear)

    async def write(self, change: Change) -> object:
        """Return the outcome of a change once it is durable, or raise what refused it."""
        (outcome,) = await self.write_all((change,))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def write_all(self, changes: Sequence[Change]) -> asyncio.Future[list[object]]:
        """Return the outcomes of changes; a refusal stands in the place of its outcome.

        Raises `Overloaded` for submits while too many changes wait, `StoreUnavailable` for
        all while the store is gone and after the writer has ended.
        """
        if self._refusal:
            raise StoreUnavailable(self._refusal)
        if not changes:
            nothing: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
            nothing.set_result([])
            return nothing
        future = self._gathering.add(changes)
        self._awake.set()
        return future

    def wake(self) -> None:
        """Make the writer look for what is due and what can be leased."""
        self._asked = True
        self._awake.set()

    async def run(self) -> None:
        """Write until told to `finish`, or until the store fails for good."""
        try:
            while self._gathering or not self._finishing.is_set():
                await self._awake.wait()
                await self._gathering.gather()
                self._awake.clear()
                await self._turn()
                if self._gathering:
                    self._awake.set()
        except Exception as error:
            log.exception("writer_failed")
            self.failed.set_exception(error)
        finally:
            self._close()

    def finish(self) -> None:
        """Make `run` end as soon as everything that was accepted is written."""
        self._finishing.set()
        self._awake.set()
        self._gathering.hurry()

    def _close(self) -> None:
        self._refusal = "the server no longer writes"
        self._stop_alarm()
        self._gathering.refuse(StoreUnavailable(self._refusal))

    async def _turn(self) -> None:
        """Hear what is new and write one batch; if the store is gone, wait for it."""
        try:
            if self._heard:
                await self._hear_news()
            await self._write_taken(self._gathering.take())
        except StoreUnavailable as error:
            if not self._store.recovers:
                raise
            await self._outlast(error)

    # Writing.

    async def _write_taken(self, groups: list[Group]) -> None:
        """Write groups; whatever happens, none of their callers waits on."""
        try:
            await self._write(groups)
        except StoreUnavailable as error:
            refuse(groups, error)
            raise
        except BaseException:
            # The commit may have happened before whatever went wrong.
            refuse(groups, OutcomeUnknown())
            raise

    async def _write(self, groups: list[Group]) -> None:
        changes: list[Change] = [change for changes, _ in groups for change in changes]
        asked = len(changes)
        self._add_own(changes)
        if not changes:
            self._sleep_until(self._next_wake)
            return
        began = self._clock.now()
        applied = await self._store.apply(changes)
        await self._take_in(changes, applied, began)
        answer(groups, applied.outcomes)
        for change, outcome in zip(changes[asked:], applied.outcomes[asked:], strict=True):
            if isinstance(outcome, BaseException):
                log.error("change_failed", change=type(change).__name__, exc_info=outcome)
        for outcome in applied.outcomes:
            if isinstance(outcome, StoreUnavailable):
                raise outcome

    def _add_own(self, changes: list[Change]) -> None:
        """Add what is due, and one lease for all free slots."""
        if self._next_wake is not None and self._next_wake <= self._clock.now():
            changes.append(Wake())
        if changes or self._asked:
            grants = self._audience.grants()
            # A change may free a slot, or bring work; without one there must be a free slot.
            if grants and (changes or any(grant.free > 0 for grant in grants)):
                changes.append(Lease(grants))
        self._asked = False

    async def _take_in(self, changes: Sequence[Change], applied: Applied, began: int) -> None:
        """Learn from what was committed since `began`, by the clock, and pass it on."""
        if self._clock.level(began, applied.time):
            self._stop_alarm()
        self._sleep_until(applied.next_wake)
        try:
            await self._audience.applied(changes, applied)
        except StoreUnavailable as error:
            # What cannot be read any more has been written all the same.
            raise OutcomeUnknown from error

    # Following.

    def _hear(self) -> None:
        if self._heard:
            return
        self._heard = True
        loop = asyncio.get_running_loop()
        moment = self._listened_at + _NEWS_APART_SECONDS - loop.time()
        if moment > 0:
            loop.call_later(moment, self._awake.set)
        else:
            self._awake.set()

    async def _hear_news(self) -> None:
        """Hear what others have committed, unless a batch of one's own will tell of it."""
        self._heard = False
        self._listened_at = asyncio.get_running_loop().time()
        while not self._gathering:
            began = self._clock.now()
            news = await self._store.news()
            if news is None:
                return
            self._asked = self._asked or frees_work(news)
            await self._take_in((), news, began)

    async def _outlast(self, error: StoreUnavailable) -> None:
        """Refuse everything until the store is back, or the writer is to finish."""
        log.warning("store_gone", reason=str(error))
        unsure = isinstance(error, OutcomeUnknown)
        self._refusal = "the store cannot be used now; try again soon"
        self.presence.leave()
        self._gathering.refuse(StoreUnavailable(self._refusal))
        pause = 0.0
        while True:
            if await self._finishes_within(pause):
                return
            try:
                await self._hear_news()
                await self._audience.back(unsure=unsure)
            except StoreUnavailable as again:
                unsure = unsure or isinstance(again, OutcomeUnknown)
                pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            else:
                break
        log.info("store_back")
        self._refusal = ""
        self.presence.come_back()
        self.wake()

    async def _finishes_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finishing.wait()
        return self._finishing.is_set()

    # Waking.

    def _sleep_until(self, next_wake: int | None) -> None:
        """Wake up when the next change is due by itself; mostly the alarm is set already."""
        if next_wake == self._next_wake and self._alarm is not None:
            return
        self._next_wake = next_wake
        self._stop_alarm()
        if next_wake is not None:
            self._alarm = self._clock.alarm(next_wake, self._ring)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        self.wake()

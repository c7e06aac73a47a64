"""The writer: one task that turns everybody's waiting changes into one commit after another.

While a batch is being committed the next one gathers, so many callers share one disk sync.
Each batch ends with what is due and with one lease for all free slots: submit and lease share
a commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from longshore.core import limits
from longshore.core.changes import (
    Change,
    Grant,
    Lease,
    Submit,
    Wake,
)
from longshore.core.errors import OutcomeUnknown, Overloaded, StoreUnavailable
from longshore.core.reports import Report
from longshore.core.store import Applied, Store
from longshore.engine.clock import Alarm, Clock

log = structlog.get_logger()

#: How often the writer lets others run while changes keep arriving, before it takes a batch.
_GATHER_TURNS = 8

#: A commit costs as much as several calls. So while many call at once the next one waits for
#: them, the longer the more there were, unless enough changes wait to be worth it already.
_APART_SECONDS_PER_CALL = 0.0005
_APART_SECONDS_MOST = 0.008
_WORTHWHILE_CHANGES = 48

Group = tuple[Sequence[Change], "asyncio.Future[list[object]]"]


class Writer:
    """Collects changes and hands them to the store; `applied` hears of every commit."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        grants: Callable[[], tuple[Grant, ...]],
        applied: Callable[[Sequence[Change], Applied], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._grants = grants
        self._applied = applied
        self._groups: deque[Group] = deque()
        self._waiting = 0
        self._awake = asyncio.Event()
        self._worthwhile = asyncio.Event()
        #: When the next batch may begin, on the loop's clock.
        self._not_before = 0.0
        self._next_wake: int | None = 0
        self._alarm: Alarm | None = None
        self._finishing = False
        self._closed = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def write(self, change: Change) -> object:
        """Return the outcome of a change once it is durable, or raise what refused it."""
        (outcome,) = await self.write_all((change,))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def write_all(self, changes: Sequence[Change]) -> asyncio.Future[list[object]]:
        """Return the outcomes of changes; a refusal stands in the place of its outcome.

        Raises `Overloaded` for submits while too many changes wait; all else is taken until
        the writer has ended, then all raise `StoreUnavailable`.
        """
        if self._closed:
            raise StoreUnavailable("the server no longer writes")
        if self._waiting >= limits.WRITER_WAITING and changes and type(changes[0]) is Submit:
            raise Overloaded(self._waiting)
        future: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        if not changes:
            future.set_result([])
            return future
        self._groups.append((changes, future))
        self._waiting += len(changes)
        self._awake.set()
        if self._waiting >= _WORTHWHILE_CHANGES:
            self._worthwhile.set()
        return future

    def wake(self) -> None:
        """Make the writer look for what is due and what can be leased."""
        self._awake.set()

    async def run(self) -> None:
        """Write until told to `finish`, or until the store fails for good."""
        try:
            while self._groups or not self._finishing:
                await self._awake.wait()
                await self._gather()
                self._awake.clear()
                await self._write_taken(self._take())
                if self._groups:
                    self._awake.set()
        except Exception as error:
            log.exception("writer_failed")
            self.failed.set_exception(error)
        finally:
            self._close()

    def finish(self) -> None:
        """Make `run` end as soon as everything that was accepted is written."""
        self._finishing = True
        self._awake.set()
        self._worthwhile.set()

    async def _write_taken(self, groups: list[Group]) -> None:
        """Write groups; whatever happens, none of their callers waits on."""
        try:
            await self._write(groups)
        except StoreUnavailable as error:
            self._refuse(groups, error)
            raise
        except BaseException:
            # The commit may have happened before whatever went wrong.
            self._refuse(groups, OutcomeUnknown())
            raise

    def _close(self) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._refuse(self._groups, StoreUnavailable("the server no longer writes"))
        self._groups.clear()

    async def _gather(self) -> None:
        """Let callers join the batch that are ready now or, while many call, in a moment."""
        moment = self._not_before - asyncio.get_running_loop().time()
        if moment > 0 and not self._worthwhile.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(moment):
                    await self._worthwhile.wait()
        seen = -1
        for _ in range(_GATHER_TURNS):
            if self._waiting == seen or self._waiting >= limits.WRITER_CHANGES:
                return
            seen = self._waiting
            await asyncio.sleep(0)

    def _take(self) -> list[Group]:
        taken: list[Group] = []
        count = size = 0
        while self._groups:
            group = self._groups[0]
            count += len(group[0])
            size += sum(map(_size, group[0]))
            # A group stays whole, so a single large one may be a batch by itself.
            if taken and (count > limits.WRITER_CHANGES or size > limits.WRITER_BYTES):
                break
            taken.append(self._groups.popleft())
            self._waiting -= len(group[0])
        if self._waiting < _WORTHWHILE_CHANGES:
            self._worthwhile.clear()
        if len(taken) > 1:
            apart = min(_APART_SECONDS_PER_CALL * len(taken), _APART_SECONDS_MOST)
            self._not_before = asyncio.get_running_loop().time() + apart
        return taken

    async def _write(self, groups: list[Group]) -> None:
        changes: list[Change] = [change for changes, _ in groups for change in changes]
        asked = len(changes)
        if self._next_wake is not None and self._next_wake <= self._clock.now():
            changes.append(Wake())
        grants = self._grants()
        if grants:
            changes.append(Lease(grants))
        if not changes:
            return
        applied = await self._store.apply(changes)
        self._sleep_until(applied.next_wake)
        await self._tell(changes, applied)
        self._answer(groups, applied.outcomes)
        for change, outcome in zip(changes[asked:], applied.outcomes[asked:], strict=True):
            if isinstance(outcome, BaseException):
                log.error("change_failed", change=type(change).__name__, exc_info=outcome)
        self._look_for_disk_errors(applied.outcomes)

    async def _tell(self, changes: Sequence[Change], applied: Applied) -> None:
        try:
            await self._applied(changes, applied)
        except StoreUnavailable as error:
            # What cannot be read any more has been written all the same.
            raise OutcomeUnknown from error

    def _answer(self, groups: list[Group], outcomes: list[object]) -> None:
        start = 0
        for changes, future in groups:
            end = start + len(changes)
            if not future.done():
                future.set_result(outcomes[start:end])
            start = end

    def _look_for_disk_errors(self, outcomes: list[object]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, StoreUnavailable):
                raise outcome

    def _refuse(self, groups: Sequence[Group] | deque[Group], error: Exception) -> None:
        for _, future in groups:
            if not future.done():
                future.set_exception(error)

    def _sleep_until(self, next_wake: int | None) -> None:
        """Wake up when the next change is due by itself; mostly the alarm is set already."""
        if next_wake == self._next_wake and self._alarm is not None:
            return
        self._next_wake = next_wake
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if next_wake is not None:
            self._alarm = self._clock.alarm(next_wake, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.wake()


def _size(change: Change) -> int:
    if type(change) is Submit:
        return len(change.request) + len(change.plan or b"")
    if type(change) is Report:
        return len(getattr(change.body, "results", b""))
    return 0

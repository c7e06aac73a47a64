"""A live session: one worker whose stream ends in this server.

It knows the leases that its worker holds, and collects what the stream has to tell the worker
next: assignments, stop orders and acknowledgements, many in one message.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from longshore.core.changes import Opened
from longshore.core.errors import LeaseLost, LongshoreError, SessionTakenOver
from longshore.core.events import Event, EventKind
from longshore.core.failures import Code
from longshore.core.operations import State
from longshore.core.reports import (
    Assignment,
    Completed,
    Failed,
    Released,
    Report,
    Reported,
    Stopped,
)
from longshore.engine.clock import Clock
from longshore.engine.conversation import (
    Acknowledgement,
    HeldLease,
    Hello,
    Outgoing,
    Stop,
    StopReason,
    WorkerReport,
)
from longshore.engine.writer import Writer

_FINAL = (Completed, Failed, Released, Stopped)


class LiveSession:
    """One worker's stream in this server."""

    def __init__(self, hello: Hello, opened: Opened, writer: Writer, clock: Clock) -> None:
        self.number = opened.session
        self.epoch = opened.epoch
        self.resumed = opened.resumed
        self.worker = hello.worker
        self.caller = hello.caller
        self.slots = hello.slots
        self.connect_time = clock.now()
        self.last_seen_time = self.connect_time
        self.heard_at = clock.monotonic()
        self.draining = hello.draining
        self._writer = writer
        self._clock = clock
        #: Tokens of the leases by operation, each taking a slot until its report commits.
        self.held: dict[int, int] = {}
        #: Attempts that were ended without the worker, which is still at work on them.
        self._ending: set[HeldLease] = set()
        self._assignments: list[Assignment] = []
        self._stops: list[Stop] = []
        self._acknowledgements: list[Acknowledgement] = []
        self._awake = asyncio.Event()
        self._end = False
        self._taken_over = False
        self._take_up(hello, opened)

    def _take_up(self, hello: Hello, opened: Opened) -> None:
        """Compare the leases that the worker has with those that are its own."""
        claimed = set(hello.leases)
        for assignment in opened.held:
            operation = assignment.operation
            lease = HeldLease(operation.number, operation.token)
            self.held[lease.number] = lease.token
            # A plan may have moved on while the worker was away; a repeat does no harm.
            if lease not in claimed or operation.steps:
                self._assignments.append(assignment)
            if operation.cancel:
                self._order(lease, StopReason.CANCEL_REQUESTED)
            claimed.discard(lease)
        for lease in claimed:
            self._ending.add(lease)
            self._order(lease, StopReason.LEASE_LOST)
        self._awake.set()

    @property
    def accepts(self) -> bool:
        """Whether it may be given work at all."""
        return not (self.draining or self._end or self._taken_over)

    @property
    def free(self) -> int:
        """Slots without a lease; below 0 if the worker came back with fewer slots."""
        return self.slots - len(self.held) - len(self._ending)

    def heard(self) -> None:
        """Note that the worker is alive."""
        self.heard_at = self._clock.monotonic()
        self.last_seen_time = self._clock.now()

    async def take(self, timeout_seconds: float) -> Outgoing:
        """Return what there is to tell, waiting for it; nothing after the timeout: a beat.

        Raises `SessionTakenOver` when a younger stream has the session.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._awake.wait()
        except TimeoutError:
            pass
        self._awake.clear()
        if self._taken_over:
            raise SessionTakenOver(self.worker)
        outgoing = Outgoing(self._assignments, self._stops, self._acknowledgements, self._end)
        self._assignments, self._stops, self._acknowledgements = [], [], []
        return outgoing

    async def report(self, reports: Sequence[WorkerReport]) -> None:
        """Write reports and collect their acknowledgements. Raises `SessionTakenOver`."""
        caller, number, epoch = self.caller, self.number, self.epoch
        changes = [Report(caller, number, epoch, *report) for report in reports]
        outcomes = await self._writer.write_all(changes)
        for report, outcome in zip(reports, outcomes, strict=True):
            if isinstance(outcome, SessionTakenOver):
                raise outcome
            if isinstance(outcome, Exception) and not isinstance(outcome, LongshoreError):
                raise outcome
            error = outcome if isinstance(outcome, LongshoreError) else None
            self._acknowledgements.append(Acknowledgement(*report[:3], error))
        self._awake.set()

    def interrupt(self) -> None:
        """Make a waiting `take` return."""
        self._awake.set()

    def drain(self) -> None:
        """Give the worker no more work: it has said that it is about to leave."""
        self.draining = True

    def tell_to_reconnect(self) -> None:
        self._end = True
        self._awake.set()

    def take_over(self) -> None:
        """End this stream: a younger one has the session."""
        self._taken_over = True
        self._awake.set()

    # What the dispatcher says after a commit.

    def assign(self, assignment: Assignment) -> None:
        operation = assignment.operation
        self.held[operation.number] = operation.token
        self._assignments.append(assignment)
        self._awake.set()

    def settle(self, report: Report, outcome: object) -> None:
        """Free the slot of a lease that is over, or pass on the plan's next action."""
        if isinstance(outcome, Reported):
            if outcome.next is not None:
                self._assignments.append(outcome.next)
                self._awake.set()
            elif outcome.ended:
                self._free(HeldLease(report.number, report.token))
        elif isinstance(outcome, LeaseLost) and isinstance(report.body, _FINAL):
            self._free(HeldLease(report.number, report.token))

    def _free(self, lease: HeldLease) -> None:
        if self.held.get(lease.number) == lease.token:
            del self.held[lease.number]
        elif lease in self._ending:
            self._ending.remove(lease)
            # The batch of this report was leased out without this slot.
            self._writer.wake()

    def look_at(self, event: Event) -> None:
        """Order a stop if an event takes a lease from the worker, or asks it to cancel."""
        token = self.held.get(event.number)
        if token is None or event.revision <= token:
            return
        lease = HeldLease(event.number, token)
        if event.kind == EventKind.CANCEL_REQUESTED:
            self._order(lease, StopReason.CANCEL_REQUESTED, _message_of(event))
        elif event.kind == EventKind.STATE_CHANGED and event.state != State.RUNNING:
            del self.held[event.number]
            self._ending.add(lease)
            # What the worker itself has reported was settled before.
            timed_out = _error_of(event).get("code") == Code.DEADLINE_EXCEEDED
            reason = StopReason.TIMED_OUT if timed_out else StopReason.LEASE_LOST
            self._order(lease, reason, _message_of(event))

    def _order(self, lease: HeldLease, reason: StopReason, message: str = "") -> None:
        self._stops.append(Stop(lease.number, lease.token, reason, message))
        self._awake.set()


def _told(event: Event) -> dict[str, Any]:
    return json.loads(event.detail) if event.detail else {}


def _error_of(event: Event) -> dict[str, Any]:
    return _told(event).get("error") or {}


def _message_of(event: Event) -> str:
    """Return why an attempt is to end, as it was said with a cancel, or by its error."""
    return str(_told(event).get("message") or _error_of(event).get("message") or "")

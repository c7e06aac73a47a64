"""The session: leases, the reports about them, and what the server says. No input or output.

Everything here happens on the worker's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, Protocol

import structlog

from longshore.v1.operation_pb2 import LogEntry, LogKind, Progress
from longshore.v1.worker_service_pb2 import (
    Acknowledgement,
    HeldLease,
    Hello,
    Report,
    Welcome,
    WorkAssignment,
    WorkRequest,
    WorkResponse,
)
from longshore.worker import words
from longshore.worker.failures import Failure
from longshore.worker.lease import ORDERED, Lease, Stop, released, stopped, verdict
from longshore.worker.results import Outcome
from longshore.worker.words import LOGS_PER_ATTEMPT, Word

_MESSAGE_BYTES: Final = 1024 * 1024
_REMEMBERED: Final = 4_096

_log = structlog.get_logger(__name__)


class Work(Protocol):
    """What runs the actions."""

    def begin(self, lease: Lease, assignment: WorkAssignment) -> None: ...

    def stop(self, lease: Lease) -> None:
        """End the work of a lease whose `stop` has been set, or made graver."""
        ...


class Session:
    """One worker's standing with the servers, across reconnects."""

    def __init__(self, hello: Hello, work: Work, welcomed: asyncio.Event | None = None) -> None:
        self._hello = hello
        self._work = work
        self._welcomed = welcomed or asyncio.Event()
        self.id: str = ""  #: A secret; empty before the first welcome.
        self.beat = 5.0  #: Seconds that either side is silent at most.
        self.time_to_live = 30.0  #: Seconds that the session lives without a stream.
        self.connected = False  #: Whether a server has heard the hello.
        self.draining = False
        self.changed = asyncio.Event()  #: There is something to send.
        self.settled = asyncio.Event()  #: No lease is held.
        self.settled.set()
        self._leases: dict[int, Lease] = {}
        self._outgoing: list[Report] = []
        # Leases whose last report is settled: a plan's next step may follow, or a late order.
        self._past: dict[int, Lease] = {}
        self._older: dict[int, Lease] = {}

    # What is sent.

    def hello(self) -> WorkRequest:
        """Return the first message of a stream; what is unsettled will be sent again."""
        self._outgoing = [one for lease in self._leases.values() for one in lease.unsettled]
        if self._outgoing or self.draining:
            self.changed.set()
        held = [
            HeldLease(number=one.number, lease_token=one.token) for one in self._leases.values()
        ]
        request = WorkRequest(hello=self._hello, draining=self.draining)
        request.hello.session_id = self.id
        request.hello.leases.extend(held if self.id else [])
        return request

    def take(self) -> Iterator[WorkRequest]:
        """Yield what has gathered, in messages of a modest size."""
        while self._outgoing:
            reports, self._outgoing = self._outgoing, []
            size, first = 0, 0
            for index, report in enumerate(reports):
                size += report.ByteSize()
                if size > _MESSAGE_BYTES and index > first:
                    yield WorkRequest(reports=reports[first:index])
                    size, first = report.ByteSize(), index
            yield WorkRequest(reports=reports[first:])

    def drain(self) -> None:
        """Take no more work from now on."""
        self.draining = True
        self.changed.set()

    # What the work says.

    def tell(self, lease: Lease, word: Word) -> None:
        """Report a word of the running step; words after its end are dropped."""
        if lease.over or lease.stop is Stop.LOST:
            return
        if isinstance(word, Progress):
            report = lease.report(progress=word)
        elif isinstance(word, LogEntry):
            lease.logs += 1
            if lease.logs > LOGS_PER_ATTEMPT + 1:  # the one too many makes the server say so
                return
            report = lease.report(log=word)
        else:
            report = lease.report(property=word)
        self._send(report)

    def finish(self, lease: Lease, outcome: Outcome) -> None:
        """Report how the running step ended."""
        if not self._holds(lease):
            return
        if isinstance(outcome, Failure) and outcome.trace and lease.stop is None:
            self.tell(lease, words.log(LogKind.LOG_KIND_ERROR, outcome.trace))
        lease.over = True
        self._send(lease.report(**verdict(lease.stop, outcome)))

    def release(self, lease: Lease) -> None:
        """Hand back a step that was not started."""
        if self._holds(lease):
            lease.over = True
            self._send(lease.report(**released()))

    def _holds(self, lease: Lease) -> bool:
        return not lease.over and self._leases.get(lease.token) is lease

    def _send(self, report: Report) -> None:
        self._outgoing.append(report)
        self.changed.set()

    # What the server says.

    def welcome(self, welcome: Welcome) -> None:
        """Take note of the session that the server knows this worker by."""
        if self.id and welcome.session_id != self.id:
            self.forget()
        self.id = welcome.session_id
        self.beat = welcome.beat_interval.ToMicroseconds() / 1e6
        self.time_to_live = welcome.time_to_live.ToMicroseconds() / 1e6
        self._welcomed.set()

    def receive(self, response: WorkResponse) -> None:
        """Follow everything that a message says."""
        for acknowledgement in response.acknowledgements:
            self._settle(acknowledgement)
        for assignment in response.assignments:
            self._assign(assignment)
        for order in response.stops:
            self._stop(order.number, order.lease_token, ORDERED.get(order.reason, Stop.LOST))
        if not self._leases:
            self.settled.set()
            if self.draining:
                self.changed.set()

    def forget(self) -> None:
        """Give up the session and all its leases: the work under them counts no more."""
        leases, self._leases = self._leases, {}
        for lease in leases.values():
            lease.stop = Stop.LOST
            self._work.stop(lease)
        self._outgoing.clear()
        self._past, self._older = {}, {}
        self.id = ""
        self.settled.set()

    def lose(self, lease: Lease) -> None:
        """End the work of a lease of which a server said that it is lost."""
        self._order(lease, Stop.LOST)

    def leave(self) -> None:
        """End all work: the worker is about to leave."""
        for lease in list(self._leases.values()):
            self._order(lease, Stop.LEAVING)

    def _settle(self, acknowledgement: Acknowledgement) -> None:
        lease = self._leases.get(acknowledgement.lease_token)
        if lease is None:
            return
        lease.settle(acknowledgement.sequence)
        if acknowledgement.HasField("error"):
            error = acknowledgement.error
            _log.info("report_refused", number=lease.number, error=error.message)
            self._order(lease, Stop.LOST)
        if lease.over and not lease.unsettled:
            del self._leases[lease.token]
            self._remember(lease)

    def _remember(self, lease: Lease) -> None:
        if len(self._past) >= _REMEMBERED:
            self._older, self._past = self._past, {}
        self._past[lease.token] = lease

    def _known(self, token: int) -> Lease | None:
        return self._leases.get(token) or self._past.get(token) or self._older.get(token)

    def _assign(self, assignment: WorkAssignment) -> None:
        """Begin a step, unless it is a repeat of one that was begun before."""
        token = assignment.lease_token
        lease = self._known(token) or Lease(assignment.number, token)
        if assignment.step <= lease.step:
            return
        lease.step = assignment.step
        lease.over = False
        self._leases[token] = lease
        self.settled.clear()
        if self.draining:
            self.release(lease)
        elif lease.stop is None:
            self._work.begin(lease, assignment)
        else:  # ordered while the step before was on its way
            lease.over = True
            self._send(lease.report(**stopped()))

    def _stop(self, number: int, token: int, stop: Stop) -> None:
        lease = self._known(token)
        if lease is not None:
            self._order(lease, stop)
            return
        # The assignment never arrived. The server waits to hear that its slot is free.
        lease = self._leases[token] = Lease(number, token)
        self.settled.clear()
        self._send(lease.report(**stopped()))

    def _order(self, lease: Lease, stop: Stop) -> None:
        """End a lease's work. Of several orders the gravest holds."""
        if not lease.over and stop > (lease.stop or 0):
            lease.stop = stop
            self._work.stop(lease)

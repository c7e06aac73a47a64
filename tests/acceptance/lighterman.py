"""A worker that speaks its streams by hand, one after the other, and notes every lease."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Any, Final

import grpc.aio
from grpc import StatusCode

from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.worker_service_pb2 import (
    Acknowledgement,
    HeldLease,
    Hello,
    Report,
    StopOrder,
    WorkAssignment,
    WorkRequest,
    WorkResponse,
)
from tests.acceptance.histories import Assigned, Settled
from tests.acceptance.office import Office, reason_of

ACTIONS: Final = ("toil", "stumble", "fail")
SERVICE: Final = "port"

#: What somebody is told whom no server could serve.
PASSING: Final = (
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.CANCELLED,  # Said by a server that is killed or stops.
)

#: What gRPC says itself of a stream that ended while something was being written.
_NOT_WRITTEN: Final = "Internal error from Core"

_LATER_SECONDS: Final = 0.05  #: Until the next stream.


class Lighterman:
    """One session, taken up again on the next server whenever its stream ends."""

    def __init__(self, name: str, offices: Sequence[Office], slots: int = 4) -> None:
        self.assignments: list[Assigned] = []
        self.settlements: list[Settled] = []
        self._name = name
        self._slots = slots
        self._offices = itertools.cycle(offices)
        self._session_id = ""
        self._beat_seconds = 5.0
        #: By token, with the last report on each that was not acknowledged yet.
        self._leases: dict[int, tuple[WorkAssignment, Report | None]] = {}
        self._work: dict[int, asyncio.Task[None]] = {}
        self._outgoing: asyncio.Queue[Report] = asyncio.Queue()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            for office in self._offices:
                await self._converse(office)
                await asyncio.sleep(_LATER_SECONDS)
        finally:
            self._forget()

    async def _converse(self, office: Office) -> None:
        """Speak with a server until the stream ends, for whatever reason."""
        stream = office.workers.Work()
        speaking: asyncio.Task[None] | None = None
        try:
            await stream.write(WorkRequest(hello=self._hello()))
            speaking = asyncio.create_task(self._speak(stream))
            while isinstance(message := await self._read(stream), WorkResponse):
                self._receive(message)
                if message.end:
                    return
        except grpc.aio.AioRpcError as error:
            if reason_of(error) == "SESSION_TAKEN_OVER":
                self._forget()
            elif error.code() not in PASSING and error.details() != _NOT_WRITTEN:
                raise
        except TimeoutError:
            pass
        finally:
            if speaking is not None:
                speaking.cancel()
                await asyncio.wait({speaking})
            stream.cancel()

    def _hello(self) -> Hello:
        actions = [ServiceAction(slug=slug) for slug in ACTIONS]
        held = [
            HeldLease(number=one.number, lease_token=one.lease_token)
            for one, _ in self._leases.values()
        ]
        self._outgoing = asyncio.Queue()
        for _, report in self._leases.values():
            if report is not None:
                self._outgoing.put_nowait(report)
        return Hello(
            worker=self._name,
            services=[Service(slug=SERVICE, actions=actions)],
            slots=self._slots,
            session_id=self._session_id,
            leases=held if self._session_id else [],
        )

    async def _read(self, stream: Any) -> object:
        async with asyncio.timeout(3 * self._beat_seconds):
            return await stream.read()

    async def _speak(self, stream: Any) -> None:
        """Send what there is to report, and a beat when there is nothing."""
        while True:
            reports: list[Report] = []
            try:
                async with asyncio.timeout(self._beat_seconds / 2):
                    reports.append(await self._outgoing.get())
            except TimeoutError:
                pass
            try:
                await stream.write(WorkRequest(reports=reports))
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # Whoever reads it learns why.

    def _receive(self, message: WorkResponse) -> None:
        if message.HasField("welcome"):
            if message.welcome.session_id != self._session_id:
                self._forget()
            self._session_id = message.welcome.session_id
            self._beat_seconds = message.welcome.beat_interval.ToMilliseconds() / 1_000
        for assignment in message.assignments:
            self._begin(assignment)
        for stop in message.stops:
            self._stop(stop)
        for acknowledgement in message.acknowledgements:
            self._settle(acknowledgement)

    def _forget(self) -> None:
        """Give up what was leased to a session that is lost."""
        self._session_id = ""
        self._leases.clear()
        for task in self._work.values():
            task.cancel()
        self._work.clear()

    def _begin(self, one: WorkAssignment) -> None:
        token = one.lease_token
        self.assignments.append(
            Assigned(self._name, one.operation_id, one.number, token, one.attempt)
        )
        if token not in self._leases:
            self._leases[token] = (one, None)
            self._work[token] = asyncio.create_task(self._do(one))

    async def _do(self, one: WorkAssignment) -> None:
        await asyncio.sleep(random.uniform(0.005, 0.03))
        report = _report(one.number, one.lease_token)
        if one.action == "fail" or (one.action == "stumble" and one.attempt == 1):
            report.failed.error.code = StatusCode.ABORTED.value[0]
        else:
            report.completed.SetInParent()
        self._say(report)

    def _stop(self, stop: StopOrder) -> None:
        """Leave off, unless it is done already."""
        kept = self._leases.get(stop.lease_token)
        if kept is None or kept[1] is None:
            work = self._work.pop(stop.lease_token, None)
            if work is not None:
                work.cancel()
            report = _report(stop.number, stop.lease_token)
            report.stopped.SetInParent()
            self._say(report)

    def _say(self, report: Report) -> None:
        kept = self._leases.get(report.lease_token)
        if kept is not None:
            self._leases[report.lease_token] = (kept[0], report)
        self._outgoing.put_nowait(report)

    def _settle(self, one: Acknowledgement) -> None:
        _, report = self._leases.pop(one.lease_token, (None, None))
        self._work.pop(one.lease_token, None)
        if report is not None:
            done = report.HasField("completed")
            refusal = one.error.message if one.HasField("error") else ""
            settled = Settled(self._name, one.number, one.lease_token, done, refusal)
            self.settlements.append(settled)


def _report(number: int, token: int) -> Report:
    return Report(number=number, lease_token=token, sequence=1)

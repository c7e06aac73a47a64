"""A worker that speaks its stream by hand, so that a test decides what it says and when."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.worker_service_pb2 import (
    Acknowledgement,
    HeldLease,
    Hello,
    Report,
    StopOrder,
    Welcome,
    WorkAssignment,
    WorkRequest,
    WorkResponse,
)
from tests.acceptance.office import Office
from tests.acceptance.waiting import within


class Stevedore:
    """One stream of a worker that offers the action `lift`."""

    def __init__(
        self,
        office: Office,
        *,
        session_id: str = "",
        leases: tuple[WorkAssignment, ...] = (),
        slots: int = 1,
        draining: bool = False,
    ) -> None:
        held = [
            HeldLease(number=lease.number, lease_token=lease.lease_token) for lease in leases
        ]
        hello = Hello(
            worker="stevedore",
            services=[Service(slug="quay", actions=[ServiceAction(slug="lift")])],
            slots=slots,
            session_id=session_id,
            leases=held,
        )
        self._first = WorkRequest(hello=hello, draining=draining)
        self._office = office
        self.welcome = Welcome()
        self.assignments: list[WorkAssignment] = []
        self.stops: list[StopOrder] = []
        self.acknowledgements: list[Acknowledgement] = []
        self.ended = False

    async def __aenter__(self) -> Self:
        self.stream = self._office.workers.Work()
        await self.stream.write(self._first)
        await self.listen_until(lambda: bool(self.welcome.session_id), "a welcome")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stream.cancel()

    async def listen(self) -> None:
        """Take in the next message."""
        message = await self.stream.read()
        if not isinstance(message, WorkResponse):
            self.ended = True
            return
        if message.HasField("welcome"):
            self.welcome.CopyFrom(message.welcome)
        self.assignments += message.assignments
        self.stops += message.stops
        self.acknowledgements += message.acknowledgements

    async def listen_until(self, satisfied: Callable[[], bool], what: str) -> None:
        async def listening() -> None:
            while not satisfied():
                assert not self.ended, f"the stream ended before {what}"
                await self.listen()

        await within(listening(), what)

    async def assigned(self, count: int = 1) -> WorkAssignment:
        """Wait for so many assignments and return the last of them."""
        await self.listen_until(lambda: len(self.assignments) >= count, "an assignment")
        return self.assignments[-1]

    async def drain(self) -> None:
        """Say that no more work is wanted."""
        await self.stream.write(WorkRequest(draining=True))

    async def report(self, report: Report) -> Acknowledgement:
        """Send a report and wait for its acknowledgement."""
        before = len(self.acknowledgements)
        await self.stream.write(WorkRequest(reports=[report]))
        await self.listen_until(
            lambda: len(self.acknowledgements) > before, "an acknowledgement"
        )
        return self.acknowledgements[-1]


def completed(lease: WorkAssignment, sequence: int = 1) -> Report:
    report = Report(number=lease.number, lease_token=lease.lease_token, sequence=sequence)
    report.completed.SetInParent()
    return report


def stopped(number: int, lease_token: int, sequence: int = 1) -> Report:
    report = Report(number=number, lease_token=lease_token, sequence=sequence)
    report.stopped.SetInParent()
    return report

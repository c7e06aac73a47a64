"""A session keeps its leases in order, whatever the server says and how often."""

from __future__ import annotations

import pytest

from longshore.v1.operation_pb2 import PropertySet
from longshore.v1.worker_service_pb2 import (
    HeldLease,
    Hello,
    Report,
    StopOrder,
    StopReason,
    Welcome,
    WorkAssignment,
    WorkRequest,
    WorkResponse,
)
from longshore.worker import words
from longshore.worker.lease import Lease
from longshore.worker.session import Session
from tests.tools.peer import aborted, acknowledgement, assignment

MIB = 1024 * 1024


class Work:
    """Work that the test ends by hand."""

    def __init__(self) -> None:
        self.begun: list[Lease] = []
        self.stopped: list[Lease] = []

    def begin(self, lease: Lease, assignment: WorkAssignment) -> None:
        self.begun.append(lease)

    def stop(self, lease: Lease) -> None:
        self.stopped.append(lease)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def session(work: Work) -> Session:
    session = Session(Hello(worker="me"), work)
    session.hello()
    session.welcome(Welcome(session_id="s-1", epoch=1))
    return session


def sent(session: Session) -> list[Report]:
    return [report for request in session.take() for report in request.reports]


def assign(session: Session, *tokens: int, step: int = 0) -> None:
    assignments = [assignment("act", token=token, step=step) for token in tokens]
    session.receive(WorkResponse(assignments=assignments))


def test_a_hello_names_the_session_and_the_leases_that_are_held(session: Session) -> None:
    assign(session, 100, 101)
    hello = session.hello().hello
    assert (hello.worker, hello.session_id) == ("me", "s-1")
    assert list(hello.leases) == [
        HeldLease(number=1, lease_token=100),
        HeldLease(number=2, lease_token=101),
    ]


def test_a_lease_is_held_until_its_last_report_is_settled(session: Session, work: Work) -> None:
    assign(session, 100)
    session.finish(work.begun[0], b"")
    [report] = sent(session)
    assert not session.settled.is_set()
    assert len(session.hello().hello.leases) == 1
    session.receive(WorkResponse(acknowledgements=[acknowledgement(report)]))
    assert session.settled.is_set()
    assert not session.hello().hello.leases


def test_an_acknowledgement_settles_all_reports_up_to_it(session: Session, work: Work) -> None:
    assign(session, 100)
    for number in range(5):
        session.tell(work.begun[0], words.property_set("number", str(number)))
    reports = sent(session)
    assert [report.sequence for report in reports] == [1, 2, 3, 4, 5]
    session.receive(WorkResponse(acknowledgements=[acknowledgement(reports[2])]))
    session.hello()
    assert sent(session) == reports[3:]


def test_reports_are_packed_into_messages_of_a_mebibyte(session: Session, work: Work) -> None:
    assign(session, *range(100, 110))
    for lease in work.begun:
        session.finish(lease, bytes(MIB // 2 - 1_000))
    requests = list(session.take())
    assert [len(request.reports) for request in requests] == [2, 2, 2, 2, 2]
    assert all(request.ByteSize() <= MIB for request in requests)


def test_a_report_larger_than_that_has_a_message_of_its_own(
    session: Session, work: Work
) -> None:
    assign(session, 100, 101, 102)
    for lease, size in zip(work.begun, (10, MIB, 10), strict=True):
        session.finish(lease, bytes(size))
    assert [len(request.reports) for request in session.take()] == [1, 1, 1]


def test_a_repeated_assignment_is_begun_once(session: Session, work: Work) -> None:
    assign(session, 100, 100)
    assign(session, 100)
    session.finish(work.begun[0], b"")
    assign(session, 100)
    [report] = sent(session)
    session.receive(WorkResponse(acknowledgements=[acknowledgement(report)]))
    assign(session, 100)
    assert len(work.begun) == 1
    assert session.settled.is_set()


def test_a_next_step_goes_on_counting_however_late_it_comes(
    session: Session, work: Work
) -> None:
    assign(session, 100)
    session.finish(work.begun[0], b"")
    [report] = sent(session)
    session.receive(WorkResponse(acknowledgements=[acknowledgement(report)]))
    for token in range(1_000, 5_000):  # much else in between
        assign(session, token)
        session.finish(work.begun[-1], b"")
        [report] = sent(session)
        session.receive(WorkResponse(acknowledgements=[acknowledgement(report)]))
    assign(session, 100, step=1)
    session.finish(work.begun[-1], b"")
    assert sent(session)[0].sequence == 2


def test_words_after_the_end_are_dropped(session: Session, work: Work) -> None:
    assign(session, 100)
    [lease] = work.begun
    session.finish(lease, b"")
    session.tell(lease, PropertySet(name="late"))
    session.finish(lease, b"")
    assert len(sent(session)) == 1


def stop(session: Session, reason: StopReason.ValueType) -> None:
    order = StopOrder(number=1, lease_token=100, reason=reason)
    session.receive(WorkResponse(stops=[order]))


def test_the_gravest_order_holds(session: Session, work: Work) -> None:
    assign(session, 100)
    [lease] = work.begun
    stop(session, StopReason.STOP_REASON_LEASE_LOST)
    stop(session, StopReason.STOP_REASON_CANCEL_REQUESTED)
    session.finish(lease, b"")
    assert [report.WhichOneof("detail") for report in sent(session)] == ["stopped"]
    assert work.stopped == [lease]


def test_an_order_for_what_is_over_is_ignored(session: Session, work: Work) -> None:
    assign(session, 100)
    session.finish(work.begun[0], b"")
    stop(session, StopReason.STOP_REASON_LEASE_LOST)
    assert len(sent(session)) == 1
    assert not work.stopped


def test_a_step_after_a_cancel_is_not_begun(session: Session, work: Work) -> None:
    assign(session, 100)
    stop(session, StopReason.STOP_REASON_CANCEL_REQUESTED)
    session.finish(work.begun[0], b"")
    assign(session, 100, step=1)
    assert len(work.begun) == 1
    assert [report.WhichOneof("detail") for report in sent(session)] == ["completed", "stopped"]


def test_a_refused_last_report_settles_the_lease(session: Session, work: Work) -> None:
    assign(session, 100)
    session.finish(work.begun[0], b"")
    refused = acknowledgement(sent(session)[0], aborted("LEASE_LOST"))
    session.receive(WorkResponse(acknowledgements=[refused]))
    assert session.settled.is_set()
    assert not work.stopped


def test_a_forgotten_lease_has_no_more_to_say(session: Session, work: Work) -> None:
    assign(session, 100)
    [lease] = work.begun
    session.forget()
    assert work.stopped == [lease]
    session.tell(lease, PropertySet(name="late"))
    session.finish(lease, b"")
    session.release(lease)
    assert sent(session) == []
    assert session.hello() == WorkRequest(hello=Hello(worker="me"))


def test_a_draining_session_hands_back_what_still_comes(session: Session, work: Work) -> None:
    session.drain()
    assert session.changed.is_set()
    assign(session, 100)
    assert not work.begun
    assert [report.WhichOneof("detail") for report in sent(session)] == ["released"]
    assert session.hello().draining


def test_an_acknowledgement_of_an_unknown_lease_is_ignored(session: Session) -> None:
    report = Report(number=9, lease_token=999, sequence=1)
    session.receive(WorkResponse(acknowledgements=[acknowledgement(report)]))
    assert sent(session) == []

from __future__ import annotations

from typing import Any

from longshore.core.changes import Mode
from longshore.core.explain import (
    MOST_AHEAD,
    LiveWorker,
    Reason,
    ReasonKind,
    Situation,
    explain,
)
from longshore.core.lanes import Lane
from longshore.core.operations import State
from longshore.v1.operation_service_pb2 import WaitReasonKind
from tests.unit.test_messages import operation

LANE = Lane(1, "default", "day", ("archive/digest", "noop"))
NOW = 1_750_000_000_000


def worker(**fields: Any) -> LiveWorker:
    return LiveWorker("w", ("day",), LANE.actions, 2, 1, connected=True)._replace(**fields)


def reasons(
    *workers: LiveWorker, mode: Mode = Mode.ACTIVE, ahead: int = 0, **row: Any
) -> list[Reason]:
    return explain(Situation(operation(**row), LANE, mode, workers, ahead, NOW))


def kinds(found: list[Reason]) -> list[ReasonKind]:
    return [one.kind for one in found]


def test_the_kinds_are_those_of_the_contract() -> None:
    for kind in ReasonKind:
        assert WaitReasonKind.Name(int(kind)) == f"WAIT_REASON_KIND_{kind.name}"  # type: ignore[arg-type]


def test_without_a_worker_on_the_queue_nothing_starts() -> None:
    for absent in ((), (worker(queues=("night",)),), (worker(connected=False),)):
        (reason,) = reasons(*absent)
        assert reason.kind == ReasonKind.NO_WORKER
        assert reason.facts == {"queue": "day", "actions": "archive/digest,noop"}


def test_the_action_that_nobody_offers_is_named() -> None:
    (reason,) = reasons(worker(offers=("noop",)))
    assert reason.facts["actions"] == "archive/digest"
    assert "'archive/digest'" in reason.message


def test_the_workers_without_a_free_slot_are_named() -> None:
    (reason,) = reasons(worker(free=0), worker(name="v", free=0))
    assert reason.kind == ReasonKind.NO_FREE_SLOT
    assert reason.facts == {"queue": "day", "workers": "w,v", "slots": "4"}


def test_everything_that_keeps_it_waiting_is_told_the_weightiest_first() -> None:
    found = reasons(mode=Mode.SUSPENDED, wake_time=NOW + 1, ahead=3)
    assert kinds(found) == [
        ReasonKind.SERVER_SUSPENDED,
        ReasonKind.NOT_BEFORE,
        ReasonKind.NO_WORKER,
    ]


def test_a_retry_says_which_attempt_failed() -> None:
    found = reasons(worker(), wake_time=NOW + 1_000, attempt=1)
    assert "attempt 1 of 3 failed" in found[0].message
    assert found[0].facts["attempt"] == "1"


def test_others_before_it_are_counted() -> None:
    (_, behind) = reasons(worker(free=0), ahead=4)
    assert (behind.kind, behind.facts["count"]) == (ReasonKind.BEHIND_OTHERS, "4")
    (_, many) = reasons(worker(free=0), ahead=MOST_AHEAD + 1)
    assert "more than" in many.message


def test_there_is_always_a_reason() -> None:
    (reason,) = reasons(worker())
    assert (reason.kind, reason.facts) == (ReasonKind.BEHIND_OTHERS, {"count": "0"})


def test_what_runs_or_has_ended_says_so() -> None:
    running = reasons(state=State.RUNNING, worker="w", start_time=NOW, attempt=2)
    assert kinds(running) == [ReasonKind.RUNNING]
    assert running[0].facts["worker"] == "w"
    ended = reasons(state=State.CANCELED, end_time=NOW)
    assert kinds(ended) == [ReasonKind.ENDED]
    assert ended[0].facts == {"state": "CANCELED", "end_time": "2025-06-15T15:06:40.000Z"}

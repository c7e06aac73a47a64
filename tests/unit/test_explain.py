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
from longshore.core.ids import text_of
from longshore.core.installation import Queue
from longshore.core.lanes import Lane
from longshore.core.operations import PARKED, State
from longshore.core.policies import Policy
from longshore.core.store import Standing
from longshore.v1.operation_service_pb2 import WaitReasonKind
from tests.unit.test_messages import operation

LANE = Lane(1, "default", "day", ("archive/digest", "noop"))
NOW = 1_750_000_000_000


def worker(**fields: Any) -> LiveWorker:
    return LiveWorker("w", ("day",), LANE.actions, 2, 1, connected=True)._replace(**fields)


ALONE = Standing(0, 0, (), 0, ())


def reasons(
    *workers: LiveWorker,
    mode: Mode = Mode.ACTIVE,
    lane: Lane = LANE,
    queue: Queue = Queue(),  # noqa: B008  It is frozen.
    standing: Standing = ALONE,
    **row: Any,
) -> list[Reason]:
    return explain(Situation(operation(**row), lane, mode, workers, queue, standing, NOW))


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
    found = reasons(mode=Mode.SUSPENDED, wake_time=NOW + 1, standing=ALONE._replace(ahead=3))
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
    (_, behind) = reasons(worker(free=0), standing=ALONE._replace(ahead=4))
    assert (behind.kind, behind.facts["count"]) == (ReasonKind.BEHIND_OTHERS, "4")
    (_, many) = reasons(worker(free=0), standing=ALONE._replace(ahead=MOST_AHEAD + 1))
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


def test_a_paused_queue_says_who_paused_it_and_when() -> None:
    (reason,) = reasons(worker(), queue=Queue("ada", NOW))
    assert reason.kind == ReasonKind.QUEUE_PAUSED
    assert reason.message == "queue 'day' was paused by ada at 2025-06-15T15:06:40.000Z"
    assert reason.facts == {
        "queue": "day",
        "paused_by": "ada",
        "pause_time": "2025-06-15T15:06:40.000Z",
    }


HOLDERS = tuple(bytes([number]) * 16 for number in range(1, 13))


def test_a_limit_names_who_holds_it_the_first_ten() -> None:
    full = ALONE._replace(queue_running=12, queue_holders=HOLDERS)
    (reason,) = reasons(worker(), queue=Queue(limit=12), standing=full)
    assert reason.kind == ReasonKind.CONCURRENCY_LIMIT
    assert (reason.facts["queue"], reason.facts["limit"]) == ("day", "12")
    assert reason.facts["held_by"] == ",".join(text_of(one) for one in HOLDERS[:10])
    assert reason.facts["held_by"] in reason.message


def test_a_limit_that_others_hold_names_nobody() -> None:
    full = ALONE._replace(queue_running=1)
    (reason,) = reasons(worker(), queue=Queue(limit=1), standing=full)
    assert "held by others" in reason.message
    assert reason.facts["held_by"] == ""


def test_a_limit_with_room_is_no_reason() -> None:
    (reason,) = reasons(
        worker(), queue=Queue(limit=2), standing=ALONE._replace(queue_running=1)
    )
    assert reason.kind == ReasonKind.BEHIND_OTHERS


def test_rule_sets_have_their_limit_whatever_their_queue_says() -> None:
    lane = LANE._replace(queue="rulesets")
    full = ALONE._replace(queue_running=1, queue_holders=HOLDERS[:1])
    (reason,) = reasons(worker(queues=("rulesets",)), lane=lane, standing=full)
    assert reason.kind == ReasonKind.CONCURRENCY_LIMIT
    assert (reason.facts["queue"], reason.facts["limit"]) == ("rulesets", "1")


def test_a_concurrency_key_names_who_holds_it() -> None:
    keyed: dict[str, Any] = {
        "concurrency_key": "printer",
        "policy": Policy(concurrency_limit=1).encode(),
        "wake_time": PARKED,
    }
    held = ALONE._replace(key_running=1, key_holders=HOLDERS[:1])
    (reason,) = reasons(worker(), standing=held, **keyed)
    assert reason.kind == ReasonKind.CONCURRENCY_KEY
    assert reason.facts == {
        "concurrency_key": "printer",
        "limit": "1",
        "held_by": text_of(HOLDERS[0]),
    }


def test_what_waits_for_its_key_is_not_said_to_wait_for_a_time() -> None:
    (reason,) = reasons(
        worker(),
        concurrency_key="printer",
        policy=Policy(concurrency_limit=2).encode(),
        wake_time=PARKED,
    )
    assert reason.kind == ReasonKind.BEHIND_OTHERS

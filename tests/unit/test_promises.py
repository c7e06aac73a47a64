"""The judges of the fault tests see every kind of broken promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from longshore.v1.operation_pb2 import Event, State
from tests.acceptance.histories import (
    Assigned,
    Canceled,
    Executed,
    History,
    Kept,
    Settled,
    Span,
    Submitted,
    Watched,
    sighting,
)
from tests.acceptance.promises import (
    PROMISES,
    check_assignments,
    check_attempts,
    check_cancels,
    check_ends,
    check_everything_ended,
    check_executions,
    check_history,
    check_leases,
    check_order,
    check_repeats,
    check_request_ids,
    check_revisions,
    check_settlements,
    check_starts,
    check_states,
    check_submits,
    check_times,
    check_watches,
)

QUEUED, RUNNING = State.STATE_QUEUED, State.STATE_RUNNING
SUCCEEDED, FAILED, CANCELED = (
    State.STATE_SUCCEEDED,
    State.STATE_FAILED,
    State.STATE_CANCELED,
)

NOON = 1_750_000_000_000  #: Milliseconds since 1970.


def dated(event: Event, time: int | None = None) -> Event:
    event.time.FromMilliseconds(NOON + event.revision if time is None else time)
    return event


def submitted(revision: int, operation_id: str) -> Event:
    event = Event(revision=revision, operation_id=operation_id, state=QUEUED)
    event.submitted.SetInParent()
    return dated(event)


def cancel_requested(revision: int, operation_id: str, state: State.ValueType) -> Event:
    event = Event(revision=revision, operation_id=operation_id, state=state)
    event.cancel_requested.SetInParent()
    return dated(event)


def changed(
    revision: int,
    operation_id: str,
    before: State.ValueType,
    after: State.ValueType,
    worker: str = "",
    attempt: int = 0,
) -> Event:
    event = Event(revision=revision, operation_id=operation_id, state=after)
    event.state_changed.from_state, event.state_changed.to_state = before, after
    event.state_changed.worker, event.state_changed.attempt = worker, attempt
    return dated(event)


#: Two operations: `a` is done at the second attempt, `b` is canceled while it runs.
LOG = [
    submitted(1, "a"),
    submitted(3, "b"),
    changed(4, "a", QUEUED, RUNNING, "north", 1),
    changed(5, "b", QUEUED, RUNNING, "south", 1),
    changed(6, "a", RUNNING, QUEUED, "north", 1),
    changed(7, "a", QUEUED, RUNNING, "south", 2),
    cancel_requested(8, "b", RUNNING),
    changed(9, "a", RUNNING, SUCCEEDED, "south", 2),
    changed(10, "b", RUNNING, CANCELED, "south", 1),
]
A = Submitted("key-a", "a", 1, True, b"a")
B = Submitted("key-b", "b", 2, True, b"b")
GOOD = History(
    submits=[A, B, B._replace(created=False)],
    cancels=[Canceled("b")],
    assignments=[
        Assigned("north", "a", 1, 4, 1),
        Assigned("south", "b", 2, 5, 1),
        Assigned("south", "a", 1, 7, 2),
        Assigned("south", "a", 1, 7, 2),
    ],
    settlements=[
        Settled("north", 1, 4, completed=True, refusal="lost"),
        Settled("south", 1, 7, completed=True, refusal=""),
        Settled("south", 2, 5, completed=False, refusal=""),
    ],
    executions=[Executed("south", "a", 2)],
    watches=[
        Watched("all", "", [sighting(event) for event in LOG]),
        Watched("red", "red", [sighting(one) for one in LOG if one.operation_id == "a"]),
    ],
    log=LOG,
    operations=[
        Kept("a", 1, "key-a", "red", SUCCEEDED, 2, NOON),
        Kept("b", 2, "key-b", "green", CANCELED, 1, 0),
    ],
    revisions=[(revision, revision != 2) for revision in range(1, 11)],
    span=Span(NOON, NOON + 20),
)


def test_a_history_that_keeps_every_promise_is_accepted() -> None:
    check_history(GOOD)


def logged(*events: Event, without: tuple[int, ...] = ()) -> Callable[[], History]:
    """Return the good history with other events, which the disk and all watchers have too."""

    def make() -> History:
        news = {event.revision: event for event in events}
        kept = {event.revision: event for event in LOG if event.revision not in without}
        log = [event for _, event in sorted((kept | news).items())]
        told = {event.revision for event in log}
        colours = {"a": "red"}
        watches = [
            one._replace(
                sightings=[
                    sighting(event)
                    for event in log
                    if one.colour in ("", colours.get(event.operation_id))
                ]
            )
            for one in GOOD.watches
        ]
        last = max(*told, 10)
        revisions = [(revision, revision in told) for revision in range(1, last + 1)]
        return GOOD._replace(log=log, watches=watches, revisions=revisions)

    return make


def planted(**parts: Any) -> Callable[[], History]:
    return lambda: GOOD._replace(**parts)


def watched(*revisions: int, name: str = "all", colour: str = "") -> Callable[[], History]:
    """Return the good history, of which one watcher was told these events in this order."""
    by_revision = {event.revision: sighting(event) for event in LOG}
    seen = [by_revision[revision] for revision in revisions]
    return planted(watches=[Watched(name, colour, seen)])


BROKEN: dict[str, tuple[Callable[[History], None], Callable[[], History]]] = {
    "a revision is missing": (
        check_revisions,
        planted(revisions=[*GOOD.revisions[:4], *GOOD.revisions[5:]]),
    ),
    "a revision is there twice": (
        check_revisions,
        planted(revisions=[*GOOD.revisions, (10, True)]),
    ),
    "an event is told that is not on disk": (
        check_revisions,
        planted(revisions=GOOD.revisions[:-1]),
    ),
    "an event is on disk and not told": (
        check_revisions,
        planted(revisions=[*GOOD.revisions, (11, True)]),
    ),
    "the log goes back": (check_order, planted(log=[*LOG[:-2], LOG[-1], LOG[-2]])),
    "a submit that was answered is lost": (
        check_submits,
        planted(submits=[*GOOD.submits, A._replace(operation_id="c")]),
    ),
    "a cancel that was answered is lost": (check_cancels, planted(cancels=[Canceled("a")])),
    "work is tried after it was canceled": (
        check_cancels,
        logged(
            changed(9, "b", RUNNING, QUEUED),
            changed(10, "b", QUEUED, RUNNING, "south", 2),
            changed(11, "b", RUNNING, CANCELED),
            changed(12, "a", RUNNING, SUCCEEDED, "south", 2),
        ),
    ),
    "a request id makes two operations": (
        check_request_ids,
        planted(
            operations=[GOOD.operations[0], GOOD.operations[1]._replace(request_id="key-a")]
        ),
    ),
    "an answer names another operation": (
        check_request_ids,
        planted(submits=[A, B._replace(operation_id="a", number=1)]),
    ),
    "a repeat says another number": (
        check_repeats,
        planted(submits=[*GOOD.submits, A._replace(number=7, created=False)]),
    ),
    "a repeat says other content": (
        check_repeats,
        planted(submits=[*GOOD.submits, A._replace(content=b"", created=False)]),
    ),
    "something is new twice": (check_repeats, planted(submits=[*GOOD.submits, A])),
    "an operation does not end": (
        check_everything_ended,
        planted(operations=[GOOD.operations[0]._replace(state=RUNNING), GOOD.operations[1]]),
    ),
    "an operation ends otherwise than it is told": (
        check_everything_ended,
        planted(operations=[GOOD.operations[0]._replace(state=FAILED), GOOD.operations[1]]),
    ),
    "an operation was tried more often than it is told": (
        check_everything_ended,
        planted(operations=[GOOD.operations[0]._replace(attempt=3), GOOD.operations[1]]),
    ),
    "an operation is told of and is not there": (
        check_everything_ended,
        planted(operations=GOOD.operations[:1]),
    ),
    "an end is not the end": (check_states, logged(changed(11, "a", SUCCEEDED, QUEUED))),
    "an end changes": (check_ends, logged(changed(11, "a", SUCCEEDED, FAILED))),
    "two leases are live": (
        check_leases,
        logged(changed(6, "a", RUNNING, RUNNING, "south", 2), without=(7,)),
    ),
    "work is tried too often": (
        check_attempts,
        logged(
            *(
                changed(
                    revision,
                    "a",
                    *((RUNNING, QUEUED) if revision % 2 else (QUEUED, RUNNING)),
                    "south",
                    2 + (revision - 8) // 2,
                )
                for revision in range(9, 21)
            ),
            changed(21, "a", RUNNING, SUCCEEDED, "south", 8),
            changed(22, "b", RUNNING, CANCELED, "south", 1),
            without=(8,),
        ),
    ),
    "work is given without a lease": (
        check_assignments,
        planted(assignments=[*GOOD.assignments, Assigned("north", "a", 1, 8, 2)]),
    ),
    "a lease is given to two": (
        check_assignments,
        planted(assignments=[*GOOD.assignments, Assigned("north", "a", 1, 7, 2)]),
    ),
    "a lease that is lost is settled as done": (
        check_settlements,
        planted(settlements=[Settled("north", 1, 4, completed=True, refusal="")]),
    ),
    "a lease is settled for somebody else": (
        check_settlements,
        planted(settlements=[Settled("north", 1, 7, completed=True, refusal="")]),
    ),
    "what is done twice is settled twice": (
        check_settlements,
        planted(settlements=[GOOD.settlements[1], GOOD.settlements[1]]),
    ),
    "a failure that is settled is a success": (
        check_settlements,
        planted(settlements=[Settled("south", 1, 7, completed=False, refusal="")]),
    ),
    "work is done without a lease": (
        check_executions,
        planted(executions=[Executed("north", "a", 2)]),
    ),
    "a watcher misses an event": (check_watches, watched(1, 3, 4, 5, 6, 7, 8, 10)),
    "a watcher misses the last event": (check_watches, watched(1, 3, 4, 5, 6, 7, 8, 9)),
    "a watcher is told an event twice": (check_watches, watched(1, 3, 3, 4, 5, 6, 7, 8, 9, 10)),
    "a watcher is told an event late": (check_watches, watched(1, 3, 5, 4, 6, 7, 8, 9, 10)),
    "a watcher is told what it did not ask for": (
        check_watches,
        watched(1, 3, 4, 6, 7, 9, colour="red"),
    ),
    "a watcher is told what is not so": (
        check_watches,
        planted(
            watches=[
                Watched(
                    "all",
                    "",
                    [*map(sighting, LOG[:-1]), sighting(LOG[-1])._replace(state=FAILED)],
                )
            ]
        ),
    ),
    "work begins too early": (
        check_starts,
        planted(
            operations=[GOOD.operations[0]._replace(not_before=NOON + 5), GOOD.operations[1]]
        ),
    ),
    "time goes back": (check_times, logged(dated(submitted(3, "b"), NOON))),
    "time is an hour ahead": (
        check_times,
        planted(span=Span(NOON - 3_600_000, NOON - 3_599_000)),
    ),
    "time is an hour behind": (
        check_times,
        planted(span=Span(NOON + 3_600_000, NOON + 3_601_000)),
    ),
}


@pytest.mark.parametrize("check, history", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_promise_is_seen(
    check: Callable[[History], None], history: Callable[[], History]
) -> None:
    with pytest.raises(AssertionError):
        check(history())


def test_no_promise_goes_untried() -> None:
    assert {check for check, _ in BROKEN.values()} == set(PROMISES)

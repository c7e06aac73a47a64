"""Judges of a whole history: each checks one promise that holds whatever breaks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from longshore.v1.operation_pb2 import Event, State
from tests.acceptance import checkers
from tests.acceptance.checkers import TERMINAL, by_operation, is_lease
from tests.acceptance.histories import History, Sighting, Submitted, Watched, sighting

MOST_ATTEMPTS: Final = 6

_IMPRECISION_MS: Final = 100


class Lease(NamedTuple):
    """One lease as the log has it."""

    operation_id: str
    worker: str
    attempt: int
    token: int  #: The revision at which it began.
    until: State.ValueType  #: The state of the operation after it.


def check_history(history: History) -> None:
    for check in PROMISES:
        check(history)


def check_order(history: History) -> None:
    """Revisions only grow."""
    checkers.check_order(history.log)


def check_revisions(history: History) -> None:
    """Revisions have no gap, and everything that happened to operations is told."""
    kept = sorted(history.revisions)
    for number, (revision, _) in enumerate(kept, 1):
        assert revision == number, f"revision {number} is missing, {revision} follows"
    told = [event.revision for event in history.log]
    assert told == [revision for revision, of_operation in kept if of_operation]


def check_times(history: History) -> None:
    """Events are dated by one clock, which is right, or as good as, and never goes back."""
    latest = history.span.begin - _IMPRECISION_MS
    for event in history.log:
        time = event.time.ToMilliseconds()
        assert time >= latest, f"{event} is dated before {latest}"
        latest = time
    end = history.span.end + _IMPRECISION_MS
    assert latest <= end, f"the latest event is of {latest}, which is after {end}"


def check_starts(history: History) -> None:
    """Nothing is begun before its time."""
    not_before = {one.operation_id: one.not_before for one in history.operations}
    for event in filter(is_lease, history.log):
        begin = not_before[event.operation_id]
        assert event.time.ToMilliseconds() >= begin, f"{event} comes before {begin}"


def check_submits(history: History) -> None:
    """No submit that was answered is lost."""
    begun = {event.operation_id for event in history.log if event.HasField("submitted")}
    lost = [one for one in history.submits if one.operation_id not in begun]
    assert not lost, f"submits that were answered are lost: {lost}"


def check_request_ids(history: History) -> None:
    """No request id made two operations, and what each made is what was answered."""
    made: dict[str, list[str]] = defaultdict(list)
    for one in history.operations:
        made[one.request_id].append(one.operation_id)
    twice = {request_id: ids for request_id, ids in made.items() if len(ids) > 1}
    assert not twice, f"request ids made several operations: {twice}"
    for answer in history.submits:
        assert made[answer.request_id] == [answer.operation_id], answer


def check_repeats(history: History) -> None:
    """However often a submit is repeated, it says the same, and once at most that it is new."""
    answers: dict[str, list[Submitted]] = defaultdict(list)
    for one in history.submits:
        answers[one.request_id].append(one)
    for request_id, told in answers.items():
        assert len({one._replace(created=False) for one in told}) == 1, told
        news = sum(one.created for one in told)
        assert news <= 1, f"{request_id} was new {news} times"


def check_cancels(history: History) -> None:
    """A cancel that was answered is not lost, and nothing is tried again after it."""
    log = history.log
    asked = {event.operation_id for event in log if event.HasField("cancel_requested")}
    asked |= {event.operation_id for event in log if event.state == State.STATE_CANCELED}
    lost = [one for one in history.cancels if one.operation_id not in asked]
    assert not lost, f"cancels that were answered are lost: {lost}"
    for operation_id, happened in by_operation(log).items():
        kinds = [(event.HasField("cancel_requested"), is_lease(event)) for event in happened]
        for index, (requested, _) in enumerate(kinds):
            if requested:
                again = any(lease for _, lease in kinds[index:])
                assert not again, f"{operation_id} was tried after it was canceled"


def check_states(history: History) -> None:
    """Operations take only steps that there are."""
    checkers.check_states(history.log)


def check_ends(history: History) -> None:
    """What has ended stays as it ended."""
    checkers.check_ends(history.log)


def check_everything_ended(history: History) -> None:
    """Every operation has ended as the log says, and was tried as often."""
    histories = by_operation(history.log)
    for one in history.operations:
        assert one.state in TERMINAL, f"{one} has not ended"
        happened = histories.pop(one.operation_id)
        assert happened[-1].state == one.state, one
        attempts = [event.state_changed.attempt for event in happened if is_lease(event)]
        assert one.attempt == max(attempts, default=0), one
    assert not histories, f"told of but not there: {list(histories)}"


def check_attempts(history: History) -> None:
    """Nothing is tried more often than it may be."""
    checkers.check_attempts(history.log, MOST_ATTEMPTS)


def check_leases(history: History) -> None:
    """Nothing is leased while somebody has the lease of it."""
    checkers.check_leases(history.log)


def check_assignments(history: History) -> None:
    """Whoever is given work has the lease of it, and nobody else is given the same lease."""
    known = _by_token(history.log)
    for one in history.assignments:
        lease = known.get(one.token)
        assert lease is not None, f"{one} has no lease"
        assert lease[:3] == (one.operation_id, one.worker, one.attempt), (one, lease)


def check_settlements(history: History) -> None:
    """What a worker was told to be settled has ended its own lease, and did so once."""
    known = _by_token(history.log)
    ids = {one.number: one.operation_id for one in history.assignments}
    done: Counter[int] = Counter()
    for one in history.settlements:
        if one.refusal:
            continue
        lease = known[one.token]
        assert lease[:2] == (ids[one.number], one.worker), (one, lease)
        succeeded = lease.until == State.STATE_SUCCEEDED
        assert one.completed == succeeded, (one, lease)
        done[one.number] += one.completed
    twice = [number for number, count in done.items() if count > 1]
    assert not twice, f"settled as done more than once: {twice}"


def check_executions(history: History) -> None:
    """Nobody works on what was not leased to it."""
    known = {lease[:3] for lease in _by_token(history.log).values()}
    for one in history.executions:
        lease = (one.operation_id, one.worker, one.attempt)
        assert lease in known, f"{one} has no lease"


def check_watches(history: History) -> None:
    """Watchers are told every event that they asked for once, in order, and none besides."""
    colours = {one.operation_id: one.colour for one in history.operations}
    for watched in history.watches:
        expected = {
            sighting(event)
            for event in history.log
            if watched.colour in ("", colours[event.operation_id])
        }
        _check_watched(watched, expected)


def _check_watched(watched: Watched, expected: set[Sighting]) -> None:
    for one, other in pairwise(watched.sightings):
        assert one.revision < other.revision, f"{watched.name} saw {other} after {one}"
    seen = set(watched.sightings)
    assert seen >= expected, f"{watched.name} missed {sorted(expected - seen)}"
    assert seen <= expected, f"{watched.name} saw what never was: {sorted(seen - expected)}"


def _by_token(log: Iterable[Event]) -> dict[int, Lease]:
    """Return all leases by their tokens."""
    found: dict[int, Lease] = {}
    for operation_id, happened in by_operation(log).items():
        steps = [event for event in happened if event.HasField("state_changed")]
        for event, after in pairwise(steps):
            if is_lease(event):
                changed, token = event.state_changed, event.revision
                found[token] = Lease(
                    operation_id, changed.worker, changed.attempt, token, after.state
                )
    return found


PROMISES: Final[tuple[Callable[[History], None], ...]] = (
    check_order,
    check_revisions,
    check_times,
    check_starts,
    check_submits,
    check_request_ids,
    check_repeats,
    check_cancels,
    check_states,
    check_ends,
    check_everything_ended,
    check_attempts,
    check_leases,
    check_assignments,
    check_settlements,
    check_executions,
    check_watches,
)

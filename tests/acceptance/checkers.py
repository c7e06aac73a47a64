"""Judges of a history: each takes what a watch told and checks one promise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from longshore.v1.operation_pb2 import DeliveryState, Event, State

TERMINAL = frozenset({State.STATE_FAILED, State.STATE_SUCCEEDED, State.STATE_CANCELED})

_STEPS = {
    State.STATE_SUSPENDED: {State.STATE_QUEUED, State.STATE_CANCELED},
    State.STATE_QUEUED: {
        State.STATE_RUNNING,
        State.STATE_SUSPENDED,
        State.STATE_CANCELED,
    },
    State.STATE_RUNNING: {State.STATE_QUEUED, *TERMINAL},
}

#: Of a delivery, each with the state of its task.
_STAGES = [
    (DeliveryState.DELIVERY_STATE_PENDING, State.STATE_RUNNING),
    (DeliveryState.DELIVERY_STATE_ONGOING, State.STATE_RUNNING),
    (DeliveryState.DELIVERY_STATE_COMPLETE, State.STATE_RUNNING),
]


def by_operation(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.operation_id].append(event)
    return found


def check_order(events: Sequence[Event]) -> None:
    """Revisions only grow, so nothing is told twice or late."""
    for one, other in pairwise(events):
        assert one.revision < other.revision, f"{other.revision} after {one.revision}"


def check_states(events: Sequence[Event]) -> None:
    """Every history begins with its submit and takes only steps that there are."""
    for operation_id, history in by_operation(events).items():
        kinds = [event.WhichOneof("detail") for event in history]
        assert kinds[0] == "submitted", (operation_id, kinds)
        assert kinds.count("submitted") == 1, (operation_id, kinds)
        for before, after in pairwise(history):
            if after.HasField("state_changed"):
                changed = after.state_changed
                assert changed.to_state == after.state, operation_id
                assert changed.from_state in (0, before.state), (operation_id, before, after)
                assert after.state in _STEPS.get(before.state, set()), (operation_id, after)
            else:
                assert after.state == before.state, (operation_id, before, after)


def check_leases(events: Sequence[Event]) -> None:
    """An operation is leased only when nobody holds it, and each lease is a new attempt."""
    for operation_id, history in by_operation(events).items():
        holder = ""
        attempt = 0
        for event in history:
            if not event.HasField("state_changed"):
                continue
            if event.state == State.STATE_RUNNING:
                assert not holder, f"{operation_id} was leased while {holder} held it"
                holder = event.state_changed.worker or "?"
                assert event.state_changed.attempt in (attempt, attempt + 1), operation_id
                attempt = event.state_changed.attempt
            else:
                holder = ""


def check_attempts(events: Sequence[Event], most: int) -> None:
    """No operation is leased more often than it may be tried."""
    for operation_id, history in by_operation(events).items():
        leases = [event for event in history if is_lease(event)]
        assert len(leases) <= most, (operation_id, len(leases))


def check_ends(events: Sequence[Event]) -> None:
    """What has ended stays as it ended."""
    for operation_id, history in by_operation(events).items():
        ended: Event | None = None
        for event in history:
            if ended is not None:
                assert event.state == ended.state, (operation_id, event)
                assert event.WhichOneof("detail") in (
                    "expired",
                    "delivery_changed",
                    "callback_sent",
                ), (operation_id, event)
            elif event.state in TERMINAL:
                ended = event


def check_deliveries(events: Iterable[Event], delivered: Collection[str]) -> None:
    """Results take every stage once and in order, and only then have their tasks succeeded.

    `delivered` are the ids of operations with a delivery. Of those that failed only that is
    acknowledged; nothing is acknowledged twice.
    """
    for operation_id, history in by_operation(events).items():
        told = [event for event in history if event.HasField("delivery_changed")]
        stages = [(event.delivery_changed.delivery.state, event.state) for event in told]
        if operation_id in delivered and history[-1].state == State.STATE_SUCCEEDED:
            assert stages[: len(_STAGES)] == _STAGES, operation_id
            kinds = [event.WhichOneof("detail") for event in history]
            begun = kinds.index("delivery_changed")
            assert kinds[begun + len(_STAGES)] == "state_changed", (operation_id, kinds)
            told = told[len(_STAGES) :]
        assert len(told) <= (operation_id in delivered), (operation_id, told)
        for event in told:
            assert event.state in TERMINAL, event
            assert event.delivery_changed.delivery.HasField("retrieve_time"), event


def most_running(events: Iterable[Event], groups: Mapping[str, str]) -> dict[str, int]:
    """Return how many of each group's operations ran at once at most, at any revision.

    `groups` names the group of an operation by its id; others are not looked at.
    """
    running: dict[str, set[str]] = defaultdict(set)
    most: dict[str, int] = defaultdict(int)
    for event in sorted(events, key=lambda event: event.revision):
        group = groups.get(event.operation_id)
        if group is None:
            continue
        if event.state == State.STATE_RUNNING:
            running[group].add(event.operation_id)
        else:
            running[group].discard(event.operation_id)
        most[group] = max(most[group], len(running[group]))
    return dict(most)


def leases(events: Iterable[Event]) -> list[str]:
    """Return which operations were leased, in the order in which they were."""
    return [event.operation_id for event in events if is_lease(event)]


def check_everything(events: Sequence[Event], most_attempts: int = 3) -> None:
    check_order(events)
    check_states(events)
    check_leases(events)
    check_ends(events)
    check_attempts(events, most_attempts)


def is_lease(event: Event) -> bool:
    return event.HasField("state_changed") and event.state == State.STATE_RUNNING


def ends(events: Iterable[Event]) -> dict[str, int]:
    """Return the state in which each operation ended."""
    return {event.operation_id: event.state for event in events if event.state in TERMINAL}

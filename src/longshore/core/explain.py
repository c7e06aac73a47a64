"""Explain: why an operation is not running, as an ordered list of reasons with their facts."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from longshore.core import policies
from longshore.core.changes import Mode
from longshore.core.ids import text_of
from longshore.core.installation import RULESETS_LIMIT, RULESETS_QUEUE, Queue
from longshore.core.lanes import Lane
from longshore.core.operations import Operation, State
from longshore.core.store import Standing

#: Operations ahead are counted up to here; beyond it the reason says "more than".
MOST_AHEAD = 10_000

_SHOWN_WORKERS = 5
_SHOWN_HOLDERS = 10


class ReasonKind(enum.IntEnum):
    """Kinds of reasons, by their numbers in the contract."""

    NO_WORKER = 1
    NO_FREE_SLOT = 2
    QUEUE_PAUSED = 3
    CONCURRENCY_LIMIT = 4
    CONCURRENCY_KEY = 5
    NOT_BEFORE = 6
    BEHIND_OTHERS = 7
    SERVER_SUSPENDED = 8
    SUSPENDED = 9
    RUNNING = 10
    ENDED = 11


class Reason(NamedTuple):
    """One reason: its kind, a sentence for people, and the facts of the sentence."""

    kind: ReasonKind
    message: str
    facts: dict[str, str]


class LiveWorker(NamedTuple):
    """A worker with a session, and its free slots (none if it is away or draining)."""

    name: str
    queues: tuple[str, ...]
    offers: tuple[str, ...]
    slots: int
    free: int
    connected: bool


class Situation(NamedTuple):
    """Everything that decides whether an operation may run now."""

    operation: Operation
    lane: Lane
    mode: Mode
    workers: Sequence[LiveWorker]  #: Of the operation's tenant.
    queue: Queue  #: What holds its queue back.
    standing: Standing
    now: int  #: Milliseconds since 1970.


def explain(situation: Situation) -> list[Reason]:
    """Return the reasons, most decisive first; of what waits there is always one."""
    operation = situation.operation
    if operation.ended:
        return [_ended(operation)]
    if operation.state == State.RUNNING:
        return [_running(operation)]
    return list(_reasons(situation)) or [_next()]


def _ended(operation: Operation) -> Reason:
    state = State(operation.state).name
    ended = _time(operation.end_time)
    message = f"it has ended: {state} at {ended}"
    return Reason(ReasonKind.ENDED, message, {"state": state, "end_time": ended})


def _running(operation: Operation) -> Reason:
    if operation.publishing:
        message = "the work is done, and its result is on its way"
        return Reason(ReasonKind.RUNNING, message, {"worker": operation.worker or ""})
    worker, began = operation.worker or "", _time(operation.start_time)
    facts = {"worker": worker, "start_time": began, "attempt": str(operation.attempt)}
    message = f"it runs: attempt {operation.attempt} on worker {worker!r} since {began}"
    return Reason(ReasonKind.RUNNING, message, facts)


def _reasons(situation: Situation) -> Iterator[Reason]:
    operation = situation.operation
    if situation.mode != Mode.ACTIVE:
        mode = situation.mode.name
        message = f"the server starts nothing: its mode is {mode}"
        yield Reason(ReasonKind.SERVER_SUSPENDED, message, {"mode": mode})
    if operation.state == State.SUSPENDED:
        yield Reason(ReasonKind.SUSPENDED, "it is held until it is resumed", {})
    waiting = operation.waiting or operation.parked
    if operation.state == State.QUEUED and not waiting:
        yield _not_before(operation)
    if situation.queue.paused:
        yield _paused(situation)
    yield from _limited(situation)
    yield from _without_worker(situation)
    if situation.standing.ahead and operation.waiting:
        yield _behind(situation)


def _paused(situation: Situation) -> Reason:
    queue, name = situation.queue, situation.lane.queue
    since, by = _time(queue.pause_time), queue.paused_by or ""
    message = f"queue {name!r} was paused by {by} at {since}"
    return Reason(
        ReasonKind.QUEUE_PAUSED,
        message,
        {"queue": name, "paused_by": by, "pause_time": since},
    )


def _limited(situation: Situation) -> Iterator[Reason]:
    operation, standing, name = situation.operation, situation.standing, situation.lane.queue
    limit = RULESETS_LIMIT if name == RULESETS_QUEUE else situation.queue.limit
    if limit and standing.queue_running >= limit:
        held_by = _named(standing.queue_holders)
        message = f"{limit} of queue {name!r} may run at once; held by {held_by or 'others'}"
        facts = {"queue": name, "limit": str(limit), "held_by": held_by}
        yield Reason(ReasonKind.CONCURRENCY_LIMIT, message, facts)
    key = operation.concurrency_key
    limit = policies.decode(operation.policy).concurrency_limit
    if key is not None and standing.key_running >= limit:
        held_by = _named(standing.key_holders)
        message = f"{limit} with concurrency key {key!r} may run at once; held by {held_by}"
        facts = {"concurrency_key": key, "limit": str(limit), "held_by": held_by}
        yield Reason(ReasonKind.CONCURRENCY_KEY, message, facts)


def _named(holders: Sequence[bytes]) -> str:
    return ",".join(text_of(one) for one in holders[:_SHOWN_HOLDERS])


def _not_before(operation: Operation) -> Reason:
    start = _time(operation.wake_time)
    facts = {"start_time": start, "attempt": str(operation.attempt)}
    if operation.attempt == 0:
        return Reason(ReasonKind.NOT_BEFORE, f"it starts at {start}", facts)
    most = policies.decode(operation.policy).max_attempts
    message = f"attempt {operation.attempt} of {most} failed; the next starts at {start}"
    return Reason(ReasonKind.NOT_BEFORE, message, facts)


def _without_worker(situation: Situation) -> Iterator[Reason]:
    lane = situation.lane
    serving = [one for one in situation.workers if one.connected and lane.queue in one.queues]
    if not serving:
        message = f"no live worker serves queue {lane.queue!r}"
        facts = {"queue": lane.queue, "actions": ",".join(lane.actions)}
        yield Reason(ReasonKind.NO_WORKER, message, facts)
        return
    able = [one for one in serving if set(lane.actions) <= set(one.offers)]
    if not able:
        yield _missing_action(lane, serving)
    elif situation.operation.waiting and not any(one.free > 0 for one in able):
        names = ", ".join(repr(one.name) for one in able[:_SHOWN_WORKERS])
        message = f"all slots are taken of the workers that could run it: {names}"
        facts = {
            "queue": lane.queue,
            "workers": ",".join(one.name for one in able[:_SHOWN_WORKERS]),
            "slots": str(sum(one.slots for one in able)),
        }
        yield Reason(ReasonKind.NO_FREE_SLOT, message, facts)


def _missing_action(lane: Lane, serving: Sequence[LiveWorker]) -> Reason:
    offered = {offer for one in serving for offer in one.offers}
    missing = [action for action in lane.actions if action not in offered]
    facts = {"queue": lane.queue, "actions": ",".join(missing or lane.actions)}
    if missing:
        message = f"no live worker offers action {missing[0]!r} on queue {lane.queue!r}"
    else:
        message = f"no single live worker on queue {lane.queue!r} offers all of its actions"
    return Reason(ReasonKind.NO_WORKER, message, facts)


def _behind(situation: Situation) -> Reason:
    ahead = situation.standing.ahead
    count = str(ahead)
    said = f"more than {MOST_AHEAD}" if ahead > MOST_AHEAD else count
    queue = situation.lane.queue
    others = "other" if ahead == 1 else "others"
    message = f"it is behind {said} {others} in queue {queue!r}"
    return Reason(ReasonKind.BEHIND_OTHERS, message, {"count": count, "queue": queue})


def _next() -> Reason:
    """Say what is true for the moment between two commits."""
    return Reason(ReasonKind.BEHIND_OTHERS, "it is the next to start", {"count": "0"})


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    time = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")

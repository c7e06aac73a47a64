"""Leasing: which waiting work each free slot gets, in one order for all."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from longshore.core import concurrency, filing, limits, plans, policies
from longshore.core.batch import Batch
from longshore.core.changes import Grant, Lease, Mode
from longshore.core.ending import end
from longshore.core.events import EventKind, attempt_detail
from longshore.core.failures import Code, Failure
from longshore.core.lanes import Session
from longshore.core.operations import Operation, Part, State, start_order
from longshore.core.queues import Room, Rooms
from longshore.core.reports import Assignment

#: Operations that one lease puts aside at most, for want of a lease with their key.
_PARKED_AT_ONCE: Final = 1_000


class _Slots:
    """The free slots of the sessions that serve some lane."""

    def __init__(self, session: Session, free: int) -> None:
        self.session = session
        self.free = free


class _Outlet(NamedTuple):
    """Where the work of one lane may go, and how much of it; None: any number."""

    lane: int
    slots: list[_Slots]
    room: Room | None

    @property
    def capacity(self) -> int:
        free = sum(one.free for one in self.slots)
        return free if self.room is None else max(0, min(free, self.room.left))

    def best(self) -> tuple[_Slots, Room | None]:
        """Return the session with most free slots, and the room that is left."""
        slots = self.slots
        return slots[0] if len(slots) == 1 else max(slots, key=_free), self.room


def lease(change: Lease, batch: Batch) -> list[Assignment]:
    """Give the first waiting operations to free slots, each to the session with most of them."""
    if batch.mode != Mode.ACTIVE:
        return []
    concurrency.reopen(batch)
    outlets = _outlets(change.grants, batch)
    leased: list[Operation] = []
    parked = 0
    for operation in _merged_heads(outlets, batch):
        slots, room = outlets[operation.lane].best()
        if not slots.free or (room is not None and room.left <= 0):
            continue
        if concurrency.admits(operation, batch):
            slots.free -= 1
            if room is not None:
                room.left -= 1
            leased.append(_lease_to(slots.session, operation, batch))
            continue
        concurrency.park(operation, batch)
        parked += 1
        if parked == _PARKED_AT_ONCE:
            batch.next_wake = batch.now  # The rest is for the next batch.
            break
    return assignments(leased, batch)


def _free(slots: _Slots) -> int:
    return slots.free


def _outlets(grants: Iterable[Grant], batch: Batch) -> dict[int, _Outlet]:
    """Return by lane where waiting work may go."""
    busy = batch.busy_lanes()
    rooms = Rooms(batch)
    outlets: dict[int, _Outlet] = {}
    for grant in grants:
        session = batch.session(grant.session)
        if session is None or session.epoch != grant.epoch:
            continue
        # Taken out, so that a slot that became free is not given away twice.
        free = grant.free + batch.freed.pop(grant.session, 0)
        if free <= 0:
            continue
        slots = _Slots(session, free)
        for lane in batch.lanes.served(session):
            if lane not in busy:
                continue
            if lane not in outlets:
                outlets[lane] = _Outlet(lane, [], rooms.of(batch.lanes.of(lane)))
            outlets[lane].slots.append(slots)
    return outlets


def _merged_heads(outlets: dict[int, _Outlet], batch: Batch) -> Iterable[Operation]:
    """Return the heads of all lanes in the order of priority, then position."""
    heads = [_heads(outlet, batch) for outlet in outlets.values()]
    return heads[0] if len(heads) == 1 else heapq.merge(*heads, key=start_order)


def _heads(outlet: _Outlet, batch: Batch) -> Iterator[Operation]:
    """Yield the first operations of a lane for as long as there is room for one more.

    Those that were yielded must have been leased or parked when the next is asked for.
    """
    count = 0
    while capacity := outlet.capacity:
        # Doubled, because each read begins at the front: many may be parked for few slots.
        count = max(capacity, 2 * count)
        found = batch.heads(outlet.lane, count)
        yield from found
        if len(found) < count:
            return


def _lease_to(session: Session, operation: Operation, batch: Batch) -> Operation:
    attempt = operation.attempt + 1
    if operation.token:
        filing.drop_unfinished(operation, batch)
    token = batch.emit(
        operation,
        EventKind.STATE_CHANGED,
        State.RUNNING,
        attempt_detail(attempt, session.worker),
    )
    timeout = policies.decode(operation.policy).run_timeout
    attempt_end = None if timeout is None else batch.now + timeout
    running = operation.leased(session.number, session.worker, token, attempt_end, batch.now)
    batch.put(running)
    return running


def assignments(leased: Sequence[Operation], batch: Batch) -> list[Assignment]:
    """Return what the workers of leased operations are to run now."""
    if not leased:
        return []
    requests = batch.requests(leased)
    batch.read_documents((one.number for one in leased if one.steps), Part.CONTEXT)
    made: list[Assignment] = []
    for operation in leased:
        request, traceparent = requests[operation.number]
        if operation.steps:
            assignment = next_step(operation, request, traceparent, batch)
            if assignment is not None:
                made.append(assignment)
        else:
            call = batch.codec.call(request)
            assert operation.session is not None
            made.append(Assignment(operation.session, operation, traceparent, *call))
    return made


def next_step(
    operation: Operation, request: bytes, traceparent: str | None, batch: Batch
) -> Assignment | None:
    """Return a plan's current action, or end the operation if its arguments are missing."""
    plan = batch.codec.plan(request)
    action = plan.calls[operation.step].action
    try:
        context = context_of(operation, plan, batch)
        arguments = batch.codec.encode(plans.arguments(plan, operation.step, context))
        failure = _too_large(action, arguments, batch)
    except plans.StepFailed as failed:
        arguments, failure = b"", failed.failure(batch.codec)
    if failure is not None:
        end(operation, State.FAILED, batch, message=failure.message, failure=failure)
        return None
    assert operation.session is not None
    return Assignment(
        operation.session, operation, traceparent, plan.service, action, arguments
    )


def _too_large(action: str, arguments: bytes, batch: Batch) -> Failure | None:
    """Refuse what paths have multiplied until it fits into no message to a worker."""
    if len(arguments) <= limits.PAYLOAD_BYTES:
        return None
    return batch.codec.failure(
        Code.INVALID_ARGUMENT,
        f"the arguments of action {action!r} have {len(arguments)} bytes; at most "
        f"{limits.PAYLOAD_BYTES} are handed to a worker",
        "PAYLOAD_TOO_LARGE",
        {"limit": str(limits.PAYLOAD_BYTES), "value": str(len(arguments))},
    )


def context_of(operation: Operation, plan: plans.Plan, batch: Batch) -> plans.Object:
    """Return a plan's context as the steps so far have left it."""
    document = batch.document(operation.number, Part.CONTEXT)
    return plan.context if document is None else batch.codec.decode(document)


class StepState(NamedTuple):
    """How one ended action of a plan is kept. Times are milliseconds since 1970."""

    state: int
    start_time: int
    end_time: int
    results: plans.Object

    def encode(self) -> bytes:
        return json.dumps(self, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, document: bytes) -> StepState:
        return cls(*json.loads(document))

"""Queues: paused, limited, and what of them may start now."""

from __future__ import annotations

from longshore.core.batch import Batch
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import Move
from longshore.core.concurrency import competing
from longshore.core.errors import WrongState
from longshore.core.events import EventKind, detail
from longshore.core.fairness import placed_anew
from longshore.core.ids import text_of
from longshore.core.installation import RULESETS_LIMIT, RULESETS_QUEUE, Queue
from longshore.core.lanes import Lane
from longshore.core.operations import Operation, State
from longshore.core.targets import find


def update_queue(change: UpdateQueue, batch: Batch) -> Queue:
    """Make, pause, resume or limit a queue; a repeat changes nothing."""
    caller, name = change.caller, change.queue
    known = batch.installation.queue(caller.tenant, name)
    queue = known or Queue()
    if change.paused is False:
        queue = queue._replace(paused_by=None, pause_time=None)
    elif change.paused and not queue.paused:
        queue = queue._replace(paused_by=caller.principal, pause_time=batch.now)
    if change.limit is not None:
        queue = queue._replace(limit=change.limit)
    if queue != known:
        batch.installation.queues[caller.tenant, name] = queue
        batch.announce(EventKind.QUEUE, caller.tenant, detail(queue=name))
    return queue


def move(change: Move, batch: Batch) -> Operation:
    """Let an operation wait in another queue; what runs goes on and counts there."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.ended:
        state = State(operation.state).name
        raise WrongState(text_of(operation.id), state, "SUSPENDED, QUEUED or RUNNING")
    lane = batch.lanes.of(operation.lane)
    if lane.queue == change.queue:
        return operation
    told = detail(**{"from": lane.queue, "to": change.queue}, priority=operation.priority)
    revision = batch.emit(operation, EventKind.MOVED, operation.state, told)
    moved = competing(operation)._replace(
        lane=batch.lanes.number_of(operation.tenant, change.queue, lane.actions),
        position=operation.number,
        fairness_key=operation.fairness_key or None,
        update_time=batch.now,
        revision=revision,
    )
    moved = placed_anew(moved, batch)
    batch.put(moved)
    return moved


class Room:
    """How much more of one queue may be leased; None: any number."""

    def __init__(self, left: int) -> None:
        self.left = left


class Rooms:
    """The room that is left in each limited or paused queue while a batch leases."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._rooms: dict[tuple[str, str], Room | None] = {}

    def of(self, lane: Lane) -> Room | None:
        """Return the room in the queue of a lane; None if nothing limits it."""
        # All tenants share that of rule sets, but each pauses its own.
        queue = self._batch.installation.queue(lane.tenant, lane.queue)
        if queue is not None and queue.paused:
            return Room(0)
        if lane.queue == RULESETS_QUEUE:
            return self._shared("", lane.queue, RULESETS_LIMIT)
        if queue is None or not queue.limit:
            return None
        return self._shared(lane.tenant, lane.queue, queue.limit)

    def _shared(self, tenant: str, queue: str, limit: int) -> Room | None:
        if (tenant, queue) not in self._rooms:
            running = self._batch.running_in(tenant, queue)
            self._rooms[tenant, queue] = Room(limit - running)
        return self._rooms[tenant, queue]

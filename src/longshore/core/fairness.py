"""Fairness: leases of one queue go round by key, by the place that an operation is given.

Waiting work of equal priority is leased in the order of its positions. Without keys that is
the order of submits. With them a position is a turn: an operation gets the turn after the one
that is being served or, if that is later, the turn after the last one of its key. So whoever
submits a thousand waits a thousand turns, and the next caller's first one turn. Leasing knows
nothing of it.
"""

from __future__ import annotations

from longshore.core.batch import Batch
from longshore.core.lanes import Lane
from longshore.core.operations import Kind, Operation
from longshore.core.rows import Circle


def place(
    batch: Batch, lane: Lane, priority: int, fairness_key: str | None, number: int
) -> tuple[int, str | None]:
    """Return the position of an operation that begins to wait, and the key that it counts for.

    Where keys are in use, having none is a key like any other, "".
    """
    circle = (lane.tenant, lane.queue, priority)
    turns, lanes = batch.turns, batch.lanes.in_queue(lane.tenant, lane.queue)
    plain = turns.circle(circle)
    if plain is None:
        if not fairness_key:
            return number, None
        plain = turns.circles[circle] = _last_place(batch, circle)
    key = fairness_key or ""
    last = turns.last_turn(circle, lanes, key)
    if not key:
        last = max(last, plain)  # What waited before keys were in use has none written down.
    here = (lane.number, priority)
    served = turns.served.get(here)
    if served is None:
        served = _served(batch, circle, lane.number)
    # Where nothing waits the order begins anew, as that of submits.
    turn = max(number, last + 1) if served is None else max(served, last) + 1
    turns.served[here] = turn if served is None else served
    turns.last[circle, key] = turn
    return turn, key


def placed_anew(operation: Operation, batch: Batch) -> Operation:
    """Return an operation at the place that it gets if it begins to wait now."""
    in_use = operation.fairness_key or batch.turns.in_use
    if not in_use or operation.kind == Kind.LAUNCH:
        return operation
    lane = batch.lanes.of(operation.lane)
    position, key = place(
        batch, lane, operation.priority, operation.fairness_key, operation.number
    )
    return operation._replace(position=position, fairness_key=key)


def _last_place(batch: Batch, circle: Circle) -> int:
    """Return the last position of all that waits in a circle; 0 if nothing does."""
    tenant, queue, priority = circle
    spans = batch.turns.spans(batch.lanes.in_queue(tenant, queue), priority)
    return max((last for _, last in spans.values()), default=0)


def _served(batch: Batch, circle: Circle, lane: int) -> int | None:
    """Return the position that is being served where work of a lane competes.

    A lane competes with those that a session serves together with it. Others may stand still
    for want of a worker: what is placed after their position would always be the first. Of
    several sessions that which has come furthest keeps what waits for it from being overtaken.
    """
    tenant, queue, priority = circle
    spans = batch.turns.spans(batch.lanes.in_queue(tenant, queue), priority)
    fronts = {one: first for one, (first, _) in spans.items()}
    reached: list[int] = []
    for session in batch.all_sessions():
        lanes = set(batch.lanes.served(session))
        if lane in lanes and not lanes.isdisjoint(fronts):
            reached.append(min(fronts[one] for one in lanes & fronts.keys()))
    if reached:
        return max(reached)
    return fronts.get(lane, min(fronts.values(), default=None))

"""Fairness: leases of one queue go round by key, by the place that an operation is given.

Waiting work of equal priority is leased in the order of its positions. Without keys that is
the order of submits. With them a position is a turn: an operation gets the turn after the one
that is being served or, if that is later, the turn after the last one of its key. So whoever
submits a thousand waits a thousand turns, and the next caller's first one turn. Leasing knows
nothing of it.
"""

from __future__ import annotations

from longshore.core.batch import Batch

#: Tenant, queue and priority: among what has these in common leases go round.
Circle = tuple[str, str, int]


def place(
    batch: Batch, circle: Circle, fairness_key: str | None, number: int
) -> tuple[int, str | None]:
    """Return the position of an operation that begins to wait, and the key that it counts for.

    Where keys are in use, having none is a key like any other, "".
    """
    if not fairness_key and circle[:2] not in batch.fair:
        return number, None
    key = fairness_key or ""
    batch.fair.add(circle[:2])
    served = batch.front(circle)
    if served is None:
        batch.fronts[circle] = batch.turns[*circle, key] = number
        return number, key
    turn = min(number, max(served, batch.last_turn(circle, key)) + 1)
    batch.turns[*circle, key] = turn
    return turn, key

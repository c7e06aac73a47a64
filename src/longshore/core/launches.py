"""The order in which a tenant's launches start, and how it is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longshore.core.batch import Batch
from longshore.core.changes import Direction, MoveLaunches
from longshore.core.concurrency import competing
from longshore.core.errors import WrongState
from longshore.core.events import EventKind, detail
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Operation, State
from longshore.core.targets import find

#: Priority and position: what the order is made of.
Place = tuple[int, int]


def move_launches(change: MoveLaunches, batch: Batch) -> list[Operation]:
    """Move those of the launches that wait; they keep their order among themselves."""
    tenant = change.caller.tenant
    named = [find(target, tenant, Kind.LAUNCH, batch) for target in change.targets]
    order = batch.waiting_launches(tenant)
    chosen = {one.number for one in named}.intersection(one.number for one in order)
    if not chosen:
        first = named[0]
        raise WrongState(text_of(first.id), State(first.state).name, "SUSPENDED or QUEUED")
    arranged = _arranged(order, chosen, change.direction)
    places = _places(order, arranged, chosen, change.direction)
    moved = [
        one if (one.priority, one.position) == place else _moved(one, place, batch)
        for one, place in zip(arranged, places, strict=True)
    ]
    return [one for one in moved if one.number in chosen]


def _arranged(
    order: Sequence[Operation], chosen: set[int], direction: Direction
) -> list[Operation]:
    """Return the launches that wait in their new order."""
    block = [one for one in order if one.number in chosen]
    rest = [one for one in order if one.number not in chosen]
    match direction:
        case Direction.TOP:
            return block + rest
        case Direction.BOTTOM:
            return rest + block
        case Direction.UP:
            return _one_place_on(order, chosen)
        case Direction.DOWN:
            return _one_place_on(order[::-1], chosen)[::-1]


def _one_place_on(order: Sequence[Operation], chosen: set[int]) -> list[Operation]:
    """Move each of the chosen before its neighbour, unless that is one of them too."""
    arranged = list(order)
    for index in range(1, len(arranged)):
        before, one = arranged[index - 1], arranged[index]
        if one.number in chosen and before.number not in chosen:
            arranged[index - 1], arranged[index] = one, before
    return arranged


def _places(
    order: Sequence[Operation],
    arranged: Sequence[Operation],
    chosen: set[int],
    direction: Direction,
) -> list[Place]:
    """Return the places of the new order, each after the one before."""
    if arranged == order:
        return [_place(one) for one in order]
    rest = [one for one in order if one.number not in chosen]
    count = len(chosen)
    match direction:
        case Direction.TOP:
            priority, first = _place(order[0])
            return [(priority, first - count + index) for index in range(count)] + [
                _place(one) for one in rest
            ]
        case Direction.BOTTOM:
            priority, last = _place(order[-1])
            return [_place(one) for one in rest] + [
                (priority, last + 1 + index) for index in range(count)
            ]
        case _:
            return _apart(map(_place, order))


def _place(operation: Operation) -> Place:
    return operation.priority, operation.position


def _apart(places: Iterable[Place]) -> list[Place]:
    """Return places of which no two are the same: numbers no longer tell who is first."""
    apart: list[Place] = []
    for priority, position in places:
        if apart and apart[-1][0] == priority and apart[-1][1] >= position:
            apart.append((priority, apart[-1][1] + 1))
        else:
            apart.append((priority, position))
    return apart


def _moved(operation: Operation, place: Place, batch: Batch) -> Operation:
    queue = batch.lanes.of(operation.lane).queue
    told = detail(**{"from": queue, "to": queue}, priority=place[0])
    revision = batch.emit(operation, EventKind.MOVED, operation.state, told)
    moved = competing(operation)._replace(
        priority=place[0], position=place[1], update_time=batch.now, revision=revision
    )
    batch.put(moved)
    return moved

"""The order in which waiting work starts, for the model test: turns by key, moved launches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from longshore.core.changes import Direction
from longshore.core.operations import Kind
from tests.conformance.works import Lane, Work, Worker

Circle: TypeAlias = tuple[str, int]  #: Queue and priority.
Place: TypeAlias = tuple[int, int]  #: Priority and position.


class Orders:
    """Gives places as they are given within one batch: from what was there when it began."""

    def __init__(self) -> None:
        self.circles: dict[Circle, int] = {}
        self._turns: dict[tuple[Circle, str], int] = {}
        self._served: dict[tuple[Lane, int], int] = {}
        self._waited: list[tuple[Lane, Place, str | None]] = []
        self._launches: dict[int, Place] = {}

    def commit(self, works: Iterable[Work]) -> None:
        works = list(works)
        self._turns, self._served = {}, {}
        self._waited = [(one.lane, one.place, one.fairness) for one in works if one.waiting]
        self._launches = {
            one.number: one.place for one in works if one.kind == Kind.LAUNCH and not one.ended
        }

    def last_launch(self, work: Work, works: Iterable[Work]) -> int:
        """Return the position of a new launch."""
        seen = set(self._launches.values())
        seen.update(
            one.place
            for one in works
            if one.kind == Kind.LAUNCH
            and (not one.ended or one.number in self._launches or one.wake is not None)
        )
        last = max((place[1] for place in seen if place[0] == work.priority), default=0)
        return max(work.number, last + 1)

    def place(self, work: Work, works: Collection[Work], workers: Iterable[Worker]) -> None:
        """Give it the turn after what is being served, or after the last one of its key."""
        circle = (work.queue, work.priority)
        others = [one for one in works if one.waiting and one is not work]
        seen = [*self._waited, *((one.lane, one.place, one.fairness) for one in others)]
        places = [
            (lane, place[1], key) for lane, place, key in seen if (lane[0], place[0]) == circle
        ]
        if circle not in self.circles:
            if not work.fairness:
                return
            self.circles[circle] = max((place for _, place, _ in places), default=0)
        key = work.fairness = work.fairness or ""
        last = self._turns.get((circle, key), 0) or max(
            (
                place[1]
                for lane, place, of in self._waited
                if (lane[0], place[0], of) == (*circle, key)
            ),
            default=0,
        )
        if not key:
            last = max(last, self.circles[circle])
        here = (work.lane, work.priority)
        served = self._served.get(here) or _served(work.lane, places, workers)
        work.position = max(work.number, last + 1) if not served else max(served, last) + 1
        self._served[here] = served or work.position
        self._turns[circle, key] = work.position


def _served(
    lane: Lane, places: Sequence[tuple[Lane, int, str | None]], workers: Iterable[Worker]
) -> int:
    """Return the position that has been reached where a lane competes; 0: nothing waits."""
    reached: list[int] = []
    for worker in workers:
        fronts = [place for of, place, _ in places if worker.serves(of)]
        if worker.serves(lane) and fronts:
            reached.append(min(fronts))
    own = [place for of, place, _ in places if of == lane]
    return max(reached, default=min(own or [place for _, place, _ in places], default=0))


def rearranged(
    order: Sequence[Work], chosen: Sequence[Work], direction: Direction
) -> Iterator[tuple[Work, Place]]:
    """Yield launches with their places, in their new order."""
    rest = [one for one in order if one not in chosen]
    arranged = list(order)
    if direction in (Direction.TOP, Direction.BOTTOM):
        arranged = [*chosen, *rest] if direction == Direction.TOP else [*rest, *chosen]
    steps = range(1, len(order))
    for index in steps if direction == Direction.UP else reversed(steps):
        before, one = arranged[index - 1], arranged[index]
        if direction == Direction.UP and one in chosen and before not in chosen:
            arranged[index - 1 : index + 1] = [one, before]
        if direction == Direction.DOWN and before in chosen and one not in chosen:
            arranged[index - 1 : index + 1] = [one, before]
    places = [one.place for one in order]
    if arranged != list(order) and direction == Direction.TOP:
        priority, first = places[0]
        places = [(priority, first - at) for at in range(len(chosen), 0, -1)]
        places += [one.place for one in rest]
    elif arranged != list(order) and direction == Direction.BOTTOM:
        priority, last = places[-1]
        places = [one.place for one in rest]
        places += [(priority, last + at) for at in range(1, len(chosen) + 1)]
    elif arranged != list(order):
        places = list(_apart(places))
    yield from zip(arranged, places, strict=True)


def _apart(places: Iterable[Place]) -> Iterator[Place]:
    """Yield the places so that no two are the same."""
    last: Place | None = None
    for priority, position in places:
        if last is not None and last[0] == priority:
            position = max(position, last[1] + 1)  # noqa: PLW2901
        last = (priority, position)
        yield last

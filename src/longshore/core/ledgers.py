"""Ledgers: what a batch knows of concurrency and fairness keys, beside the rows themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from longshore.core.operations import Operation, State, start_order
from longshore.core.policies import limit_of
from longshore.core.rows import Circle, Rows

Key = tuple[str, str]  #: Tenant and concurrency key.


class LeaseLedger:
    """How many operations run with each concurrency key, and which wait for theirs."""

    def __init__(
        self, rows: Rows, operations: dict[int, Operation], before: dict[int, Operation]
    ) -> None:
        self._rows = rows
        self._operations = operations  # As the batch leaves them, and as it found them.
        self._before = before
        self._stored: dict[Key, int] = {}
        self._begun: Counter[Key] = Counter()  #: Less those that have ended.
        self._parked: defaultdict[Key, list[int]] = defaultdict(list)
        self._unparked: Counter[Key] = Counter()
        #: Leases that ended, and waiting work that left its place.
        self.given_up: Counter[Key] = Counter()

    def count(self, key: Key) -> int:
        """Return how many operations with the key run."""
        if key not in self._stored:
            self._stored[key] = self._rows.leases(*key)
        return self._stored[key] + self._begun[key]

    def parked(self, key: Key, most: int) -> list[Operation]:
        """Return of each lane and limit the first that wait for their key.

        As many of each as its limit admits beside the leases that there are, and at most `most`.
        """
        leases = self.count(key)
        groups: defaultdict[tuple[int, int], list[Operation]] = defaultdict(list)
        for number in dict.fromkeys(self._parked.get(key, ())):
            own = self._operations[number]
            if own.parked:
                groups[own.lane, limit_of(own)].append(own)
        for lane, limit in self._rows.parked_groups(*key, leases):
            count = min(most, limit - leases) + self._unparked[key]
            groups[lane, limit] += self._stored_parked(key, lane, limit, count)
        found: list[Operation] = []
        for (_, limit), group in groups.items():
            found += sorted(group, key=start_order)[: max(0, min(most, limit - leases))]
        return found

    def _stored_parked(self, key: Key, lane: int, limit: int, count: int) -> list[Operation]:
        """Return those that the batch has not touched of the first that are stored."""
        stored = self._rows.parked(*key, lane, limit, count)
        for one in stored:
            self._before.setdefault(one.number, one)
        return [one for one in stored if one.number not in self._operations]

    def note(self, operation: Operation, concurrency_key: str) -> None:
        """Take into account what an operation with a key is about to become."""
        number, key = operation.number, (operation.tenant, concurrency_key)
        earlier = self._operations.get(number)
        if earlier is None:
            earlier = self._before.get(number)
            if earlier is not None and earlier.parked:
                self._unparked[key] += 1
        runs = operation.state == State.RUNNING
        self._begun[key] += runs
        if earlier is not None:
            ran = earlier.state == State.RUNNING
            self._begun[key] -= ran
            if not runs and (ran or _left_place(earlier, operation)):
                self.given_up[key] += 1
        if operation.parked:
            self._parked[key].append(number)


def _left_place(earlier: Operation, operation: Operation) -> bool:
    """Tell whether what waited does so no more, or elsewhere; unless it is parked there."""
    if not earlier.waiting or operation.parked:
        return False
    return not operation.waiting or operation.place != earlier.place


class TurnLedger:
    """Whose turn is when, in the circles in which fairness keys are in use."""

    def __init__(
        self,
        rows: Rows,
        known: Mapping[Circle, int],
        operations: Mapping[int, Operation],
        waiting: Mapping[int, Sequence[int]],
    ) -> None:
        self._rows = rows
        self._known = known
        self._operations = operations
        self._waiting = waiting  # Numbers by lane, of what the batch has let wait.
        #: Where fairness keys have come into use; see `Head.circles`.
        self.circles: dict[Circle, int] = {}
        #: What is being served, by lane and priority.
        self.served: dict[tuple[int, int], int] = {}
        #: The last turn that was given, by circle and key.
        self.last: dict[tuple[Circle, str], int] = {}

    @property
    def in_use(self) -> bool:
        """Whether there is any circle at all."""
        return bool(self.circles or self._known)

    def circle(self, circle: Circle) -> int | None:
        """Return what `Head.circles` says of a circle; None if no keys are in use there."""
        known = self._known.get(circle)
        return self.circles.get(circle) if known is None else known

    def spans(self, lanes: Sequence[int], priority: int) -> dict[int, tuple[int, int]]:
        """Return by lane the first and the last position of what may be leased of it."""
        spans = self._rows.spans(lanes, priority)
        for lane in lanes:
            own = [self._operations[number] for number in self._waiting.get(lane, ())]
            places = [
                one.position
                for one in own
                if one.waiting and (one.lane, one.priority) == (lane, priority)
            ]
            if places:
                places += spans.get(lane, ())
                spans[lane] = min(places), max(places)
        return spans

    def last_turn(self, circle: Circle, lanes: Sequence[int], fairness_key: str) -> int:
        """Return the position of the last that waits with a key; 0 if none does."""
        turn = (circle, fairness_key)
        if turn not in self.last:
            priority = circle[2]
            self.last[turn] = self._rows.last_turn(lanes, priority, fairness_key) or 0
        return self.last[turn]

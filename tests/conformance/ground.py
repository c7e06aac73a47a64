"""The ground of the model test: batches, commits, and what must be so after each.

The rules themselves stand in `test_model`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from hypothesis.stateful import invariant, rule

from longshore.core.changes import Change, Opened, Submitted
from longshore.core.deliveries import Delivery, Stage
from longshore.core.events import Event, EventKind
from longshore.core.operations import Operation, Part, Record, State
from longshore.core.reports import Assignment, Reported
from longshore.core.store import Channel
from tests.conformance.model import Leased, Model
from tests.conformance.stateful import StatefulTest
from tests.conformance.works import Work
from tests.conformance.world import numbers

#: What is still told of an operation that has ended.
AFTERWARDS = (EventKind.DELIVERY_CHANGED, EventKind.CALLBACK_SENT, EventKind.EXPIRED)


class Ground(StatefulTest):
    """A store and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(self.world.now)
        self.events: list[Event] = []
        self.leases: list[Leased] = []
        self.held_before: dict[int, int] = {}

    def last_look(self) -> None:
        self.commit()
        self.leases_keep_to_limits()

    def ask(self, change: Change, expected: object, more: bool) -> None:
        self.changes.append(change)
        self.expected.append(expected)
        if not more:
            self.commit()

    def any_number(self, pick: int) -> int:
        """Return the number of an operation, now and then of one that does not exist."""
        return pick % (len(self.model.work) + 1) + 1

    def any_session(self, pick: int) -> tuple[int, int]:
        """Return a session and its epoch, now and then one that was or will be."""
        number = pick % (self.model.sessions + 1) + 1
        worker = self.model.workers.get(number)
        epoch = worker.epoch if worker else 1
        return number, epoch - (pick % 7 == 6)

    # What must be so.

    @rule()
    def commit(self) -> None:
        if not self.changes:
            return
        changes, expected = self.changes, self.expected
        self.changes, self.expected = [], []
        applied = self.run(self.world.apply(*changes))
        outcomes = [outline(outcome) for outcome in applied.outcomes]
        assert outcomes == expected, changes
        told = [(event.number, event.kind, event.state) for event in applied.events]
        assert told == self.model.told[self.model.committed :]
        due = [one.wake for one in self.model.work.values() if one.wake is not None]
        assert not due or (applied.next_wake is not None and applied.next_wake <= min(due))
        self.events += applied.events
        self.model.commit()
        workers = self.model.workers
        self.held_before = {number: len(self.model.held(number)) for number in workers}

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if not self.changes:
            self.run(self.compare())

    async def compare(self) -> None:
        model, store = self.model, self.world.store
        parts = (Part.DELIVERY, Part.RESULT)
        found = await store.get("default", range(1, len(model.work) + 1), parts)
        for record, work in zip(found, model.work.values(), strict=True):
            assert (record and shown(record)) == (None if work.expired else wanted(work))
        living = [
            number
            for number, work in model.work.items()
            if not work.expired and not work.reserved
        ]
        assert numbers(await self.world.find(limit=1_000)) == living[::-1]
        works = [model.work[number] for number in living]
        counts = Counter((one.queue, int(one.kind), int(one.state)) for one in works)
        assert (await store.counts("default")).operations == counts
        arrived = [(one.arrival, one.number) for one in model.work.values() if one.arrival]
        assert await store.channel(Channel("default", "ada", 0, 1_000)) == sorted(arrived)
        catalog = await store.catalog()
        assert (catalog.mode, catalog.compacted) == (model.mode, model.compacted)
        assert catalog.queues == {("default", name): of for name, of in model.queues.items()}
        assert catalog.revision == model.revision
        epochs = {number: session.epoch for number, session in catalog.sessions.items()}
        assert epochs == {number: worker.epoch for number, worker in model.workers.items()}

    @invariant()
    def promises_are_kept(self) -> None:
        for work in self.model.work.values():
            assert work.attempt <= work.max_attempts
        if self.changes:
            return
        for worker in self.model.workers.values():
            assert len(self.model.held(worker.number)) <= max(worker.slots, 4)
        over: dict[int, int] = {}
        for event in self.events:
            if event.number in over:
                assert event.state == over[event.number]
                assert event.kind in AFTERWARDS
            elif event.number and event.state >= State.FAILED:
                over[event.number] = event.state
        called = Counter(one.callback_of for one in self.model.work.values() if not one.again)
        for work in self.model.work.values():
            assert called[work.number] == (work.callback and work.ended)

    def leases_keep_to_limits(self) -> None:
        """Look at what ran at every revision, as the log tells it."""
        running: dict[int, Work] = {}
        for event in self.events:
            if event.kind != EventKind.STATE_CHANGED:
                continue
            running.pop(event.number, None)
            if event.state == State.RUNNING:
                work = self.model.work[event.number]
                holders = [one for one in running.values() if one.key == work.key]
                assert work.key is None or len(holders) < work.limit
                running[event.number] = work
                rule_sets = [one for one in running.values() if one.queue == "rulesets"]
                assert len(rule_sets) <= 1

    @rule()
    def replay(self) -> None:
        """Read the log again: it holds what the commits told, from the compaction on."""
        if self.changes:
            return
        compacted = self.model.compacted
        kept = [event for event in self.events if event.revision > compacted and event.number]
        assert self.run(self.world.events(compacted, limit=100_000, reserved=True)) == kept
        for number in self.model.work:
            if number not in self.model.removed:
                history = [event for event in self.events if event.number == number]
                wanted = frozenset({number})
                assert self.run(self.world.events(numbers=wanted)) == history


def outline(outcome: object) -> object:
    """Return an outcome in the words of the model."""
    match outcome:
        case Submitted(operation, _, created):
            return operation.number, created
        case Operation():
            return State(outcome.state)
        case Reported(ended):
            return ended
        case Opened(session, epoch, _, held):
            return session, epoch, numbers(held)
        case list():
            listed = cast("list[Assignment | Operation]", outcome)
            return [one.number if isinstance(one, Operation) else leased(one) for one in listed]
        case Exception():
            return type(outcome).__name__
        case _:
            return outcome


def leased(assignment: Assignment) -> Leased:
    operation = assignment.operation
    return assignment.session, operation.number, operation.attempt, operation.token


def shown(record: Record) -> dict[str, Any]:
    operation, document = record.operation, record.documents.get(Part.DELIVERY)
    delivery = Delivery(0, Stage.NONE) if document is None else Delivery.decode(document)
    return {
        "delivery": (delivery.way, delivery.stage, delivery.retrieve_time),
        "result": Part.RESULT in record.documents,
        "state": operation.state,
        "attempt": operation.attempt,
        "step": operation.step,
        "session": operation.session,
        "token": operation.token,
        "reports": operation.reports,
        "cancel": bool(operation.cancel),
        "wake": None if operation.parked else operation.wake_time,
        "revision": operation.revision,
        "priority": operation.priority,
        "position": operation.position,
        "fairness": operation.fairness_key,
    }


def wanted(work: Work) -> dict[str, Any]:
    delivered = work.stage in (Stage.PENDING, Stage.ONGOING, Stage.COMPLETE)
    given = delivered if work.way else work.state == State.SUCCEEDED
    return {
        "delivery": (work.way, work.stage, work.retrieved),
        "result": given and work.retrieved is None,
        "state": work.state,
        "attempt": work.attempt,
        "step": work.step,
        "session": work.session,
        "token": work.token,
        "reports": work.reports,
        "cancel": work.cancel,
        "wake": work.wake,
        "revision": work.revision,
        "priority": work.priority,
        "position": work.position,
        "fairness": work.fairness,
    }

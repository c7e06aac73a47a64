"""A store as plain dictionaries: what the model test compares the real ones with.

It says the same as the core in the most direct words, without batches, rows or SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from longshore.core import limits
from longshore.core.callbacks import CALLBACKS_QUEUE
from longshore.core.changes import Direction, Mode
from longshore.core.events import EventKind
from longshore.core.installation import Queue
from longshore.core.operations import PUBLISHER, Kind, State
from tests.conformance import ends
from tests.conformance.orders import Orders, rearranged
from tests.conformance.works import Work, Worker
from tests.conformance.world import MINUTE

QUEUES = ("default", "night", "rulesets", CALLBACKS_QUEUE)
MAX_BACKOFF = 5 * MINUTE

Told = tuple[int, int, int]  #: Number, kind and state of an event.
Leased = tuple[int, int, int, int]  #: Session, number, attempt and token.


@dataclass
class Model:
    """The state of a store, and how each change alters it; refusals are names of errors."""

    now: int
    mode: Mode = Mode.ACTIVE
    work: dict[int, Work] = field(default_factory=dict[int, Work])
    keys: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    workers: dict[int, Worker] = field(default_factory=dict[int, Worker])
    sessions: int = 0
    queues: dict[str, Queue] = field(default_factory=dict[str, Queue])
    orders: Orders = field(default_factory=Orders)
    told: list[Told] = field(default_factory=list[Told])  #: Of all commits and this batch.
    times: list[int] = field(default_factory=list[int])  #: Of the same events.
    committed: int = 0  #: Events of all commits.
    compacted: int = 0
    removed: set[int] = field(default_factory=set[int])
    freed: dict[int, int] = field(default_factory=dict[int, int])  #: In this batch.

    @property
    def revision(self) -> int:
        return len(self.told)

    def commit(self) -> None:
        self.committed = self.revision
        self.freed = {}
        self.orders.commit(self.work.values())

    def tell(self, kind: EventKind, work: Work | None = None, state: int = 0) -> int:
        self.told.append((work.number if work else 0, kind, state))
        self.times.append(self.now)
        if work is not None:
            work.revision = self.revision
        return self.revision

    def alive(self, number: int) -> Work | None:
        work = self.work.get(number)
        return None if work is None or work.expired else work

    def held(self, session: int) -> list[Work]:
        held = [one for one in self.work.values() if one.session == session]
        return sorted(held, key=lambda one: one.token)

    # Asked for by callers.

    def submit(self, work: Work, key: str | None, digest: bytes) -> tuple[int, bool] | str:
        if key in self.keys and self.alive(self.keys[key][0]):
            number, known = self.keys[key]
            return (number, False) if known == digest else "RequestIdReused"
        if self.mode == Mode.MAINTENANCE:
            return "Maintenance"
        self.accept(work)
        if key is not None:
            self.keys[key] = (work.number, digest)
        return work.number, True

    def accept(self, work: Work) -> None:
        work.number = work.position = len(self.work) + 1
        if work.kind == Kind.LAUNCH:
            work.position = self.orders.last_launch(work, self.work.values())
            work.fairness = None
        elif work.waiting:
            self.place(work)
        self.work[work.number] = work
        self.tell(EventKind.SUBMITTED, work, work.state)

    def cancel(self, number: int, *, force: bool) -> State | str:
        work = self.alive(number)
        if work is None:
            return "OperationNotFound"
        if work.ended:
            return "WrongState"
        if force or work.state != State.RUNNING:
            return ends.end(self, work, State.CANCELED)
        if not work.cancel:
            work.cancel = True
            grace = self.now + limits.CANCEL_GRACE_MS
            work.wake = grace if work.wake is None else min(work.wake, grace)
            self.tell(EventKind.CANCEL_REQUESTED, work, State.RUNNING)
        return work.state

    def move(self, number: int, start: State, target: State) -> State | str:
        """Suspend or resume."""
        work = self.alive(number)
        if work is None:
            return "OperationNotFound"
        if work.state != start:
            return "WrongState"
        if target == State.QUEUED and (work.wake is None or work.wake <= self.now):
            work.wake = None
            self.place(work)
        return self.turn(work, target)

    def place(self, work: Work) -> None:
        if work.kind != Kind.LAUNCH:
            self.orders.place(work, self.work.values(), self.workers.values())

    def move_to(self, number: int, queue: str) -> State | str:
        """Move what is no launch to another queue."""
        work = self.alive(number)
        if work is None or work.kind == Kind.LAUNCH:
            return "OperationNotFound"
        if work.ended:
            return "WrongState"
        if work.queue != queue:
            self.tell(EventKind.MOVED, work, work.state)
            work.queue, work.position = queue, work.number
            work.fairness = work.fairness or None
            self.place(work)
        return work.state

    def move_launches(self, numbers: list[int], direction: Direction) -> list[int] | str:
        """Return those that were moved, in their new order."""
        named = [self.alive(number) for number in numbers]
        if any(one is None or one.kind != Kind.LAUNCH for one in named):
            return "OperationNotFound"
        waiting = (State.SUSPENDED, State.QUEUED)
        launches = (one for one in self.work.values() if one.kind == Kind.LAUNCH)
        order = sorted(
            (one for one in launches if one.state in waiting), key=lambda one: one.order
        )
        chosen = [one for one in order if one in named]
        if not chosen:
            return "WrongState"
        for work, place in rearranged(order, chosen, direction):
            if work.place != place:
                work.priority, work.position = place
                self.tell(EventKind.MOVED, work, work.state)
        return [one.number for one in sorted(chosen, key=lambda one: one.order)]

    def update_queue(self, name: str, *, paused: bool | None, limit: int | None) -> Queue:
        queue = known = self.queues.get(name, Queue())
        if paused is False:
            queue = queue._replace(paused_by=None, pause_time=None)
        elif paused and not queue.paused:
            queue = queue._replace(paused_by="ada", pause_time=self.now)
        if limit is not None:
            queue = queue._replace(limit=limit)
        if queue != known:
            self.tell(EventKind.QUEUE)
        self.queues[name] = queue
        return queue

    def resubmit(self, number: int, *, from_failed: bool) -> tuple[int, bool] | str:
        source = self.alive(number)
        if source is None:
            return "OperationNotFound"
        if not source.ended or (from_failed and source.state != State.FAILED):
            return "WrongState"
        fresh = Work(0, source.actions, source.steps, State.QUEUED)
        work = replace(
            fresh,
            priority=source.priority,
            kind=source.kind,
            queue=source.queue,
            key=source.key,
            limit=source.limit,
            fairness=source.fairness or None,
            max_attempts=source.max_attempts,
            backoff=source.backoff,
            run_timeout=source.run_timeout,
            step=source.step if from_failed else 0,
            way=source.way,
            callback=source.callback,
            callback_of=source.callback_of,
            again=True,
        )
        return self.submit(work, None, b"")

    def set_mode(self, mode: Mode) -> None:
        if mode != self.mode:
            self.mode = mode
            self.tell(EventKind.MODE)

    # Done by workers.

    def open_session(
        self, secret: bytes, offers: tuple[str, ...], slots: int
    ) -> tuple[int, int, list[int]]:
        """Return number, epoch and the operations that are still held."""
        worker = next((one for one in self.workers.values() if one.secret == secret), None)
        if worker is None:
            self.sessions += 1
            worker = Worker(self.sessions, secret, 0, offers, slots)
            self.workers[worker.number] = worker
        worker.epoch += 1
        worker.offers, worker.slots = offers, slots
        self.tell(EventKind.SESSION)
        if any(name not in self.queues for name in QUEUES):
            self.queues = {name: Queue() for name in QUEUES} | self.queues
            self.tell(EventKind.CATALOG)
        return worker.number, worker.epoch, [one.number for one in self.held(worker.number)]

    def end_session(self, number: int, epoch: int) -> bool:
        worker = self.workers.get(number)
        if worker is None or worker.epoch != epoch:
            return False
        del self.workers[number]
        self.tell(EventKind.SESSION)
        for work in self.held(number):
            self.fail(work)
        return True

    def lease(self, grants: list[tuple[int, int, int]]) -> list[Leased]:
        """Give waiting work away; grants are session, epoch and free slots."""
        if self.mode != Mode.ACTIVE:
            return []
        free: dict[int, int] = {}
        for session, epoch, slots in grants:
            worker = self.workers.get(session)
            if worker is not None and worker.epoch == epoch:
                free[session] = slots + self.freed.pop(session, 0)
        waiting = [one for one in self.work.values() if one.waiting]
        leased: list[Leased] = []
        for work in sorted(waiting, key=lambda one: one.order):
            offering = [
                session
                for session, slots in free.items()
                if slots > 0 and self.workers[session].serves(work.lane)
            ]
            if offering and self.may_start(work):
                session = max(offering, key=lambda one: free[one])
                free[session] -= 1
                leased.append(self.start(work, session))
        return leased

    def may_start(self, work: Work) -> bool:
        """Tell whether queue and key have room for one more."""
        queue = self.queues.get(work.queue, Queue())
        limit = 1 if work.queue == "rulesets" else queue.limit
        running = [one for one in self.work.values() if one.state == State.RUNNING]
        if queue.paused or 0 < limit <= sum(one.queue == work.queue for one in running):
            return False
        return work.key is None or sum(one.key == work.key for one in running) < work.limit

    def start(self, work: Work, session: int) -> Leased:
        work.state, work.session = State.RUNNING, session
        work.attempt += 1
        work.reports = 0
        work.wake = None if work.run_timeout is None else self.now + work.run_timeout
        work.token = self.tell(EventKind.STATE_CHANGED, work, State.RUNNING)
        return session, work.number, work.attempt, work.token

    def report(
        self, session: int, epoch: int, number: int, token: int, sequence: int, body: str
    ) -> bool | str:
        """Return whether the lease is over, or the refusal."""
        worker = self.workers.get(session)
        if worker is None or worker.epoch != epoch:
            return "SessionTakenOver"
        work = self.alive(number)
        if work is None or work.token != token:
            return "LeaseLost"
        running = work.state == State.RUNNING and work.session == session
        if sequence <= work.reports:
            return not running
        if not running:
            return "LeaseLost"
        work.reports = sequence
        if self.goes_on(work, body):
            return False
        self.freed[session] = self.freed.get(session, 0) + 1
        return True

    def goes_on(self, work: Work, body: str) -> bool:
        """Apply a report and return whether its lease goes on."""
        match body:
            case "progress":
                if work.progress_told + limits.PROGRESS_EVERY_MS <= self.now:
                    work.progress_told = self.now
                    self.tell(EventKind.PROGRESS, work, State.RUNNING)
                return True
            case "log":
                self.tell(EventKind.LOG, work, State.RUNNING)
                return True
            case "property":
                self.tell(EventKind.PROPERTY_SET, work, State.RUNNING)
                return True
            case "completed" if work.steps:
                work.step += 1
                self.tell(EventKind.ACTION_CHANGED, work, State.RUNNING)
                if work.step < work.steps and not work.cancel:
                    return True
                if work.step == work.steps:
                    ends.succeed(self, work)
                else:
                    ends.end(self, work, State.CANCELED)
            case "completed":
                ends.succeed(self, work)
            case "large":
                if work.step + 1 >= work.steps:
                    ends.fail_delivery(self, work)
                self.fail(work, permanent=True)
            case "released" if not work.cancel:
                work.attempt -= 1
                self.requeue(work, None)
            case _:  # failed, permanent, stopped, released
                self.fail(work, permanent=body == "permanent")
        return False

    # Done by time.

    def wake_all(self) -> None:
        due = [
            one for one in self.work.values() if one.wake is not None and one.wake <= self.now
        ]
        for work in sorted(due, key=lambda one: one.number):
            if work.state == State.QUEUED:
                work.wake = None
                if not work.attempt:
                    self.place(work)
            elif work.state == State.SUSPENDED:
                work.wake = None
            elif work.session == PUBLISHER:
                ends.advance(self, work)
            elif work.state == State.RUNNING:
                self.fail(work)
            else:
                ends.expire(self, work)

    def compact(self, before: int, limit: int) -> int:
        """Return how many operations were removed; only what is committed counts."""
        young = [
            revision
            for revision in range(self.compacted + 1, self.committed + 1)
            if self.times[revision - 1] >= before
        ]
        reached = young[0] - 1 if young else self.committed
        self.compacted = max(self.compacted, reached)
        gone = [
            one.number
            for one in sorted(self.work.values(), key=lambda one: one.expired or 0)
            if one.expired
            and one.expired <= min(self.compacted, self.committed)
            and one.number not in self.removed
        ]
        self.removed.update(gone[:limit])
        return len(gone[:limit])

    # What happens to work.

    def turn(self, work: Work, state: State) -> State:
        work.state = state
        self.tell(EventKind.STATE_CHANGED, work, state)
        return state

    def requeue(self, work: Work, wake: int | None) -> None:
        work.session = None
        work.wake = wake
        self.turn(work, State.QUEUED)

    def fail(self, work: Work, *, permanent: bool = False) -> None:
        if work.cancel:
            ends.end(self, work, State.CANCELED)
        elif permanent or work.attempt >= work.max_attempts:
            ends.end(self, work, State.FAILED)
        else:
            backoff = work.backoff * 2 ** (work.attempt - 1)
            self.requeue(work, self.now + min(backoff, MAX_BACKOFF))

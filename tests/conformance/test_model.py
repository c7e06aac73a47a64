"""Random changes, in random batches, on a real store and on a plain model of one."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
)

from longshore.core import limits as bounds
from longshore.core.callbacks import CALLBACK_ACTION
from longshore.core.callers import SERVER, Caller
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import (
    Acknowledge,
    Cancel,
    CloseSession,
    Compact,
    Delete,
    Direction,
    ExpireSessions,
    Grant,
    Lease,
    Mode,
    Move,
    MoveLaunches,
    OpenSession,
    Resubmit,
    Resume,
    SetMode,
    Suspend,
    Wake,
)
from longshore.core.deliveries import Way
from longshore.core.operations import PUBLISHER, Kind, State
from longshore.core.policies import Policy
from longshore.core.reports import (
    Body,
    Completed,
    Logged,
    LogKind,
    Progressed,
    PropertySet,
    Released,
    Report,
    Stopped,
)
from tests.conformance import ends
from tests.conformance.candidates import CANDIDATES
from tests.conformance.codec import plan_request, step
from tests.conformance.ends import EXPIRE_AFTER
from tests.conformance.ground import Ground
from tests.conformance.model import QUEUES
from tests.conformance.stateful import play
from tests.conformance.works import Work
from tests.conformance.world import (
    MINUTE,
    SECOND,
    done,
    failed,
    new_id,
    submit_change,
)

ME = Caller("default", "ada")

BODIES: dict[str, Body] = {
    "completed": done(x=1),
    "large": Completed(b'"' + b"x" * bounds.PAYLOAD_BYTES + b'"'),
    "failed": failed(),
    "permanent": failed(permanent=True),
    "progress": Progressed('{"done":1}'),
    "log": Logged(LogKind.OUTPUT, "line"),
    "property": PropertySet("name", "value"),
    "released": Released(),
    "stopped": Stopped(),
}

some = st.integers(0, 1_000)
seldom = st.sampled_from([False] * 7 + [True])


class Where(NamedTuple):
    """As what an operation waits, where, and with which keys."""

    kind: Kind = Kind.TASK
    queue: str = "default"
    key: str | None = None
    limit: int = 0
    fairness: str | None = None


queues = st.sampled_from(["default", "default", "night"])
tasks, launches = st.just(Kind.TASK), st.just(Kind.LAUNCH)
no_key: st.SearchStrategy[str | None] = st.none()
no_limit = st.just(0)
keys = st.sampled_from(["k", "k", "l"])
limits = st.sampled_from([1, 1, 2, 3])
turns = st.sampled_from([None, "a", "b", "c"])
rulesets = st.just("rulesets")
places = st.one_of(
    st.builds(Where, st.sampled_from(Kind), queues, no_key, no_limit, no_key),
    st.builds(Where, tasks, queues, keys, limits, no_key),
    st.builds(Where, tasks, queues, keys, limits, no_key),
    st.builds(Where, tasks, queues, no_key, no_limit, turns),
    st.builds(Where, launches, rulesets, no_key, no_limit, no_key),
    st.builds(Where, launches, rulesets, keys, limits, no_key),
)
ALL_ACTIONS = ("bag", "scan", CALLBACK_ACTION)
offers = st.sampled_from([ALL_ACTIONS, ALL_ACTIONS, ("bag", "scan"), ("scan",), ("bag",)])
ways = st.sampled_from([0, 0, Way.STORE, Way.CHANNEL])


class StoreMachine(Ground):
    """Plays changes, alone and in batches."""

    @initialize(first=st.booleans(), where=places)
    def begin(self, first: bool, where: Where) -> None:
        for secret in (b"one", b"two"):
            self.open_session(secret, ALL_ACTIONS, 3, more=True)
        self.submit_several(3, 0, Where(), more=True)
        self.submit_several(5, 2, where, more=first)
        self.lease(more=False, wake=False)

    # What callers ask for.

    @rule(
        plan=st.booleans(),
        actions=st.sampled_from([("scan",), ("bag",), ("bag", "scan")]),
        priority=st.integers(0, 2),
        suspended=seldom,
        delay=st.sampled_from([0, 0, 0, SECOND, 10 * SECOND]),
        policy=st.tuples(
            st.integers(1, 3), st.sampled_from([0, SECOND]), st.sampled_from([None, 5 * SECOND])
        ),
        key=st.sampled_from([None, None, "a", "b", "c"]),
        digest=st.sampled_from([b"one", b"one", b"one", b"two"]),
        where=places,
        way=ways,
        callback=st.booleans(),
        more=st.booleans(),
    )
    def submit(
        self,
        plan: bool,
        actions: tuple[str, ...],
        priority: int,
        suspended: bool,
        delay: int,
        policy: tuple[int, int, int | None],
        key: str | None,
        digest: bytes,
        where: Where,
        way: int,
        callback: bool,
        more: bool,
    ) -> None:
        """Submit one operation."""
        state = State.SUSPENDED if suspended else State.QUEUED
        max_attempts, backoff, run_timeout = policy
        wake = None if suspended or not delay else self.world.now + delay
        work = Work(
            0,
            actions,
            2 if plan else 0,
            state,
            priority,
            where.kind,
            where.queue,
            0,
            where.key,
            where.limit,
            where.fairness,
            max_attempts,
            backoff,
            run_timeout,
            wake=wake,
            way=way if where.kind == Kind.TASK else 0,
            callback=callback,
        )
        # Turns are counted from what may be leased: the model does not know what is parked.
        if work.key is not None:
            work.priority = min(work.priority, 1)
        if work.priority < 2:
            work.fairness = None
        change = submit_change(
            actions=actions,
            steps=work.steps,
            request=plan_request(step("scan"), step("bag")) if plan else None,
            priority=work.priority,
            suspended=suspended,
            kind=where.kind,
            queue=where.queue,
            concurrency_key=work.key,
            fairness_key=work.fairness,
            policy=Policy(
                max_attempts,
                backoff,
                run_timeout=run_timeout,
                expire_after=EXPIRE_AFTER,
                concurrency_limit=work.limit,
                delivery=work.way,
                callback=callback,
            ),
            not_before=self.world.now + delay if delay else None,
            key=key,
            digest=digest,
        )
        self.ask(change, self.model.submit(work, key, digest), more)

    @rule(pick=some, force=st.booleans(), more=st.booleans())
    def cancel(self, pick: int, force: bool, more: bool) -> None:
        self.ask_to_cancel(self.any_number(pick), force=force, more=more)

    def ask_to_cancel(self, number: int, *, force: bool, more: bool = True) -> None:
        expected = self.model.cancel(number, force=force)
        self.ask(Cancel(ME, number, force=force), expected, more)

    @rule(pick=some, more=st.booleans())
    def suspend(self, pick: int, more: bool) -> None:
        number = self.any_number(pick)
        expected = self.model.move(number, State.QUEUED, State.SUSPENDED)
        self.ask(Suspend(ME, number), expected, more)

    @rule(pick=some, more=st.booleans())
    def resume(self, pick: int, more: bool) -> None:
        number = self.any_number(pick)
        expected = self.model.move(number, State.SUSPENDED, State.QUEUED)
        self.ask(Resume(ME, number), expected, more)

    @rule(pick=some, from_failed=st.booleans(), more=st.booleans())
    def resubmit(self, pick: int, from_failed: bool, more: bool) -> None:
        number = self.any_number(pick)
        mode = self.model.mode
        expected = self.model.resubmit(number, from_failed=from_failed)
        assert mode == self.model.mode
        change = Resubmit(ME, number, new_id(), from_failed=from_failed)
        self.ask(change, expected, more)

    @rule(
        number=st.integers(2, 6), priority=st.integers(0, 2), where=places, more=st.booleans()
    )
    def submit_several(self, number: int, priority: int, where: Where, more: bool) -> None:
        for one in range(number):
            self.submit(
                plan=one == 0,
                actions=("scan",) if one % 3 else ("bag",),
                priority=priority,
                suspended=False,
                delay=0,
                policy=(2, 0, None),
                key=None,
                digest=b"one",
                where=where,
                way=(0, Way.STORE, 0, Way.CHANNEL)[one % 4],
                callback=one == 1,
                more=True,
            )
        if not more:
            self.commit()

    @precondition(lambda self: self.fetchable)
    @rule(picks=st.lists(some, min_size=1, max_size=3), more=st.booleans())
    def acknowledge(self, picks: list[int], more: bool) -> None:
        """Acknowledge results that can be, and now and then one that cannot."""
        found = self.fetchable
        chosen = [
            self.any_number(pick) if pick % 10 == 9 else found[pick % len(found)]
            for pick in picks
        ]
        expected = ends.acknowledge(self.model, chosen)
        self.ask(Acknowledge(ME, tuple(chosen)), expected, more)

    @property
    def fetchable(self) -> list[int]:
        return [one.number for one in self.model.work.values() if one.fetchable]

    @rule(pick=some, more=st.booleans())
    def delete(self, pick: int, more: bool) -> None:
        number = self.any_number(pick)
        self.ask(Delete(ME, number), ends.delete(self.model, number), more)

    @rule(pick=some, queue=st.sampled_from(["default", "night"]), more=st.booleans())
    def move(self, pick: int, queue: str, more: bool) -> None:
        number = self.any_number(pick)
        work = self.model.work.get(number)
        kind = Kind.TASK if work is None or work.kind == Kind.LAUNCH else work.kind
        expected = self.model.move_to(number, queue)
        self.ask(Move(ME, number, queue, kind), expected, more)

    @precondition(lambda self: self.launches)
    @rule(
        picks=st.lists(some, min_size=1, max_size=3),
        direction=st.sampled_from(Direction),
        more=st.booleans(),
    )
    def move_launches(self, picks: list[int], direction: Direction, more: bool) -> None:
        launches = self.launches
        chosen = [
            self.any_number(pick) if pick % 20 == 0 else launches[pick % len(launches)]
            for pick in picks
        ]
        expected = self.model.move_launches(chosen, direction)
        self.ask(MoveLaunches(ME, tuple(chosen), direction), expected, more)

    @property
    def launches(self) -> list[int]:
        return [one.number for one in self.model.work.values() if one.kind == Kind.LAUNCH]

    @rule(
        queue=st.sampled_from(QUEUES),
        paused=st.sampled_from([None, False, False, True]),
        limit=st.sampled_from([None, 0, 1, 2, 3]),
        more=st.booleans(),
    )
    def update_queue(
        self, queue: str, paused: bool | None, limit: int | None, more: bool
    ) -> None:
        expected = self.model.update_queue(queue, paused=paused, limit=limit)
        self.ask(UpdateQueue(ME, queue, paused, limit), expected, more)

    @rule(mode=st.sampled_from(Mode), suspended=seldom, more=st.booleans())
    def set_mode(self, mode: Mode, suspended: bool, more: bool) -> None:
        mode = mode if suspended else Mode.ACTIVE
        self.model.set_mode(mode)
        self.ask(SetMode(SERVER, mode), None, more)

    # What workers do.

    @rule(
        secret=st.sampled_from([b"one", b"two", b"three"]),
        offers=offers,
        slots=st.integers(1, 4),
        more=st.booleans(),
    )
    def open_session(
        self, secret: bytes, offers: tuple[str, ...], slots: int, more: bool
    ) -> None:
        change = OpenSession(ME, secret, "worker", QUEUES, offers, slots)
        expected = self.model.open_session(secret, offers, slots)
        self.ask(change, expected, more)

    @precondition(lambda self: self.model.workers)
    @rule(pick=some, silent=st.booleans(), more=st.booleans())
    def end_session(self, pick: int, silent: bool, more: bool) -> None:
        number, epoch = self.any_session(pick)
        ended = self.model.end_session(number, epoch)
        if silent:
            self.ask(ExpireSessions(((number, epoch),)), None, more)
        else:
            outcome = None if ended else "SessionTakenOver"
            self.ask(CloseSession(ME, number, epoch), outcome, more)

    @precondition(lambda self: self.model.workers)
    @rule(more=st.booleans(), wake=st.booleans())
    def lease(self, more: bool, wake: bool) -> None:
        if wake:
            self.wake(more=True)
        leased_now = [lease for lease in self.leases if lease[3] > self.model.committed]
        grants: list[tuple[int, int, int]] = []
        for worker in self.model.workers.values():
            taken = self.held_before.get(worker.number, 0)
            taken += sum(lease[0] == worker.number for lease in leased_now)
            grants.append((worker.number, worker.epoch, worker.slots - taken))
        expected = self.model.lease(grants)
        self.leases += expected
        self.ask(Lease(tuple(Grant(*grant) for grant in grants)), expected, more)

    @precondition(lambda self: self.leases)
    @rule(
        body=st.sampled_from(["completed", "completed", "failed", "released", "large"]),
        leases=st.integers(0, 2),
    )
    def end_all(self, body: str, leases: int) -> None:
        """Report the end of all that the sessions hold, and lease what follows."""
        for worker in list(self.model.workers.values()):
            for work in self.model.held(worker.number):
                self.tell(worker.number, worker.epoch, work.number, work.token, 1, body)
        for _ in range(leases if self.model.workers else 0):
            self.lease(more=True, wake=True)
        self.pass_time(2 * SECOND, wake=True)

    @precondition(lambda self: self.leases)
    @rule(wakes=st.integers(0, 3), cancel=st.sampled_from([False, False, True]), pick=some)
    def deliver(self, wakes: int, cancel: bool, pick: int) -> None:
        """Report that all is done, and let its results come some way; some are stopped there."""
        for worker in list(self.model.workers.values()):
            for work in self.model.held(worker.number):
                steps = range(max(1, work.steps - work.step))
                for _ in steps:
                    args = worker.number, worker.epoch, work.number, work.token
                    self.tell(*args, 1, "completed")
        for _ in range(wakes):
            self.commit()
            self.wake(more=True)
        published = [one for one in self.model.work.values() if one.session == PUBLISHER]
        if published and cancel:
            self.ask_to_cancel(published[pick % len(published)].number, force=pick % 2 == 0)
        if self.fetchable and pick % 3:
            self.acknowledge([pick, 2 * pick], more=True)
        self.lease(more=False, wake=True)

    @precondition(lambda self: self.leases)
    @rule(
        pick=some,
        body=st.sampled_from([*BODIES, "completed", "failed"]),
        skew=st.sampled_from([0, 0, 0, 0, 0, 1, 2, 3]),
        more=st.booleans(),
    )
    def report(self, pick: int, body: str, skew: int, more: bool) -> None:
        """Report under a present or an earlier lease; a skew makes it a repeat or a stale one."""
        held = [lease for lease in self.leases if self.model.work[lease[1]].token == lease[3]]
        among = held if held and skew != 1 else self.leases
        session, number, _, token = among[pick % len(among)]
        worker = self.model.workers.get(session)
        epoch = (worker.epoch if worker else 1) - (skew == 2)
        self.tell(session, epoch, number, token, skew != 3, body)
        if not more:
            self.commit()

    def tell(
        self, session: int, epoch: int, number: int, token: int, ahead: int, body: str
    ) -> None:
        """Report so many places ahead of the latest report that was applied."""
        sequence = self.model.work[number].reports + ahead
        expected = self.model.report(session, epoch, number, token, sequence, body)
        change = Report(ME, session, epoch, number, token, sequence, BODIES[body])
        self.ask(change, expected, more=True)

    # What time does.

    @rule(more=st.booleans())
    def wake(self, more: bool) -> None:
        self.model.wake_all()
        self.ask(Wake(), None, more)

    @rule(
        span=st.sampled_from([SECOND // 2, SECOND, 5 * SECOND, 30 * SECOND, 10 * MINUTE]),
        wake=st.booleans(),
    )
    def pass_time(self, span: int, wake: bool) -> None:
        self.commit()
        self.world.pass_time(span)
        self.model.now = self.world.now
        if wake:
            self.wake(more=False)

    @rule(
        age=st.sampled_from([0, SECOND, MINUTE, 20 * MINUTE]),
        limit=st.integers(1, 5),
        more=st.booleans(),
    )
    def compact(self, age: int, limit: int, more: bool) -> None:
        before = self.world.now - age
        self.ask(Compact(before, limit), self.model.compact(before, limit), more)

    @rule(limit=st.integers(1, 5))
    def grow_old(self, limit: int) -> None:
        """Let what has ended expire, then forget some of it."""
        self.pass_time(EXPIRE_AFTER, wake=True)
        self.compact(0, limit, more=False)

    @rule()
    def reopen(self) -> None:
        self.commit()
        self.run(self.world.reopen())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CANDIDATES)
def test_any_sequence_of_changes_leaves_what_the_model_says(name: str) -> None:
    play(StoreMachine, name)

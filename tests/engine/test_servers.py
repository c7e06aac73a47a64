"""Two servers over one PostgreSQL database behave as one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asyncpg import Connection, Record

from longshore.core.callers import Caller
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import Change, Mode, Move, Resume, SetMode, Submitted, Suspend
from longshore.core.deliveries import Way
from longshore.core.errors import (
    LeaseLost,
    LongshoreError,
    OutcomeUnknown,
    RevisionCompacted,
    SessionTakenOver,
    StoreUnavailable,
    StreamTaken,
)
from longshore.core.events import Event, EventKind
from longshore.core.file_changes import OpenBlob, SweepFiles
from longshore.core.operations import FIRST_TERMINAL, Kind, Operation, State
from longshore.core.policies import Policy
from longshore.core.store import Channel, Replay
from longshore.engine.clock import SystemClock
from longshore.engine.conversation import StopReason
from longshore.engine.engine import Engine
from longshore.engine.feed import Watcher
from longshore.server.codec import ProtoCodec
from longshore.server.filters import parse_filter
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.postgres.store import PostgresStore
from tests.engine.harness import (
    CALLER,
    PATIENCE_SECONDS,
    Server,
    StillClock,
    WorkerAtTest,
    held,
    hello,
    submit,
    told,
)
from tests.tools.postgres import databases

MINUTE = 60_000  #: Milliseconds.
HOUR = 60 * MINUTE
_WRITES = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
BEAT = 5.0
TIME_TO_LIVE = 30.0


class Port:
    """A database, and the servers that were started over it."""

    def __init__(self, place: Path, clock: StillClock, stack: AsyncExitStack) -> None:
        self.place = place
        self.clock = clock
        self._stack = stack

    async def server(self) -> Server:
        """Start one more server; it is stopped with the test, if not before."""
        server = Server(databases().url(self.place), self.place / "files", self.clock)
        return await self._stack.enter_async_context(server)

    @asynccontextmanager
    async def passing_server(self) -> AsyncGenerator[Server]:
        """Run a server that stops before the test does."""
        async with Server(
            databases().url(self.place), self.place / "files", self.clock
        ) as server:
            yield server


class Pair(NamedTuple):
    """Two servers over one store."""

    a: Server
    b: Server


@pytest.fixture
async def port(tmp_path: Path, clock: StillClock) -> AsyncGenerator[Port]:
    async with AsyncExitStack() as stack:
        yield Port(tmp_path, clock, stack)
    databases().drop(tmp_path)


@pytest.fixture
async def pair(port: Port) -> Pair:
    return Pair(await port.server(), await port.server())


async def do(server: Server, change: Change) -> object:
    return await server.engine.writer.write(change)


async def ticks(seconds: float, *servers: Server) -> None:
    """Let time pass as it does while servers are well: their reapers look once a beat."""
    while seconds > 0:
        servers[0].clock.advance(min(BEAT, seconds))
        for server in servers:
            await server.engine.reaper.reap()
        seconds -= BEAT


async def becomes(server: Server, operation: Operation, state: State) -> None:
    """Wait until a server tells that an operation is in a state."""
    watcher = await server.watch(numbers=frozenset({operation.number}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(
            event.state == state for event in (await watcher.next(PATIENCE_SECONDS)).events
        ):
            pass
    watcher.close()


def states(events: list[Event]) -> list[int]:
    return [one.state for one in events if one.kind == EventKind.STATE_CHANGED]


async def test_a_watcher_sees_what_is_asked_and_done_at_another_server(pair: Pair) -> None:
    watcher = await pair.a.watch()
    operation = await pair.b.submit()
    worker = await pair.b.worker(hello())
    (assignment,) = await worker.assigned()
    await worker.report(assignment)
    events = await told(watcher, 3)
    assert [one.number for one in events] == [operation.number] * 3
    assert states(events) == [State.RUNNING, State.SUCCEEDED]


async def test_work_goes_to_a_free_worker_of_another_server_at_once(pair: Pair) -> None:
    worker = await pair.b.worker(hello())
    await pair.b.settle()
    operation = await pair.a.submit()
    assert (await worker.assigned())[0].operation.number == operation.number


async def test_a_retried_attempt_may_go_to_a_worker_of_another_server(
    pair: Pair, clock: StillClock
) -> None:
    operation = await pair.a.submit(not_before=clock.now() + 60_000)
    worker = await pair.b.worker(hello())
    await pair.b.settle()
    clock.advance(61)
    (assignment,) = await worker.assigned()
    assert assignment.operation.number == operation.number


async def test_what_is_due_is_done_once(pair: Pair, clock: StillClock) -> None:
    workers = [
        await server.worker(hello(secret=bytes([index]) * 16, slots=100))
        for index, server in enumerate(pair)
    ]
    watcher = await pair.a.watch(kinds=frozenset({EventKind.STATE_CHANGED}))
    for server in pair:
        for _ in range(10):
            await server.submit(not_before=clock.now() + 60_000)
    clock.advance(61)
    started = await told(watcher, 20)
    for server in pair:
        await server.settle()
    assert len(started) == len({one.number for one in started}) == 20
    for worker in workers:
        await worker.drain_messages()
    assert sum(len(worker.assignments) for worker in workers) == 20


async def test_servers_that_tidy_up_at_once_do_it_together(
    pair: Pair, clock: StillClock
) -> None:
    for server in pair:
        for number in range(20):
            await do(server, OpenBlob(bytes([number]) * 16))
    operation = await pair.a.submit()
    await pair.b.cancel(operation)
    clock.advance(31 * 24 * 3_600)
    for server in pair:
        await server.settle()
    clock.advance(8 * 24 * 3_600)
    await asyncio.gather(*(server.engine.files.sweep() for server in pair))
    await asyncio.gather(*(server.engine.retention.compact() for server in pair))
    for server in pair:
        assert await do(server, SweepFiles(100)) == []
        assert server.engine.catalog.current.compacted > 0
        with pytest.raises(RevisionCompacted):
            await server.watch(after=0)


async def test_a_cancel_at_one_server_reaches_the_worker_at_another(pair: Pair) -> None:
    worker = await pair.b.worker(hello())
    operation = await pair.a.submit()
    (assignment,) = await worker.assigned()
    await pair.a.cancel(operation)
    (stop,) = await worker.stopped()
    assert stop[:3] == (*held(assignment), StopReason.CANCEL_REQUESTED)


async def test_a_lease_that_ends_at_one_server_is_lost_to_the_worker_at_another(
    pair: Pair,
) -> None:
    worker = await pair.b.worker(hello())
    operation = await pair.a.submit()
    (assignment,) = await worker.assigned()
    await pair.a.cancel(operation, force=True)
    (stop,) = await worker.stopped()
    assert stop[:3] == (*held(assignment), StopReason.LEASE_LOST)
    other = await pair.a.submit()
    acknowledgement = await worker.report(assignment)
    assert isinstance(acknowledgement.error, LeaseLost)
    # Its slot was taken until the worker said so.
    assert (await worker.assigned(2))[1].operation.number == other.number


async def test_an_end_at_one_server_leaves_room_for_a_worker_at_another(pair: Pair) -> None:
    await do(pair.a, UpdateQueue(CALLER, "default", limit=1))
    here = await pair.a.worker(hello(secret=b"a" * 16))
    first = await pair.a.submit()
    (assignment,) = await here.assigned()
    there = await pair.b.worker(hello(secret=b"b" * 16))
    second = await pair.b.submit()
    await pair.b.settle()
    assert (await pair.b.get(second)).state == State.QUEUED
    here.session.drain()
    await here.report(assignment)
    (next_one,) = await there.assigned()
    assert (assignment.operation.number, next_one.operation.number) == (
        first.number,
        second.number,
    )


async def test_what_one_server_suspends_starts_when_another_lets_it(pair: Pair) -> None:
    operation = await pair.a.submit()
    await do(pair.a, Suspend(CALLER, operation.number))
    worker = await pair.b.worker(hello())
    await worker.drain_messages()
    assert not worker.assignments
    await do(pair.a, Resume(CALLER, operation.number))
    assert (await worker.assigned())[0].operation.number == operation.number


async def test_what_one_server_moves_starts_in_its_new_queue_at_another(pair: Pair) -> None:
    worker = await pair.b.worker(hello(queues=("night",)))
    operation = await pair.a.submit()
    await do(pair.a, Move(CALLER, operation.number, "night"))
    assert (await worker.assigned())[0].operation.number == operation.number


@pytest.mark.parametrize("mode", [Mode.SUSPENDED, Mode.MAINTENANCE])
async def test_a_mode_holds_on_all_servers(pair: Pair, mode: Mode) -> None:
    worker = await pair.b.worker(hello())
    operation = await pair.a.submit()
    await worker.assigned()
    await pair.a.cancel(operation, force=True)
    again = await pair.a.submit()
    await do(pair.a, SetMode(CALLER, mode))
    await worker.report(worker.assignments[0])
    await worker.drain_messages()
    assert len(worker.assignments) == 1
    assert pair.b.engine.catalog.current.mode == mode
    await do(pair.a, SetMode(CALLER, Mode.ACTIVE))
    assert (await worker.assigned(2))[1].operation.number == again.number


async def test_a_pause_holds_on_all_servers(pair: Pair) -> None:
    await do(pair.a, UpdateQueue(CALLER, "default", paused=True))
    worker = await pair.b.worker(hello())
    operation = await pair.b.submit()
    await worker.drain_messages()
    assert not worker.assignments
    await do(pair.a, UpdateQueue(CALLER, "default", paused=False))
    assert (await worker.assigned())[0].operation.number == operation.number


async def test_a_worker_takes_its_session_along_to_another_server(pair: Pair) -> None:
    await pair.a.submit()
    before = await pair.a.worker(hello())
    (assignment,) = await before.assigned()
    after = await pair.b.worker(hello(leases=[held(assignment)]))
    with pytest.raises(SessionTakenOver):
        await asyncio.wait_for(before.listen(), PATIENCE_SECONDS)
    assert pair.a.engine.sessions.live == {}
    assert (await after.report(assignment)).error is None
    assert (await pair.a.get(assignment.operation)).state == State.SUCCEEDED


async def test_a_session_that_went_and_came_back_is_here(pair: Pair) -> None:
    await pair.a.submit()
    first = await pair.a.worker(hello())
    (assignment,) = await first.assigned()
    await pair.b.worker(hello(leases=[held(assignment)]))
    back = await pair.a.worker(hello(leases=[held(assignment)]))
    await pair.b.settle()
    assert pair.b.engine.sessions.live == {}
    assert pair.a.engine.sessions.live == {back.session.number: back.session}
    assert (await back.report(assignment)).error is None


async def test_a_dead_servers_sessions_are_expired_by_another(port: Port) -> None:
    alive = await port.server()
    async with port.passing_server() as dying:
        operation = await dying.submit(policy=Policy(initial_backoff=0))
        worker = await dying.worker(hello())
        await worker.assigned()
        await ticks(TIME_TO_LIVE + BEAT, alive, dying)
        assert (await alive.get(operation)).state == State.RUNNING
    await ticks(TIME_TO_LIVE, alive)
    assert (await alive.get(operation)).state == State.RUNNING
    other = await alive.worker(hello(secret=b"2" * 16))
    await ticks(2 * BEAT, alive)
    assert list(alive.engine.catalog.current.sessions) == [other.session.number]
    (assignment,) = await other.assigned()
    assert (assignment.operation.number, assignment.operation.attempt) == (operation.number, 2)


async def test_a_worker_of_a_dead_server_keeps_its_lease_elsewhere(port: Port) -> None:
    alive = await port.server()
    async with port.passing_server() as dying:
        await dying.submit()
        worker = await dying.worker(hello())
        (assignment,) = await worker.assigned()
        await ticks(TIME_TO_LIVE + BEAT, alive, dying)
    await ticks(TIME_TO_LIVE - BEAT, alive)
    moved = await alive.worker(hello(leases=[held(assignment)]))
    await ticks(2 * TIME_TO_LIVE, alive)
    assert (await moved.report(assignment)).error is None


async def test_nobody_is_silent_because_the_store_was_gone(port: Port) -> None:
    server = await port.server()
    await ticks(TIME_TO_LIVE + BEAT, server)
    operation = await server.submit()
    worker = await server.worker(hello())
    await worker.assigned()
    server.engine.sessions.leave(worker.session)
    with databases().gone(port.place):
        port.clock.advance(2 * TIME_TO_LIVE)
        with pytest.raises(LongshoreError):
            await server.engine.reaper.reap()
    await asyncio.wait_for(server.engine.presence.here.wait(), PATIENCE_SECONDS)
    await ticks(TIME_TO_LIVE - BEAT, server)
    assert (await server.get(operation)).state == State.RUNNING
    await ticks(2 * TIME_TO_LIVE, server)
    assert (await server.get(operation)).state == State.QUEUED


async def test_a_pause_that_ends_with_a_restart_outlives_that_of_one_server(
    port: Port,
) -> None:
    first = await port.server()
    await do(first, SetMode(CALLER, Mode.SUSPENDED))
    async with port.passing_server() as second:
        assert second.engine.catalog.current.mode == Mode.SUSPENDED
        await first.engine.__aexit__(None, None, None)
        async with port.passing_server() as third:
            assert third.engine.catalog.current.mode == Mode.SUSPENDED
    async with port.passing_server() as alone:
        assert alone.engine.catalog.current.mode == Mode.ACTIVE


async def test_a_listener_hears_of_results_that_came_in_at_another_server(pair: Pair) -> None:
    listener = await pair.a.engine.streams.open(CALLER, CALLER.principal)
    task = await pair.b.submit(policy=Policy(delivery=Way.CHANNEL))
    worker = await pair.b.worker(hello())
    (assignment,) = await worker.assigned()
    await worker.report(assignment)
    assert await listener.wait(PATIENCE_SECONDS)
    asked = Channel("default", CALLER.principal, after=0, limit=10)
    assert [number for _, number in await pair.a.engine.store.channel(asked)] == [task.number]


async def test_a_stream_that_is_taken_over_at_another_server_ends_here(pair: Pair) -> None:
    here = await pair.a.engine.streams.open(CALLER, CALLER.principal)
    others = await pair.a.engine.streams.open(Caller("north"), CALLER.principal)
    there = await pair.b.engine.streams.open(CALLER, CALLER.principal)
    with pytest.raises(StreamTaken):
        await here.wait(PATIENCE_SECONDS)
    await pair.b.settle()
    there.check()
    others.check()
    assert not pair.b.engine.writer.failed.done()


async def test_while_the_store_is_gone_all_is_refused_and_then_goes_on(
    pair: Pair, port: Port
) -> None:
    watchers = [await server.watch() for server in pair]
    worker = await pair.b.worker(hello(slots=2))
    first = await pair.a.submit()
    (assignment,) = await worker.assigned()
    seen = [await told(watcher, 2) for watcher in watchers]
    with databases().gone(port.place):
        for server in pair:
            with pytest.raises(LongshoreError, match="store"):
                await server.submit()
            await asyncio.wait_for(server.engine.presence.gone.wait(), PATIENCE_SECONDS)
            with pytest.raises(LongshoreError, match="store"):
                await server.get(first)
        waiting = [asyncio.create_task(told(watcher, 3)) for watcher in watchers]
        late = await pair.a.watch(after=seen[0][0].revision - 1)
        late_waiting = asyncio.create_task(told(late, 5))
        await asyncio.sleep(0)
    for server in pair:
        await asyncio.wait_for(server.engine.presence.here.wait(), PATIENCE_SECONDS)
        assert not server.engine.failed.done()
    await worker.report(assignment)
    second = await pair.a.submit()
    assert (await worker.assigned(2))[1].operation.number == second.number
    for before, after in zip(seen, waiting, strict=True):
        await after
        assert before + after.result() == await log_of(pair.a)
    assert await late_waiting == await log_of(pair.a)


async def test_a_connection_that_breaks_is_taken_anew(pair: Pair, port: Port) -> None:
    watcher = await pair.a.watch()
    submitted = 0
    for _ in range(5):
        databases().end_sessions(port.place)
        for server in pair:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await submits(server):
                    await server.engine.presence.here.wait()
                submitted += 1
    assert len(await told(watcher, submitted)) >= submitted
    assert not pair.a.engine.failed.done()


async def test_what_was_lost_while_committing_is_told_of_all_the_same(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchers = [await server.watch() for server in pair]
    worker = await pair.a.worker(hello())
    await pair.a.settle()
    with monkeypatch.context() as patched:
        lose_the_next_commit(patched, pair.a)
        with pytest.raises(OutcomeUnknown):
            await pair.a.submit(key="once")
    (outcome,) = await pair.b.engine.writer.write_all([submit(key="once")])
    assert isinstance(outcome, Submitted)
    assert not outcome.created
    # It was leased in the same commit, which its worker could not be told.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await worker.listen()).end:
            pass
    await asyncio.wait_for(pair.a.engine.presence.here.wait(), PATIENCE_SECONDS)
    back = await pair.a.worker(hello())
    (assignment,) = await back.assigned()
    assert assignment.operation.number == outcome.operation.number
    assert (await back.report(assignment)).error is None
    log = await log_of(pair.b)
    assert [one.state for one in log] == [State.QUEUED, State.RUNNING, State.SUCCEEDED]
    for watcher in watchers:
        assert await told(watcher, len(log)) == log


def lose_the_next_commit(patched: pytest.MonkeyPatch, server: Server) -> None:
    """Let a server's batch be committed, and its connection break before it can say so."""
    store: Any = server.engine.store
    execute, writing = Connection.execute, store._open.writing.pid

    async def lossy(connection: Connection[Record], query: str, *parameters: Any) -> str:
        batch = query == "COMMIT" and connection.get_server_pid() == writing
        wrote = batch and await connection.fetchval(_WRITES)
        status = await execute(connection, query, *parameters)
        if wrote:
            patched.undo()
            raise ConnectionResetError
        return status

    patched.setattr(Connection, "execute", lossy)


async def submits(server: Server) -> bool:
    try:
        await server.submit()
    except LongshoreError:
        return False
    return True


async def test_a_server_that_was_far_behind_reads_anew(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.core.limits.FOREIGN_EVENTS", 10)
    watchers = [
        await pair.a.watch(),
        await pair.a.watch(filter=parse_filter("priority = 0", Kind.TASK)),
    ]
    worker = await pair.a.worker(hello())
    operation = await pair.a.submit()
    (assignment,) = await worker.assigned()
    log = await log_of(pair.a)
    writer = pair.b.engine.writer
    changes = [submit() for _ in range(100)]
    await writer.write_all(changes)
    outgoing = await worker.listen()
    assert outgoing.end
    again = await pair.a.worker(hello(leases=[held(assignment)]))
    assert (await again.report(assignment)).error is None
    assert (await pair.b.get(operation)).state == State.SUCCEEDED
    log = await log_of(pair.a)
    for watcher in watchers:
        assert (await told(watcher, len(log)))[: len(log)] == log


async def log_of(server: Server) -> list[Event]:
    return (await server.engine.store.events(Replay("default", 0, limit=100_000))).events


class WrongClock(SystemClock):
    """A machine whose clock was never set."""

    def __init__(self, off: int) -> None:
        self.off = off

    def now(self) -> int:
        return super().now() + self.off


@pytest.mark.parametrize("off", [-HOUR, HOUR])
async def test_a_server_whose_clock_is_wrong_goes_by_that_of_the_store(
    port: Port, off: int
) -> None:
    store = PostgresStore(databases().url(port.place), ProtoCodec())
    blobs = ObstoreBlobs(str(port.place / "files"))
    async with Engine(store, blobs, clock=WrongClock(off)) as engine:
        assert abs(engine.clock.now() - SystemClock().now()) < MINUTE
        session = await engine.sessions.open(hello())
        asked = time.monotonic()
        # By the store it is up to as much later as its answers were under way.
        await engine.writer.write(submit(not_before=engine.clock.now() + 1_000))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (outgoing := await session.take(PATIENCE_SECONDS)).assignments:
                pass
        assert len(outgoing.assignments) == 1
        assert time.monotonic() - asked >= 0.25


class Toil:
    """A worker that does whatever it is given and comes back when it was sent away."""

    def __init__(self, server: Server, secret: bytes) -> None:
        self._server = server
        self._secret = secret
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):
                await self._converse()
            await self._server.engine.presence.here.wait()

    async def _converse(self) -> None:
        worker = await self._server.worker(hello(secret=self._secret, slots=3))
        try:
            await self._work(worker)
        finally:
            self._server.engine.sessions.leave(worker.session)

    async def _work(self, worker: WorkerAtTest) -> None:
        done = 0
        while worker.session.accepts:
            if done == len(worker.assignments):
                await worker.listen()
            else:
                await worker.report(worker.assignments[done])
                done += 1

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Watch:
    """A watch that runs beside everything else; what it is told must be what the log has."""

    def __init__(self, server: Server, replay: Replay, watcher: Watcher) -> None:
        self.server = server
        self.replay = replay
        self._watcher = watcher
        self._events: list[Event] = []
        self._revision = 0
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @classmethod
    async def start(cls, server: Server, replay: Replay) -> Watch:
        return cls(server, replay, await server.engine.watch(replay))

    async def _run(self) -> None:
        while True:
            told = await self._watcher.next(0.05)
            self._events += told.events
            assert told.revision >= self._revision
            self._revision = told.revision
            self._moved.set()

    async def reach(self, revision: int) -> list[Event]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._revision < revision:
                self._moved.clear()
                await self._moved.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return [one for one in self._events if one.revision <= revision]


@pytest.mark.parametrize("outages", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_every_watcher_of_every_server_sees_each_event_once_in_order(
    pair: Pair, port: Port, seed: int, *, outages: bool
) -> None:
    chance = random.Random(seed)
    toils = [Toil(server, bytes([index]) * 16) for index, server in enumerate(pair)]
    operations: list[Operation] = []
    watches: list[Watch] = []
    for turn in range(60):
        server = chance.choice(pair)
        submits = [server.submit(priority=chance.randrange(3)) for _ in range(turn % 4 + 1)]
        operations += await asyncio.gather(*submits)
        await meddle(chance, chance.choice(pair), chance.choice(operations))
        if outages and turn % 25 == 20:
            await outage(pair, port)
        if turn % 6 == 0:
            watches.append(await some_watch(chance, chance.choice(pair), operations))
    for operation in operations:
        await meddle_with(chance.choice(pair), Resume(CALLER, operation.number))
    await all_end(pair.a, operations)
    await asyncio.gather(*(toil.stop() for toil in toils))
    revision = (await pair.b.engine.store.catalog()).revision
    for watch in watches:
        events = await watch.reach(revision)
        question = watch.replay._replace(limit=100_000)
        assert events == (await watch.server.engine.store.events(question)).events


async def outage(pair: Pair, port: Port) -> None:
    """Take the store away until both servers have noticed, and wait until both are back."""
    with databases().gone(port.place):
        for server in pair:
            await asyncio.wait_for(server.engine.presence.gone.wait(), PATIENCE_SECONDS)
    for server in pair:
        await asyncio.wait_for(server.engine.presence.here.wait(), PATIENCE_SECONDS)


async def all_end(server: Server, operations: list[Operation]) -> None:
    unfinished = {one.number for one in operations}
    watcher = await server.watch()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while unfinished:
            events = (await watcher.next(PATIENCE_SECONDS)).events
            unfinished -= {one.number for one in events if one.state >= FIRST_TERMINAL}


async def meddle(chance: random.Random, server: Server, operation: Operation) -> None:
    number = operation.number
    changes: list[Change] = [
        Suspend(CALLER, number),
        Resume(CALLER, number),
        Move(CALLER, number, "default"),
    ]
    if chance.random() < 0.3:
        await asyncio.gather(server.cancel(number), return_exceptions=True)
    else:
        await meddle_with(server, chance.choice(changes))


async def meddle_with(server: Server, change: Change) -> None:
    """Try what may be refused in the state that things are in."""
    await server.engine.writer.write_all([change])


async def some_watch(
    chance: random.Random, server: Server, operations: list[Operation]
) -> Watch:
    numbers = [one.number for one in chance.sample(operations, min(3, len(operations)))]
    question = chance.choice(
        [
            Replay("default", 0),
            Replay("default", chance.randrange(server.engine.feed.revision + 1)),
            Replay("default", 0, kinds=frozenset({EventKind.STATE_CHANGED})),
            Replay("default", 0, filter=parse_filter("number > 20", Kind.TASK)),
            Replay("default", 0, numbers=frozenset(numbers)),
        ]
    )
    return await Watch.start(server, question)

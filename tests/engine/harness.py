"""An engine over a store on disk, with clocks that tests move."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from longshore.core import policies
from longshore.core.blobs import Chunk
from longshore.core.callers import Caller, Target
from longshore.core.changes import Cancel, Change, Key, Submit, Submitted
from longshore.core.events import Event
from longshore.core.operations import Kind, Operation, Record
from longshore.core.policies import Policy
from longshore.core.reports import Assignment, Body, Completed
from longshore.core.store import Applied, Events, Replay, Store
from longshore.engine.clock import MovableClock
from longshore.engine.conversation import (
    Acknowledgement,
    HeldLease,
    Hello,
    Outgoing,
    Stop,
    WorkerReport,
)
from longshore.engine.engine import Engine
from longshore.engine.feed import Watcher
from longshore.engine.live import LiveSession
from longshore.engine.settings import EngineSettings
from longshore.server.codec import ProtoCodec
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.sqlite.store import SqliteStore
from longshore.v1.operation_pb2 import ActionCall
from longshore.v1.task_service_pb2 import Task, TaskSpec
from tests.tools.counted_blobs import CountedBlobs

CALLER = Caller()
ACTION = "carry"
NOON = 1_750_000_000_000  #: Milliseconds since 1970, where every test begins.

#: Long enough for a loaded machine; nothing waits for it unless something is broken.
PATIENCE_SECONDS = 45.0


class StillClock(MovableClock):
    """Both clocks; they stand still until they are moved."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_000.0

    def now(self) -> int:
        return NOON + self.ahead

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.move(round(seconds * 1_000))


class ObservedStore(SqliteStore):
    """The real store, which also says what it was asked and fails on demand."""

    def __init__(self, path: Path, clock: StillClock) -> None:
        super().__init__(path, ProtoCodec(), clock.now)
        self.batches: list[Sequence[Change]] = []
        self.replays: list[Replay] = []
        self.failure: Exception | None = None
        #: Changes of this kind fail, alone.
        self.poison: type | None = None
        #: Point reads wait for it, as those of a store behind a network may.
        self.reads = asyncio.Event()
        self.reads.set()
        #: Set when a point read has begun.
        self.read = asyncio.Event()

    async def apply(self, changes: Sequence[Change]) -> Applied:
        self.batches.append(changes)
        if self.failure is not None:
            raise self.failure
        applied = await super().apply([one for one in changes if type(one) is not self.poison])
        outcomes = iter(applied.outcomes)
        return applied._replace(
            outcomes=[
                RuntimeError("a bug") if type(one) is self.poison else next(outcomes)
                for one in changes
            ]
        )

    async def get(
        self, tenant: str, targets: Sequence[Target], parts: Sequence[int] = ()
    ) -> list[Record | None]:
        self.read.set()
        await self.reads.wait()
        return await super().get(tenant, targets, parts)

    async def events(self, replay: Replay) -> Events:
        self.replays.append(replay)
        return await super().events(replay)


class ObservedBlobs(CountedBlobs):
    """Blobs that count who reads, and fail on demand."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.failure: Exception | None = None
        self.removed = asyncio.Event()

    async def write(self, name: str, chunks: AsyncIterable[Chunk]) -> None:
        if self.failure is not None:
            await super().write(name, self._cut(chunks, self.failure))
        await super().write(name, chunks)

    async def _cut(
        self, chunks: AsyncIterable[Chunk], failure: Exception
    ) -> AsyncGenerator[Chunk]:
        async for chunk in chunks:
            yield chunk
            raise failure

    async def remove(self, names: Iterable[str]) -> None:
        if self.failure is not None:
            raise self.failure
        await super().remove(names)
        self.removed.set()


class Machine:
    """A running engine, and the few things that tests ask of it."""

    def __init__(
        self, path: Path, clock: StillClock, settings: EngineSettings | None = None
    ) -> None:
        self.clock = clock
        self.store = ObservedStore(path, clock)
        self._set_up(path, self.store, settings)

    def _set_up(self, path: Path, store: Store, settings: EngineSettings | None) -> None:
        self.folder = Path(f"{path}.files")
        self.blobs = ObservedBlobs(str(self.folder))
        self.engine = Engine(store, self.blobs, settings or EngineSettings(), self.clock)

    async def __aenter__(self) -> Self:
        await self.engine.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.engine.__aexit__(kind, error, trace)

    async def submit(self, **options: object) -> Operation:
        submitted = await self.engine.writer.write(submit(**options))  # type: ignore[arg-type]
        assert isinstance(submitted, Submitted)
        return submitted.operation

    async def cancel(self, operation: Operation | int, *, force: bool = False) -> None:
        number = operation if isinstance(operation, int) else operation.number
        await self.engine.writer.write(Cancel(CALLER, number, force=force))

    async def get(self, operation: Operation) -> Operation:
        (record,) = await self.engine.store.get("default", [operation.number])
        assert record is not None
        return record.operation

    async def settle(self) -> None:
        """Wait until the writer has looked at what is due and what can be leased."""
        # An operation that does not exist is refused, at the price of one whole batch.
        outcomes = await self.engine.writer.write_all([Cancel(CALLER, 10**9)])
        assert isinstance(outcomes[0], Exception)

    async def watch(self, after: int = 0, **question: object) -> Watcher:
        return await self.engine.watch(Replay("default", after, **question))  # type: ignore[arg-type]

    async def worker(self, hello: Hello) -> WorkerAtTest:
        return WorkerAtTest(self, await self.engine.sessions.open(hello))


class Server(Machine):
    """An engine over a PostgreSQL database, which others may share.

    Its reaper looks when a test lets it, and not by itself: two looks at once would be in each
    other's way on the connection that beats have.
    """

    def __init__(
        self,
        url: str,
        path: Path,
        clock: StillClock,
        settings: EngineSettings | None = None,
    ) -> None:
        self.clock = clock
        self._set_up(path, PostgresStore(url, ProtoCodec(), clock.now), settings)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        within: Any = self.engine
        (reaping,) = (one for one in within._background if one.get_name() == "reaper")
        reaping.cancel()
        return self


class WorkerAtTest:
    """The worker's side of a live session."""

    def __init__(self, machine: Machine, session: LiveSession) -> None:
        self.machine = machine
        self.session = session
        self.assignments: list[Assignment] = []
        self.stops: list[Stop] = []
        self.acknowledgements: list[Acknowledgement] = []
        self._sequences = itertools.count(1)

    def collect(self, outgoing: Outgoing) -> Outgoing:
        self.assignments += outgoing.assignments
        self.stops += outgoing.stops
        self.acknowledgements += outgoing.acknowledgements
        return outgoing

    async def listen(self) -> Outgoing:
        """Take what there is to tell, waiting for it."""
        return self.collect(await self.session.take(PATIENCE_SECONDS))

    async def assigned(self, count: int = 1) -> list[Assignment]:
        """Listen until so many assignments have come in all."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.assignments) < count:
                await self.listen()
        return self.assignments

    async def stopped(self, count: int = 1) -> list[Stop]:
        """Listen until so many stop orders have come in all."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.stops) < count:
                await self.listen()
        return self.stops

    async def drain_messages(self) -> None:
        """Take what there is to tell after everything so far is settled."""
        await self.machine.settle()
        await self.machine.settle()
        self.collect(await self.session.take(0.0))

    async def report(
        self, assignment: Assignment, body: Body | None = None, sequence: int | None = None
    ) -> Acknowledgement:
        """Report on a lease and return the acknowledgement."""
        operation = assignment.operation
        report = WorkerReport(
            operation.number,
            operation.token,
            sequence or next(self._sequences),
            Completed(b"") if body is None else body,
        )
        before = len(self.acknowledgements)
        await self.session.report([report])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.acknowledgements) == before:
                await self.listen()
        return self.acknowledgements[-1]


def request(*actions: str) -> bytes:
    calls = [ActionCall(action=action) for action in actions or (ACTION,)]
    return Task(spec=TaskSpec(actions=calls)).SerializeToString()


def plan_with_missing_argument() -> bytes:
    call = ActionCall(action=ACTION, argument_paths={"from": "nowhere"})
    return Task(spec=TaskSpec(actions=[call])).SerializeToString()


def submit(
    *,
    key: str | None = None,
    digest: bytes = b"body",
    body: bytes | None = None,
    steps: int = 0,
    not_before: int | None = None,
    priority: int = 0,
    queue: str = "default",
    policy: Policy | None = None,
    attributes: str | None = None,
    kind: int = Kind.TASK,
    tenant: str = "default",
) -> Submit:
    return Submit(
        caller=Caller(tenant),
        kind=kind,
        id=os.urandom(16),
        queue=queue,
        actions=(ACTION,),
        steps=steps,
        request=body or request(),
        priority=priority,
        policy=(policy or policies.DEFAULT).encode(),
        not_before=not_before,
        attributes=attributes,
        key=None if key is None else Key(key, digest),
    )


def hello(
    *,
    secret: bytes = b"s" * 16,
    slots: int = 1,
    leases: Sequence[HeldLease] = (),
    queues: tuple[str, ...] = ("default",),
    name: str = "stevedore",
) -> Hello:
    return Hello(CALLER, secret, name, queues, (ACTION,), slots, (), tuple(leases))


def held(assignment: Assignment) -> HeldLease:
    return HeldLease(assignment.operation.number, assignment.operation.token)


async def told(watcher: Watcher, count: int) -> list[Event]:
    """Return what a watcher is told until it has so many events."""
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(events) < count:
            events += (await watcher.next(PATIENCE_SECONDS)).events
    return events


async def waiting(*futures: asyncio.Future[list[object]]) -> list[list[object]]:
    return await asyncio.wait_for(asyncio.gather(*futures), PATIENCE_SECONDS)

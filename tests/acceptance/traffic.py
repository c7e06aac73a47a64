"""Traffic over two servers: callers, workers and watchers who carry on whatever breaks.

All of them note what they are told; `History` has it when all is over.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc.aio
from grpc import StatusCode

from longshore.client import Client
from longshore.v1.operation_pb2 import Event
from longshore.v1.operation_service_pb2 import WatchOperationsRequest, WatchOperationsResponse
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    SubmitTaskRequest,
    SubmitTaskResponse,
    Task,
)
from longshore.worker import Context, Worker
from tests.acceptance.checkers import TERMINAL
from tests.acceptance.histories import (
    Canceled,
    Executed,
    History,
    Kept,
    Sighting,
    Span,
    Submitted,
    Watched,
    sighting,
)
from tests.acceptance.lighterman import ACTIONS, PASSING, SERVICE, Lighterman
from tests.acceptance.office import Office, events_of, request, retry
from tests.acceptance.promises import MOST_ATTEMPTS
from tests.acceptance.waiting import eventually, eventually_answered, within

T = TypeVar("T")

COLOURS: Final = ("red", "green")

_CALLERS: Final = 3
_CALL_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 0.05  #: Until whoever was not served tries the next server.


class Traffic:
    """Goes on from entering to leaving; `history` lets it end in good order before that."""

    def __init__(self, addresses: Sequence[str], seed: int = 0) -> None:
        self._addresses = addresses
        self._chance = random.Random(seed)
        self._offices: list[Office] = []
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._calling: list[asyncio.Task[None]] = []
        self._closing = False
        self._submits: list[Submitted] = []
        self._cancels: list[Canceled] = []
        self._executions: list[Executed] = []
        self._watches: list[Watched] = []
        self._lightermen: list[Lighterman] = []
        self._working: list[asyncio.Task[None]] = []
        self._ended: set[str] = set()
        self._began = _now()
        #: How often somebody was not served.
        self.setbacks = 0

    async def __aenter__(self) -> Self:
        # Nobody waits for connections: they come when they come.
        self._offices = [Office(address) for address in self._addresses]
        there, back = self._offices, self._offices[::-1]
        for name, offices in (("north", there), ("south", back)):
            lighterman = Lighterman(name, offices)
            self._lightermen.append(lighterman)
            self._working.append(self._start(lighterman.run()))
        for name, addresses in (("east", self._addresses), ("west", self._addresses[::-1])):
            self._start(self._worker(name).run(addresses, stopping=asyncio.Event()))
        self._start(self._watch("first", there))
        self._start(self._watch("second", back))
        self._start(self._watch("third", there, "red"))
        self._start(self._watch("fourth", back, "green"))
        self._start(self._watch_by_client())
        self._calling = [
            asyncio.create_task(self._call(str(number), (there, back)[number % 2]))
            for number in range(_CALLERS)
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(f"--- {len(self._submits)} submits, {len(self._ended)} ended")
            for watched in self._watches:
                print(f"--- {watched.name} watcher: {watched.sightings[-1:]}")
        for task in (*self._calling, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._calling, *self._tasks, return_exceptions=True)
        for office in self._offices:
            await office.channel.close()

    def _start(self, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(running))
        return self._tasks[-1]

    # What tests ask.

    async def goes_on(self, count: int = 20) -> None:
        """Wait until so many more submits were answered and so many more operations ended."""
        submits, ended = len(self._submits) + count, len(self._ended) + count

        def look() -> bool:
            self._look_for_faults()
            return len(self._submits) >= submits and len(self._ended) >= ended

        await eventually(look, f"{count} more submits and ends")

    async def setback(self, count: int = 1) -> None:
        """Wait until so many more calls were not served."""
        setbacks = self.setbacks + count

        def look() -> bool:
            self._look_for_faults()
            return self.setbacks >= setbacks

        await eventually(look, f"{count} more calls that are not served")

    def lose_a_worker(self) -> None:
        """Let a worker fall silent without a goodbye, at work or not."""
        lighterman = self._working.pop()
        lighterman.cancel()
        self._tasks.remove(lighterman)

    async def history(self, revisions: Callable[[], Awaitable[list[Any]]]) -> History:
        """Let the callers end, wait for the end of all work, and return what all have seen.

        `revisions` reads from the disk the revisions of all events, and whether each is of an
        operation.
        """
        # What a caller has begun is answered: a submit that it left might be written any time.
        self._closing = True
        calling = asyncio.gather(*self._calling, return_exceptions=True)
        for ended in await within(calling, "the last answers to all callers"):
            if isinstance(ended, Exception):
                raise ended
        self._calling.clear()
        office = self._offices[0]
        tasks = await eventually_answered(lambda: self._ended_tasks(office), "the ends of all")
        operations = [_kept(task) for task in tasks]
        log = await eventually_answered(lambda: self._log(office), "the log")
        for watched in self._watches:
            await self._complete(watched, log, operations)
        return History(
            self._submits,
            self._cancels,
            [each for one in self._lightermen for each in one.assignments],
            [each for one in self._lightermen for each in one.settlements],
            self._executions,
            self._watches,
            log,
            operations,
            await revisions(),
            Span(self._began, _now()),
        )

    async def _ended_tasks(self, office: Office) -> list[Task]:
        """Return all tasks once all have ended. A server that is not itself again is no answer."""
        self._look_for_faults()
        tasks = await self._try(office.all_tasks()) or []
        return tasks if all(task.status.state in TERMINAL for task in tasks) else []

    async def _log(self, office: Office) -> list[Event]:
        return await self._try(office.history(include_logs=True)) or []

    async def _complete(
        self, watched: Watched, log: Sequence[Event], operations: Sequence[Kept]
    ) -> None:
        """Wait until a watcher has been told of the last event that it asked for."""
        chosen = {one.operation_id for one in operations if watched.colour in ("", one.colour)}
        last = max(event.revision for event in log if event.operation_id in chosen)

        def look() -> bool:
            self._look_for_faults()
            return bool(watched.sightings) and watched.sightings[-1].revision >= last

        await eventually(look, f"revision {last} to reach the {watched.name} watcher")

    def _look_for_faults(self) -> None:
        for task in (*self._calling, *self._tasks):
            if task.done() and not task.cancelled():
                task.result()
                raise AssertionError(f"{task} ended by itself")

    # Callers.

    async def _call(self, name: str, offices: Sequence[Office]) -> None:
        """Submit one operation after the other until all close; repeat and cancel some."""
        chance = random.Random(self._chance.random())
        turns = deque(offices)
        for number in itertools.count():
            if self._closing:
                return
            options = retry(MOST_ATTEMPTS)
            options.labels["colour"] = chance.choice(COLOURS)
            if chance.random() < 0.1:
                options.start_time.FromMilliseconds(_now() + 500)
            action = chance.choices(ACTIONS, (8, 1, 1))[0]
            sent = request(action, f"{name}-{number}", options)
            answer = await self._submit(sent, turns)
            if chance.random() < 0.2:
                await self._cancel(answer.task.metadata.id, turns[0], chance)
            if chance.random() < 0.2:
                turns.rotate()
                await self._submit(sent, turns)
            await asyncio.sleep(chance.uniform(0.0, 0.1))

    async def _submit(
        self, sent: SubmitTaskRequest, turns: deque[Office]
    ) -> SubmitTaskResponse:
        """Submit until it is answered, by the first of the servers or else by the next."""
        while True:
            tasks = turns[0].tasks
            answer = await self._try(tasks.SubmitTask(sent, timeout=_CALL_SECONDS))
            if answer is not None:
                self._submits.append(_submitted(sent.request_id, answer))
                return answer
            turns.rotate()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _cancel(self, operation_id: str, office: Office, chance: random.Random) -> None:
        sent = CancelTaskRequest(id=operation_id, force=chance.random() < 0.3)
        answer = await self._try(office.tasks.CancelTask(sent, timeout=_CALL_SECONDS))
        if answer is not None:
            self._cancels.append(Canceled(operation_id))

    async def _try(self, call: Awaitable[T]) -> T | None:
        """Return an answer; None if there was none. Raises every other refusal."""
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            if error.code() is StatusCode.FAILED_PRECONDITION:
                return None  # It had ended already.
            if error.code() not in PASSING:
                raise
            self.setbacks += 1
            return None

    # Workers.

    def _worker(self, name: str) -> Worker:
        worker = Worker(SERVICE, slots=4, identity=name)

        async def work(context: Context) -> None:
            self._executions.append(Executed(name, context.operation_id, context.attempt))
            await asyncio.sleep(random.uniform(0.005, 0.03))

        @worker.action
        async def toil(context: Context) -> None:
            await work(context)

        @worker.action
        async def stumble(context: Context) -> None:
            await work(context)
            if context.attempt == 1:
                raise RuntimeError("one foot before the other")

        @worker.action
        async def fail(context: Context) -> None:
            await work(context)
            raise RuntimeError("the crane is broken")

        return worker

    # Watchers.

    async def _watch(self, name: str, offices: Sequence[Office], colour: str = "") -> None:
        """Watch, on the next server whenever a stream breaks, from where it broke."""
        sightings: list[Sighting] = []
        self._watches.append(Watched(name, colour, sightings))
        seen = 0
        for office in itertools.cycle(offices):
            wanted = f"labels.colour = {colour}" if colour else ""
            sent = WatchOperationsRequest(filter=wanted, after_revision=seen, include_logs=True)
            try:
                async for message in _messages(office.operations.WatchOperations(sent)):
                    for event in events_of(message):
                        self._see(event, sightings)
                    seen = message.revision if message.HasField("revision") else seen
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _watch_by_client(self) -> None:
        sightings: list[Sighting] = []
        self._watches.append(Watched("client's", "", sightings))
        async with Client(self._addresses) as client:
            async for change in client.operations.watch(after_revision=0, include_logs=True):
                self._see(change.event, sightings)

    def _see(self, event: Event, sightings: list[Sighting]) -> None:
        sightings.append(sighting(event))
        if event.state in TERMINAL:
            self._ended.add(event.operation_id)


async def _messages(stream: Any) -> AsyncIterator[WatchOperationsResponse]:
    try:
        while isinstance(message := await stream.read(), WatchOperationsResponse):
            yield message
    finally:
        stream.cancel()


def _submitted(request_id: str, answer: SubmitTaskResponse) -> Submitted:
    task = answer.task
    fixed = Task(metadata=task.metadata, spec=task.spec)
    return Submitted(
        request_id,
        task.metadata.id,
        task.metadata.number,
        answer.created,
        fixed.SerializeToString(deterministic=True),
    )


def _kept(task: Task) -> Kept:
    metadata = task.metadata
    return Kept(
        metadata.id,
        metadata.number,
        metadata.request_id,
        metadata.labels["colour"],
        task.status.state,
        task.status.attempt,
        task.options.start_time.ToMilliseconds(),
    )


def _now() -> int:
    return time.time_ns() // 1_000_000

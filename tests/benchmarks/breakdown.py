"""Where the microseconds of a unary submit go, measured inside the real parts.

The server's own objects run in this process, without the wire, with 64 submits in flight. Each
step is timed where it happens; what gRPC adds is what a bare echo server takes for a call.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

from longshore.core.callers import Caller
from longshore.core.principals import ANONYMOUS
from longshore.engine.catalog import CatalogCache
from longshore.engine.dispatcher import Dispatcher
from longshore.engine.engine import Engine
from longshore.engine.feed import Feed
from longshore.server import faces, methods, submissions, worker_messages
from longshore.server.codec import ProtoCodec
from longshore.server.directory import Directory
from longshore.server.gate import Gate
from longshore.server.limits import DEFAULT
from longshore.server.messages import Messages
from longshore.server.submissions import Submissions
from longshore.server.task_service import TaskService
from longshore.server.watches import Watches
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.sqlite import applying
from longshore.stores.sqlite.applying import Applier
from longshore.stores.sqlite.rows import SqliteRows
from longshore.stores.sqlite.store import SqliteStore
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import Call, in_flight
from tests.benchmarks.messages import hello, submit_request
from tests.benchmarks.processes import echo_server
from tests.benchmarks.samples import Sample

_WIDTH: Final = 64

Submit = Callable[[], Awaitable[bytes]]

#: What a submit does on the event loop's thread, and the functions that do it.
_STEPS: Final[dict[str, tuple[tuple[Any, str], ...]]] = {
    "decode": ((methods, "decode"),),
    "checks, and the change made": ((submissions, "task_change"),),
    "rows read": ((SqliteRows, "preload"),),
    "decision": ((applying, "decide_all"),),
    "rows written": (
        (applying, "write"),
        (applying, "write_installation"),
        (applying, "write_head"),
    ),
    "feed and dispatcher": (
        (CatalogCache, "follow"),
        (Dispatcher, "applied"),
        (Feed, "publish"),
    ),
    "answer encoded": ((Messages, "accepted"), (faces, "submitted")),
}
_COMMIT: Final = "commit"
_FUNCTIONS: Final = {
    **_STEPS,
    _COMMIT: ((Applier, "_commit"), (Applier, "_commit_here")),
}

_LOOKS: Final = 10_000


class _Context:
    """The little of a gRPC context that a unary call looks at."""

    def __init__(self, request: bytes) -> None:
        self._request = request

    async def read(self) -> bytes:
        return self._request

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("user-agent", "grpc-python-asyncio/1.85.1"),)

    def peer(self) -> str:
        return "ipv4:127.0.0.1:50000"

    def set_trailing_metadata(self, metadata: object) -> None:
        pass


async def measure(bench: Bench) -> list[Figure]:
    calls = bench.size(6_000, 200)
    rounds: list[dict[str, float]] = []
    async with _service(bench.directory / "breakdown.db") as submit:
        answer = await submit()
        for turn in range(bench.size(5, 1) + 1):
            rounds.append(await _round(submit, calls))
            bench.say(f"round {turn}")
    async with echo_server(answer) as echo, connected(echo.address) as channel:
        stub, request = TaskServiceStub(channel), submit_request()
        await in_flight(lambda: stub.SubmitTask(request), calls, _WIDTH)
        before = echo.cpu_seconds()
        await in_flight(lambda: stub.SubmitTask(request), calls, _WIDTH)
        wire = (echo.cpu_seconds() - before) / calls * 1e6
    wire_figure = Figure(name="  gRPC: a bare echo", unit="µs", value=Sample.of([wire]))
    names = list(rounds[0])
    return [*(_figure(name, rounds[1:]) for name in names), wire_figure]


def _figure(name: str, rounds: list[dict[str, float]]) -> Figure:
    return Figure(name=name, unit="µs", value=Sample.of([one[name] for one in rounds]))


async def _round(submit: Submit, calls: int) -> dict[str, float]:
    """Return the microseconds of each step, and of all, per submit."""
    bare = await _loop_microseconds(partial(asyncio.sleep, 0), calls)
    meters = {name: _Meter(time.thread_time_ns) for name in _STEPS}
    meters[_COMMIT] = _Meter(time.perf_counter_ns)
    with ExitStack() as stack:
        for name, functions in _FUNCTIONS.items():
            for owner, attribute in functions:
                timed = meters[name].timing(getattr(owner, attribute))
                stack.enter_context(patch.object(owner, attribute, timed))
        measured = await _loop_microseconds(submit, calls)
    own = sum(meter.own_cost for meter in meters.values()) / calls / 1e3
    total = measured - bare - own
    steps = {name: meters[name].spent / calls / 1e3 for name in _STEPS}
    return {
        "a unary submit, on the event loop": total,
        **{f"  {name}": microseconds for name, microseconds in steps.items()},
        "  hand-over: writer, futures, turns of the loop": total - sum(steps.values()),
        "  waited for: the disk sync, shared by a batch": meters[_COMMIT].spent / calls / 1e3,
    }


async def _loop_microseconds(call: Call, calls: int) -> float:
    """Return the processor time of this thread for each call."""
    before = time.thread_time()
    await in_flight(call, calls, _WIDTH)
    return (time.thread_time() - before) / calls * 1e6


class _Meter:
    """Adds up the nanoseconds of the functions it times, less what looking at the clock takes.

    The clock of the thread is not disturbed by other programs, but only the other one sees
    what happens in another thread.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        start = clock()
        for _ in range(_LOOKS):
            clock()
        self._look = (clock() - start) // _LOOKS
        self._readings = 0
        self._measured = 0

    @property
    def spent(self) -> int:
        return self._measured - self._readings * self._look

    @property
    def own_cost(self) -> int:
        return 2 * self._readings * self._look

    def timing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            start = self._clock()
            try:
                return function(*arguments, **named)
            finally:
                self._add(start)

        @wraps(function)
        async def timed_coroutine(*arguments: Any, **named: Any) -> Any:
            start = self._clock()
            try:
                return await function(*arguments, **named)
            finally:
                self._add(start)

        return timed_coroutine if inspect.iscoroutinefunction(function) else timed

    def _add(self, start: int) -> None:
        self._measured += self._clock() - start
        self._readings += 1


@asynccontextmanager
async def _service(path: Path) -> AsyncGenerator[Submit]:
    """Run the parts of a server, and yield what one submit is to them."""
    async with Engine(SqliteStore(path, ProtoCodec()), ObstoreBlobs(f"{path}.files")) as engine:
        greeting = worker_messages.hello_of(hello(1).hello, Caller(), ANONYMOUS, bytes(32))
        engine.sessions.leave(await engine.sessions.open(greeting))
        directory = Directory(engine.catalog)
        messages = Messages(directory)
        watches = Watches(engine, messages)
        service = TaskService(engine, Submissions(directory), messages, watches)
        yield partial(
            _handler(service, engine), (), _Context(submit_request().SerializeToString())
        )


def _handler(service: TaskService, engine: Engine) -> Callable[..., Awaitable[bytes]]:
    """Return what gRPC would call for `SubmitTask`."""
    gate = Gate(None, DEFAULT, certificates=False, reflection_is_open=True)
    handlers: Any = methods.handlers_of(cast("Any", service), gate, engine.learn)
    submit: Callable[..., Awaitable[bytes]] = handlers["SubmitTask"].stream_unary
    return submit

"""A whole server on a port of its own, and a worker that speaks the bare contract."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from longshore.access.keeper import Keeper
from longshore.core.access import Access
from longshore.core.blobs import Blobs
from longshore.core.store import Store
from longshore.engine.clock import Clock, SystemClock
from longshore.engine.engine import Engine
from longshore.engine.settings import EngineSettings
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.server.limits import DEFAULT, AccessLimits
from longshore.server.reflection import Reflection
from longshore.server.tls import Tls
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.sqlite.store import SqliteStore
from longshore.v1 import operation_pb2, task_service_pb2, worker_service_pb2
from longshore.v1.catalog_service_pb2 import Parameter, ParameterType, Service, ServiceAction
from longshore.v1.catalog_service_pb2_grpc import CatalogServiceStub
from longshore.v1.file_service_pb2 import FileHeader, UploadFileRequest
from longshore.v1.file_service_pb2_grpc import FileServiceStub
from longshore.v1.job_service_pb2_grpc import JobServiceStub
from longshore.v1.launch_service_pb2_grpc import LaunchServiceStub
from longshore.v1.operation_service_pb2_grpc import OperationServiceStub
from longshore.v1.queue_service_pb2_grpc import QueueServiceStub
from longshore.v1.server_service_pb2_grpc import ServerServiceStub
from longshore.v1.task_service_pb2_grpc import TaskServiceStub
from longshore.v1.worker_service_pb2_grpc import WorkerServiceStub
from tests.tools.principals import Principals

#: Long enough for a loaded machine; nothing waits for it unless something is broken.
PATIENCE_SECONDS = 30.0

#: Of servers that many tests share: nobody who has left, or is silent, is given up meanwhile,
#: which would be told as everything is that happens.
LASTING = EngineSettings(beat_seconds=1_000.0, time_to_live_seconds=3_600.0)

#: Call metadata, in the order in which it is sent.
Metadata = tuple[tuple[str, str | bytes], ...]


class World:
    """A server over a store, and the stubs of its services."""

    def __init__(self, engine: Engine, server: Server, channel: grpc.aio.Channel) -> None:
        self.engine = engine
        self.server = server
        self.channel = channel
        self.tasks: Any = TaskServiceStub(channel)
        self.jobs: Any = JobServiceStub(channel)
        self.launches: Any = LaunchServiceStub(channel)
        self.operations: Any = OperationServiceStub(channel)
        self.catalog: Any = CatalogServiceStub(channel)
        self.files: Any = FileServiceStub(channel)
        self.queues: Any = QueueServiceStub(channel)
        self.workers: Any = WorkerServiceStub(channel)
        self.servers: Any = ServerServiceStub(channel)

    async def submit(
        self, request: task_service_pb2.SubmitTaskRequest
    ) -> task_service_pb2.Task:
        response = await self.tasks.SubmitTask(request)
        task: task_service_pb2.Task = response.task
        return task

    async def get(self, task_id: str, **fields: Any) -> task_service_pb2.Task:
        response = await self.tasks.GetTask(
            task_service_pb2.GetTaskRequest(id=task_id, **fields)
        )
        task: task_service_pb2.Task = response.task
        return task

    async def revision(self) -> int:
        """Return the newest revision, of events that lists and watches show or not."""
        return self.engine.feed.revision

    def saying(self, *metadata: tuple[str, str | bytes]) -> World:
        """Return the same world as it is for who says this with every call."""
        channel: Any = _Introduced(self.channel, metadata)
        return World(self.engine, self.server, channel)

    def over(self, channel: grpc.aio.Channel) -> World:
        """Return the same world over another connection."""
        return World(self.engine, self.server, channel)


class _Introduced:
    """A channel whose calls all say something before what they say themselves."""

    def __init__(self, channel: Any, metadata: Metadata) -> None:
        self._channel = channel
        self._metadata = metadata

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        """Return what makes methods of a kind, such as `unary_unary`."""
        make = getattr(self._channel, kind)

        def method(*described: Any, **options: Any) -> Callable[..., Any]:
            ask = make(*described, **options)

            def call(*request: Any, metadata: Metadata = (), **more: Any) -> Any:
                return ask(*request, metadata=(*self._metadata, *metadata), **more)

            return call

        return method


@asynccontextmanager
async def serving(
    store: Path,
    settings: EngineSettings | None = None,
    clock: Clock | None = None,
    blobs: Blobs | None = None,
    *,
    access: Access | None = None,
    limits: AccessLimits = DEFAULT,
    reflection: Reflection = Reflection.OPEN,
    tls: Tls | None = None,
    database: str = "",
) -> AsyncGenerator[World]:
    """Serve a store until the block ends, by a clock of its own if one is given.

    With a database it is at that URL, which others may serve as well. Without an `access` anybody may do everything. With `tls` the stubs of this world reach
    nobody: see `World.over`.
    """
    clock = clock or SystemClock()
    blobs = blobs or ObstoreBlobs(f"{store}.files")
    kept: Store = SqliteStore(store, ProtoCodec(), clock.now)
    if database:
        kept = PostgresStore(database, ProtoCodec(), clock.now)
    engine = Engine(kept, blobs, settings, clock)
    async with (
        engine,
        Server(
            engine,
            "127.0.0.1:0",
            access=access,
            limits=limits,
            reflection=reflection,
            tls=tls,
        ) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield World(engine, server, channel)


@asynccontextmanager
async def guarded(
    store: Path,
    principals: Principals,
    *,
    patient: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
    **options: Any,
) -> AsyncGenerator[World]:
    """Serve those principals only; options are those of `serving`.

    A patient server forgets failures at once, so that nobody has to wait after a few of them;
    any other tells by the monotonic clock how long ago they were. Credentials expire by the
    clock on the wall.
    """
    if patient:
        monotonic = itertools.count(step=1_000).__next__
    async with (
        Keeper(principals.file, poll_seconds=0.02, clock=wall, monotonic=monotonic) as keeper,
        serving(store, access=keeper, **options) as world,
    ):
        yield world


class Stevedore:
    """A worker that reports what the test tells it to."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._assignments: deque[worker_service_pb2.WorkAssignment] = deque()
        self.stops: deque[worker_service_pb2.StopOrder] = deque()
        self.acknowledgements: deque[worker_service_pb2.Acknowledgement] = deque()
        self.sequences: dict[int, int] = {}
        self.welcome = worker_service_pb2.Welcome()

    async def say(self, **fields: Any) -> None:
        await self.stream.write(worker_service_pb2.WorkRequest(**fields))

    async def hear(self) -> worker_service_pb2.WorkResponse:
        async with asyncio.timeout(PATIENCE_SECONDS):
            heard = await self.stream.read()
        assert isinstance(heard, worker_service_pb2.WorkResponse), "the stream ended"
        self._assignments.extend(heard.assignments)
        self.stops.extend(heard.stops)
        self.acknowledgements.extend(heard.acknowledgements)
        return heard

    async def assigned(self) -> worker_service_pb2.WorkAssignment:
        while not self._assignments:
            await self.hear()
        return self._assignments.popleft()

    async def report(
        self, assignment: worker_service_pb2.WorkAssignment, **detail: Any
    ) -> worker_service_pb2.Acknowledgement:
        """Report under a lease and return how that was taken."""
        token = assignment.lease_token
        sequence = self.sequences[token] = self.sequences.get(token, 0) + 1
        report = worker_service_pb2.Report(
            number=assignment.number, lease_token=token, sequence=sequence, **detail
        )
        await self.say(reports=[report])
        while True:
            while self.acknowledgements:
                settled = self.acknowledgements.popleft()
                if settled.lease_token == token and settled.sequence >= sequence:
                    return settled
            await self.hear()

    async def complete(
        self, assignment: worker_service_pb2.WorkAssignment, **results: Any
    ) -> worker_service_pb2.Acknowledgement:
        document = struct(results).SerializeToString() if results else b""
        done = worker_service_pb2.ActionCompleted(results=document)
        return await self.report(assignment, completed=done)

    async def fail(
        self,
        assignment: worker_service_pb2.WorkAssignment,
        message: str,
        *,
        permanent: bool = True,
    ) -> worker_service_pb2.Acknowledgement:
        error = Status(code=13, message=message)
        failed = worker_service_pb2.ActionFailed(error=error, permanent=permanent)
        return await self.report(assignment, failed=failed)

    async def run_next(self, **results: Any) -> worker_service_pb2.WorkAssignment:
        assignment = await self.assigned()
        await self.complete(assignment, **results)
        return assignment


@asynccontextmanager
async def stevedore(
    world: World,
    services: Sequence[Service] | None = None,
    *,
    slots: int = 1,
    queues: Sequence[str] = ("default",),
    name: str = "stevedore",
    tenant: str = "default",
    session_id: str = "",
) -> AsyncGenerator[Stevedore]:
    """Connect a worker until the block ends; its session then lives on for its time."""
    stream = world.workers.Work(metadata=(("x-tenant-id", tenant),))
    worker = Stevedore(stream)
    hello = worker_service_pb2.Hello(
        worker=name,
        queues=queues,
        services=OFFERS if services is None else services,
        slots=slots,
        session_id=session_id,
    )
    await worker.say(hello=hello)
    worker.welcome = (await worker.hear()).welcome
    try:
        yield worker
    finally:
        stream.cancel()


async def upload(
    world: World, *chunks: bytes, tenant: str = "default", **header: Any
) -> operation_pb2.File:
    """Upload chunks as a file, with their digest in the last message."""
    requests = [UploadFileRequest(header=FileHeader(**header))]
    requests += [UploadFileRequest(data=chunk) for chunk in chunks]
    requests.append(UploadFileRequest(sha256=hashlib.sha256(b"".join(chunks)).hexdigest()))
    answer = await world.files.UploadFile(iter(requests), metadata=(("x-tenant-id", tenant),))
    file: operation_pb2.File = answer.file
    return file


async def save(
    world: World,
    assignment: worker_service_pb2.WorkAssignment,
    path: str,
    *chunks: bytes,
    tenant: str = "default",
) -> operation_pb2.File:
    """Save a file as the worker that holds a lease."""
    leased = {"number": assignment.number, "lease_token": assignment.lease_token}
    return await upload(world, *chunks, tenant=tenant, path=path, **leased)


async def publish(world: World, services: Sequence[Service] | None = None) -> None:
    """Let a worker offer services and leave, so that they are known and nobody runs them."""
    async with stevedore(world, services, queues=["elsewhere"]):
        pass


def parameter(slug: str, kind: str = "STRING", **fields: Any) -> Parameter:
    return Parameter(slug=slug, type=ParameterType.Value(f"PARAMETER_TYPE_{kind}"), **fields)


#: What workers offer unless a test says otherwise.
OFFERS = (
    Service(slug="", actions=[ServiceAction(slug="noop"), ServiceAction(slug="carry")]),
    Service(
        slug="archive",
        name="Archive",
        actions=[
            ServiceAction(
                slug="digest",
                parameters=[
                    parameter("path"),
                    parameter("size", "INTEGER", optional=True),
                    parameter("algorithm", optional=True, values=["sha256", "sha512"]),
                    parameter("token", optional=True, password=True),
                ],
            ),
            ServiceAction(slug="bag", parameters=[parameter("digest")]),
        ],
    ),
)


def struct(value: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(value)
    return made


def call(action: str, arguments: dict[str, Any] | None = None, **fields: Any) -> Any:
    given = None if arguments is None else struct(arguments)
    return operation_pb2.ActionCall(action=action, arguments=given, **fields)


def submission(*calls: Any, **fields: Any) -> task_service_pb2.SubmitTaskRequest:
    """Return a submit of calls (default: one `noop`); fields of the spec stand beside it."""
    outer = {name: fields.pop(name) for name in ("options", "request_id") if name in fields}
    spec = task_service_pb2.TaskSpec(actions=calls or [call("noop")], **fields)
    return task_service_pb2.SubmitTaskRequest(spec=spec, **outer)


def options(**fields: Any) -> operation_pb2.Options:
    return operation_pb2.Options(**fields)


class Refusal:
    """What a refused call was told."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        trailing: dict[str, Any] = dict(error.trailing_metadata() or ())
        self._take(Status.FromString(trailing["grpc-status-details-bin"]))

    @classmethod
    def of(cls, status: Status) -> Self:
        refusal = cls.__new__(cls)
        refusal.code = next(one for one in grpc.StatusCode if one.value[0] == status.code)
        refusal._take(status)
        return refusal

    def _take(self, status: Status) -> None:
        self.message = status.message
        info = self._details(status, error_details_pb2.ErrorInfo)[0]
        assert info.domain == "longshore.dev"
        self.reason = info.reason
        self.metadata = dict(info.metadata)
        requests = self._details(status, error_details_pb2.BadRequest)
        self.fields = {
            one.field: one.reason for request in requests for one in request.field_violations
        }

    @staticmethod
    def _details(status: Status, kind: type[Message]) -> list[Any]:
        found: list[Any] = []
        for detail in status.details:
            message = kind()
            if detail.Unpack(message):
                found.append(message)
        return found


async def refused(awaitable: Awaitable[object]) -> Refusal:
    """Return how a call was refused; a test fails if it was not."""
    try:
        answer = await awaitable
    except grpc.aio.AioRpcError as error:
        return Refusal(error)
    raise AssertionError(f"was not refused: {answer}")


class Watch:
    """A stream of a watch, read change by change."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    async def message(self) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self.stream.read()
        assert message is not grpc.aio.EOF, "the stream ended"
        return message

    async def rest(self) -> list[Any]:
        """Return all messages up to the end of the stream."""
        messages: list[Any] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (message := await self.stream.read()) is not grpc.aio.EOF:
                messages.append(message)
        return messages

    async def until(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """Return the changes that were told until they are enough."""
        changes: list[Any] = []
        while not enough(changes):
            changes += (await self.message()).changes
        return changes


def kinds(changes: Iterable[Any]) -> list[str | None]:
    """Return what the events of changes are about."""
    return [change.event.WhichOneof("detail") for change in changes if change.HasField("event")]

"""Tenants: what one of them has is not there for another, whatever that asks for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import operation_pb2 as pb
from longshore.v1.file_service_pb2 import FileHeader, UploadFileRequest
from longshore.v1.job_service_pb2 import JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import LaunchSpec, SubmitLaunchRequest
from longshore.v1.operation_service_pb2 import WatchOperationsRequest
from longshore.v1.server_service_pb2 import GetStatusRequest
from longshore.v1.task_service_pb2 import (
    GetTaskRequest,
    ListTasksRequest,
    StreamResultsRequest,
    WatchTasksRequest,
)
from longshore.v1.worker_service_pb2 import (
    HeldLease,
    Hello,
    Report,
    WorkRequest,
    WorkResponse,
)
from tests.service.harness import (
    LASTING,
    PATIENCE_SECONDS,
    Refusal,
    World,
    call,
    guarded,
    options,
    publish,
    refused,
    serving,
    stevedore,
    submission,
    upload,
)
from tests.service.neighbour import COMMON, DEEDS, Neighbour, living, marks_in
from tests.service.test_nothing_is_internal import BASES, CLEAN, METHODS
from tests.tools.principals import Principals

T = TypeVar("T")

FREE = options(allow_unregistered=True)
NORTH = (("x-tenant-id", "north"),)

#: Fields that name a single thing, whatever it is.
NAMES = frozenset({"file_id", "id", "ids", "name", "slug", "username"})
#: Methods that make what they name, or name no thing that anybody has.
MAKING = frozenset({"ListOperations", "RegisterAccount", "UpdateQueue"})


class Things(NamedTuple):
    """What the tenant `default` has, by the kind of operation and by name."""

    world: World
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def things(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Things]:
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    async with serving(store, LASTING) as world:
        service = catalog.Service(slug="archive", actions=[catalog.ServiceAction(slug="noop")])
        await publish(world, [service, CLEAN])
        contract: Any = BASES["Contract"]
        await world.catalog.ApplyContract(catalog.ApplyContractRequest(contract=contract))
        schedule = catalog.Schedule(name="archive", cron="0 0 1 1 *", task=submission().spec)
        await world.catalog.ApplySchedule(catalog.ApplyScheduleRequest(schedule=schedule))
        await world.catalog.RegisterAccount(
            catalog.RegisterAccountRequest(service="archive", username="ada")
        )
        task = await world.submit(submission(call("noop")))
        job = await world.jobs.SubmitJob(
            SubmitJobRequest(spec=JobSpec(contract="archive", action="ingest"))
        )
        launch = await world.launches.SubmitLaunch(
            SubmitLaunchRequest(spec=LaunchSpec(service="clean"))
        )
        yield Things(
            world,
            {
                "Task": task.metadata.id,
                "Job": job.job.metadata.id,
                "Launch": launch.launch.metadata.id,
                "File": (await upload(world, b"a")).file_id,
            },
        )


def naming(method: MethodDescriptor) -> list[FieldDescriptor]:
    return [one for one in method.input_type.fields if one.name in NAMES]


def kind_of(path: str) -> str:
    kinds = ("File", "Job", "Launch")
    return next((kind for kind in kinds if path.startswith(kind)), "Task")


def request_for(path: str, ids: dict[str, str]) -> Message:
    """Return a request that names what the other tenant has, and is otherwise right."""
    request: Any = GetMessageClass(METHODS[path].input_type)()
    own = ids[kind_of(path)]
    fill: dict[str, Any] = {
        "id": own,
        "file_id": own,
        "name": "archive",
        "slug": "archive",
        "service": "archive",
        "username": "ada",
        "queue": "default",
        "direction": 1,
    }
    for field in request.DESCRIPTOR.fields:
        if field.name == "ids":
            request.ids.append(own)
        elif field.name in fill and field.message_type is None:
            setattr(request, field.name, fill[field.name])
    if path.startswith("google.longrunning."):
        request.name = f"operations/{own}"
    return request  # type: ignore[no-any-return]


async def ask(things: Things, path: str, request: Message) -> list[Any]:
    """Make a call as the tenant `north` and return the answers; of a watch the first."""
    method, channel = METHODS[path], things.world.channel
    read = GetMessageClass(method.output_type).FromString
    place = f"/{method.containing_service.full_name}/{method.name}"
    write = type(request).SerializeToString
    if not method.server_streaming:
        return [await channel.unary_unary(place, write, read)(request, metadata=NORTH)]
    stream: Any = channel.unary_stream(place, write, read)(request, metadata=NORTH)
    first = await stream.read()
    if first is grpc.aio.EOF or stream.done():
        assert await stream.code() == StatusCode.OK
    stream.cancel()
    return [first]


NAMED = [
    path
    for path, method in METHODS.items()
    if naming(method) and method.name not in MAKING and method.name != "BatchGetTasks"
]


@pytest.mark.parametrize("path", NAMED)
async def test_what_another_tenant_has_is_not_found(things: Things, path: str) -> None:
    before = await things.world.revision()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(things, path, request_for(path, things.ids))
    assert caught.value.code() == StatusCode.NOT_FOUND, caught.value.details()
    assert await things.world.revision() == before


async def test_a_file_of_another_tenant_cannot_be_replaced(things: Things) -> None:
    refusal = await refused(
        upload(things.world, b"b", file_id=things.ids["File"], tenant="north")
    )
    assert refusal.reason == "FILE_NOT_FOUND"
    assert refusal.fields == {"header.file_id": "UNKNOWN"}


LISTS = [
    path
    for path, method in METHODS.items()
    if method.name.startswith(("List", "Watch", "BatchGet")) or method.name == "GetLaunchQueue"
]


@pytest.mark.parametrize("path", LISTS)
async def test_lists_and_watches_show_nothing_of_another_tenant(
    things: Things, path: str
) -> None:
    request: Any = GetMessageClass(METHODS[path].input_type)()
    if path.endswith("BatchGetTasks"):
        request.ids.extend(things.ids.values())
    elif path.endswith("ListOperations"):
        request.name = "operations"
    for answer in await ask(things, path, request):
        if path.endswith("BatchGetTasks"):
            answer.ClearField("unknown_ids")  # As they were asked for.
        told = str(answer)
        assert not any(one in told for one in (*things.ids.values(), "archive", "clean", "ada"))


@pytest.fixture(scope="module")
def principals(tmp_path_factory: pytest.TempPathFactory) -> Principals:
    """Who is known: in `both` tenants at once, and in one."""
    found = Principals(tmp_path_factory.mktemp("access") / "principals.toml")
    found.add("both", tenants=["north", "south"])
    found.add("south", tenants=["south"])
    found.add("all", "viewer", tenants=["*"])
    return found


async def refusal_of(world: World, tenant: str) -> Refusal:
    return await refused(
        world.servers.GetStatus(GetStatusRequest(), metadata=(("x-tenant-id", tenant),))
    )


async def test_a_principal_chooses_among_its_tenants_and_the_first_is_its_own(
    tmp_path: Path, principals: Principals
) -> None:
    async with guarded(tmp_path / "longshore.db", principals) as world:
        both, all_ = (world.saying(*principals.says(name)) for name in ("both", "all"))
        assert (await both.submit(submission(options=FREE))).metadata.tenant == "north"
        for tenant in ("north", "south"):
            chosen = world.saying(*principals.says("both", tenant))
            task = await chosen.submit(submission(options=FREE))
            assert task.metadata.tenant == tenant
            shown = await all_.tasks.GetTask(
                GetTaskRequest(id=task.metadata.id), metadata=(("x-tenant-id", tenant),)
            )
            assert shown.task.metadata.tenant == tenant
        listed = await all_.tasks.ListTasks(ListTasksRequest())  # Of `default`.
        assert not listed.tasks
        for stranger, tenant in ((both, "default"), (both, "west"), (both, "*"), (all_, "*")):
            refusal = await refusal_of(stranger, tenant)
            assert refusal.code == StatusCode.PERMISSION_DENIED
            assert refusal.reason == "TENANT_NOT_PERMITTED"
            assert refusal.metadata == {"tenant": tenant}


async def test_nobody_speaks_for_all_tenants_at_once_where_nobody_is_configured(
    things: Things,
) -> None:
    assert (await refusal_of(things.world, "*")).reason == "TENANT_NOT_PERMITTED"


class Stranger:
    """Asks for what a neighbour has, and remembers what it has said itself."""

    def __init__(self, world: World, neighbour: Neighbour) -> None:
        self.channel: Any = world.channel
        self._neighbour = neighbour
        self._said: set[bytes] = set()

    async def ask(self, path: str, request: Message, request_id: str) -> None:
        """Make a call, and look for what is the neighbour's in every byte of the answer."""
        method = METHODS[path]
        data = request.SerializeToString()
        kind = (
            self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        )
        call = kind(f"/{method.containing_service.full_name}/{method.name}")
        await self.look_at(
            call(data, metadata=(("x-request-id", request_id),)), data, request_id
        )

    async def look_at(self, call: Any, data: bytes, request_id: str = "") -> StatusCode:
        """Look at the answer to a call; return its status."""
        self._said |= marks_in(data + request_id.encode())
        told = b"".join(await _all_of(call))
        for metadata in (await call.initial_metadata(), await call.trailing_metadata()):
            for name, value in metadata or ():
                told += name.encode() + (value if isinstance(value, bytes) else value.encode())
        told += str(await call.details()).encode()
        leaked = (marks_in(told) & self._neighbour.made) - self._said
        assert not leaked, (call, data)
        code: StatusCode = await call.code()
        return code


async def _all_of(call: Any) -> list[bytes]:
    """Return the messages of an answer, as far as there are any."""
    answers: list[bytes] = []
    with contextlib.suppress(grpc.aio.AioRpcError):
        if hasattr(call, "read"):
            answers += [answer async for answer in call]
        else:
            answers.append(await call)
    return answers


def one_of(some: list[T]) -> st.SearchStrategy[T]:
    """Draw one of those that there are by then; a list may grow between two examples."""
    return st.integers(0, 9_999).map(lambda number: some[number % len(some)])


@st.composite
def filled(
    draw: st.DrawFn, descriptor: Descriptor, neighbour: Neighbour, depth: int = 0
) -> Any:
    """Draw a message that says what a neighbour is known by, wherever there is room for it."""
    message: Any = GetMessageClass(descriptor)()
    names, numbers = one_of(neighbour.names), one_of(neighbour.numbers)
    for field in descriptor.fields:
        base = field.message_type and BASES.get(field.message_type.name)
        if base is not None and draw(st.booleans()):
            getattr(message, field.name).MergeFrom(base)
        if depth > 4 or draw(st.integers(0, 3)) == 0:
            continue
        value: Any
        if field.type == FieldDescriptor.TYPE_STRING:
            value = draw(names)
        elif field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32):
            value = draw(numbers)
        elif field.type == FieldDescriptor.TYPE_BOOL:
            value = draw(st.booleans())
        elif field.enum_type is not None:
            value = draw(st.sampled_from([0, *field.enum_type.values_by_number]))
        elif field.message_type is not None and not is_map(field):
            value = draw(filled(field.message_type, neighbour, depth + 1))
        else:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(value)
        elif field.message_type is not None:
            getattr(message, field.name).MergeFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


class Street(NamedTuple):
    """Two tenants next to each other, in which the same principal lives."""

    neighbour: Neighbour
    stranger: Stranger


@pytest.fixture(scope="module")
async def street(
    tmp_path_factory: pytest.TempPathFactory,
    principals: Principals,
) -> AsyncIterator[Street]:
    """A server whose streams end by themselves at once, and who lives there."""
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    brief = replace(LASTING, stream_age_seconds=0.001)
    async with guarded(store, principals, patient=True, settings=brief) as world:
        north = world.saying(*principals.says("both", "north"))
        south = world.saying(*principals.says("both", "south"))
        async with stevedore(south, COMMON, tenant="south", queues=["elsewhere"]):
            pass
        async with living(north) as neighbour:
            for deed in (*DEEDS, *DEEDS):
                await deed(neighbour)
            yield Street(neighbour, Stranger(south, neighbour))


secretly = settings(
    max_examples=20,
    # What was made before stays, so an example cannot be played again, or made smaller.
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ASKED = sorted(METHODS)
KNOWN = 40  #: So many names of a neighbour's are of all kinds that there are.


@secretly
@given(data=st.data())
async def test_nothing_that_a_neighbour_has_can_be_read_or_changed(
    street: Street, data: st.DataObject
) -> None:
    neighbour, stranger = street
    for deed in data.draw(st.lists(st.sampled_from(DEEDS), max_size=4)):
        await deed(neighbour)
    await neighbour.settled()
    before = await neighbour.seen()
    for path in data.draw(st.lists(st.sampled_from(ASKED), min_size=10, max_size=30)):
        request = data.draw(filled(METHODS[path].input_type, neighbour))
        await stranger.ask(path, request, data.draw(one_of(neighbour.names))[:128])
    assert await neighbour.seen() == before


@pytest.mark.parametrize("path", ASKED)
async def test_no_method_tells_of_a_neighbour_whose_names_are_known(
    street: Street, path: str
) -> None:
    neighbour, stranger = street
    await neighbour.settled()
    before = await neighbour.seen()
    kind = GetMessageClass(METHODS[path].input_type)
    await stranger.ask(path, kind(), "plain")
    for field in METHODS[path].input_type.fields:
        if field.type != FieldDescriptor.TYPE_STRING:
            continue
        for name in neighbour.names[:KNOWN]:
            value = [name] if field.is_repeated else name
            await stranger.ask(path, kind(**{field.name: value}), "plain")
    assert await neighbour.seen() == before


async def test_uploads_do_not_touch_what_a_neighbour_has(street: Street) -> None:
    neighbour, stranger = street
    await neighbour.submit_task()
    await neighbour.settled()
    before = await neighbour.seen()
    headers = [FileHeader(path="a", file_id=name) for name in neighbour.names[:KNOWN]]
    headers += [
        FileHeader(path="a", number=lease.number, lease_token=lease.lease_token)
        for lease in neighbour.leases
    ]
    for header in headers:
        said = UploadFileRequest(header=header, data=b"x").SerializeToString()
        upload = stranger.channel.stream_unary("/longshore.v1.FileService/UploadFile")
        assert await stranger.look_at(upload(iter([said])), said) != StatusCode.OK
    assert await neighbour.seen() == before


async def test_a_worker_takes_nothing_over_from_a_neighbours(street: Street) -> None:
    neighbour, stranger = street
    await neighbour.submit_task()
    await neighbour.settled()
    lease, session = neighbour.leases[-1], neighbour.worker.welcome.session_id
    held = HeldLease(number=lease.number, lease_token=lease.lease_token)
    before = await neighbour.seen()
    hello = Hello(
        worker="hand",
        queues=["elsewhere"],
        services=COMMON,
        slots=9,
        session_id=session,
        leases=[held],
    )
    done = Report(number=held.number, lease_token=held.lease_token, sequence=1)
    done.completed.SetInParent()
    stream = stranger.channel.stream_stream("/longshore.v1.WorkerService/Work")()
    for request in (WorkRequest(hello=hello), WorkRequest(reports=[done])):
        await stream.write(request.SerializeToString())
    answers: list[WorkResponse] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(one.acknowledgements for one in answers):
            answers.append(WorkResponse.FromString(await stream.read()))
    stream.cancel()
    assert answers[0].welcome.epoch == 1  # Another session, whatever it is called.
    (settled,) = answers[-1].acknowledgements
    assert Refusal.of(settled.error).reason == "LEASE_LOST"
    assert not any(one.assignments for one in answers)
    told = b"".join(one.SerializeToString() for one in answers)
    assert not marks_in(told) & neighbour.made
    assert await neighbour.seen() == before


async def test_watches_and_channels_tell_nothing_of_a_neighbour(
    tmp_path: Path, principals: Principals
) -> None:
    async with guarded(tmp_path / "longshore.db", principals) as world:
        north = world.saying(*principals.says("both", "north"))
        south = world.saying(*principals.says("both", "south"))
        async with (
            stevedore(south, COMMON, tenant="south") as hand,
            living(north) as neighbour,
        ):
            watches = [
                south.tasks.WatchTasks(WatchTasksRequest(after_revision=0, include_logs=True)),
                south.operations.WatchOperations(
                    WatchOperationsRequest(after_revision=0, include_logs=True)
                ),
            ]
            listening = south.tasks.StreamResults(StreamResultsRequest(stream="both"))
            for deed in (*DEEDS, Neighbour.work, Neighbour.work):
                await deed(neighbour)
            channel = options(delivery=pb.DELIVERY_MODE_CHANNEL)
            task = await south.submit(submission(service="archive", options=channel))
            await hand.run_next()
            own = task.metadata.id.encode()
            async with asyncio.timeout(PATIENCE_SECONDS):
                for stream in (*watches, listening):
                    told = b""
                    while own not in told or b"SUCCEEDED" not in told:
                        answer = await stream.read()
                        told += answer.SerializeToString() + str(answer).encode()
                    assert not marks_in(told) & neighbour.made

"""Nothing that a caller can send gives INTERNAL."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from grpc.aio import AioRpcError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.engine.settings import EngineSettings
from longshore.v1 import task_service_pb2 as pb
from longshore.v1.catalog_service_pb2 import (
    ApplyContractRequest,
    Contract,
    ContractAction,
    Schedule,
    Service,
    ServiceAction,
    WorkflowTemplate,
)
from longshore.v1.file_service_pb2 import FileHeader, UploadFileRequest
from longshore.v1.job_service_pb2 import JobSpec
from longshore.v1.launch_service_pb2 import LaunchSpec
from longshore.v1.operation_pb2 import SERVICE_KIND_RULESET
from longshore.v1.worker_service_pb2 import Hello, WorkRequest
from tests.service.harness import (
    OFFERS,
    World,
    call,
    parameter,
    publish,
    serving,
    submission,
)
from tests.service.test_server import SERVED, full_name

#: What a call may be told that is nobody's fault but the caller's.
EXPECTED = {
    StatusCode.OK,
    StatusCode.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.ALREADY_EXISTS,
    StatusCode.OUT_OF_RANGE,
}

_BY_CLIENT = "Internal error from Core"

#: Words that make random text say something now and then.
WORDS = st.sampled_from(
    [
        "",
        "noop",
        "digest",
        "ingest",
        "clean",
        "*/5 * * * *",
        "Europe/Paris",
        "archive",
        "path",
        "size",
        "default",
        "longshore.x",
        "operations",
        "operations/1",
        "anonymous",
        "1",
        "2",
        "a/b",
        "state",
        "=",
        "name",
        "number desc",
        "labels.a",
        "QUEUED",
        "(",
        "AND",
        '"',
        "*",
        "\x00",
    ]
)
TEXTS = st.one_of(
    WORDS,
    st.lists(WORDS, max_size=5).map(" ".join),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
_INT32 = st.one_of(st.integers(-2, 12), st.sampled_from([-(2**31), 2**31 - 1]))
_INT64 = st.one_of(st.integers(-2, 12), st.sampled_from([-(2**63), 2**63 - 1]))

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_ENUM: st.integers(0, 9),
    FieldDescriptor.TYPE_INT64: _INT64,
}


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is None:
        return SCALARS[field.type]
    return messages(field.message_type, depth + 1)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """Draw a message of a type with random fields."""
    message: Any = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if depth > 8 or not draw(st.booleans()):
            continue
        place: Any = getattr(message, field.name)
        if (
            field.is_repeated
            and field.message_type
            and field.message_type.GetOptions().map_entry
        ):
            entry = field.message_type.fields_by_name["value"]
            for key in draw(st.lists(TEXTS, max_size=2)):
                value = draw(values(entry, depth))
                if entry.message_type is None:
                    place[key] = value
                else:
                    place[key].CopyFrom(value)
        elif field.is_repeated:
            place.extend(draw(st.lists(values(field, depth), max_size=2)))
        elif field.message_type is not None:
            place.CopyFrom(draw(values(field, depth)))
        else:
            setattr(message, field.name, draw(values(field, depth)))
    return cast("Message", message)


def served() -> dict[str, MethodDescriptor]:
    """Return every method that takes one request, as SERVICE/METHOD."""
    found = {
        f"{service}/{name}": Default()
        .FindServiceByName(full_name(service))
        .methods_by_name[name]
        for service, names in SERVED.items()
        for name in names
    }
    # A server in maintenance refuses what others ask for here.
    return {
        path: method
        for path, method in sorted(found.items())
        if not method.client_streaming and method.name != "SetMode"
    }


METHODS = served()

#: Messages that are fine, laid over random ones so that some get further.
BASES: dict[str, Message] = {
    "TaskSpec": submission().spec,
    "JobSpec": JobSpec(contract="archive", action="ingest"),
    "LaunchSpec": LaunchSpec(service="clean"),
    "Contract": Contract(
        name="archive",
        actions=[
            ContractAction(
                name="ingest",
                template=WorkflowTemplate(name="steps", actions=[call("noop")]),
            )
        ],
    ),
    "Schedule": Schedule(name="noop", cron="0 0 1 1 *", task=submission().spec),
}

CLEAN = Service(
    slug="clean",
    kind=SERVICE_KIND_RULESET,
    actions=[ServiceAction(slug="run", parameters=[parameter("path", optional=True)])],
)


@pytest.fixture(scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server whose streams end by themselves at once."""
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    async with serving(store, EngineSettings(stream_age_seconds=0.001)) as world:
        await publish(world, [*OFFERS, CLEAN])
        await world.submit(submission())
        contract: Any = BASES["Contract"]
        await world.catalog.ApplyContract(ApplyContractRequest(contract=contract))
        yield world


async def code_of(call: Any) -> StatusCode:
    """Return how a call ended."""
    try:
        if hasattr(call, "read"):
            async for _ in call:
                pass
        else:
            await call
    except AioRpcError:
        pass
    code: StatusCode = await call.code()
    return code


async def check(world: World, path: str, request: Message | bytes) -> None:
    channel: Any = world.channel
    method = METHODS[path]
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    data = request if isinstance(request, bytes) else request.SerializeToString()
    code = await code_of(kind(f"/{method.containing_service.full_name}/{method.name}")(data))
    assert code in EXPECTED


async def pour(world: World, requests: Sequence[Message | bytes]) -> None:
    """Send a stream to be uploaded, and see how it ends."""
    channel: Any = world.channel
    data = [one if isinstance(one, bytes) else one.SerializeToString() for one in requests]
    upload = channel.stream_unary("/longshore.v1.FileService/UploadFile")
    await check_sender(upload(iter(data)))


async def check_sender(call: Any) -> None:
    """See how a call ends whose requests are a stream.

    When it is refused while it still writes, a client may say something by itself.
    """
    code = await code_of(call)
    assert code in EXPECTED | {StatusCode.ABORTED} or await call.details() == _BY_CLIENT


quietly = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("path", METHODS)
@quietly
@given(data=st.data())
async def test_random_requests(lasting: World, path: str, data: st.DataObject) -> None:
    descriptor = METHODS[path].input_type
    request: Any = data.draw(messages(descriptor))
    for field in descriptor.fields:
        base = field.message_type and BASES.get(field.message_type.name)
        if base is not None and data.draw(st.booleans()):
            getattr(request, field.name).MergeFrom(base)
    await check(lasting, path, request)


@quietly
@given(path=st.sampled_from(sorted(METHODS)), data=st.binary(max_size=60))
async def test_random_bytes(lasting: World, path: str, data: bytes) -> None:
    await check(lasting, path, data)


@quietly
@given(text=TEXTS)
async def test_random_filters_orders_and_tokens(lasting: World, text: str) -> None:
    for field in ("filter", "order_by", "page_token"):
        request = pb.ListTasksRequest(**{field: text})  # type: ignore[arg-type]
        await check(lasting, "TaskService/ListTasks", request)


@quietly
@given(data=st.data())
async def test_random_uploads(lasting: World, data: st.DataObject) -> None:
    descriptor: Any = UploadFileRequest.DESCRIPTOR
    some = data.draw(st.lists(st.one_of(messages(descriptor), st.binary(max_size=9))))
    if data.draw(st.booleans()):
        some = [UploadFileRequest(header=FileHeader(path="a")), *some]
    await pour(lasting, some)


@quietly
@given(data=st.data())
async def test_random_workers(lasting: World, data: st.DataObject) -> None:
    descriptor: Any = WorkRequest.DESCRIPTOR
    stream: Any = lasting.workers.Work()
    first: Any = data.draw(messages(descriptor))
    if data.draw(st.booleans()):
        first.hello.MergeFrom(Hello(worker="a", services=OFFERS, slots=1))
    with contextlib.suppress(AioRpcError):
        await stream.write(first)
        await stream.write(data.draw(messages(descriptor)))
        await stream.done_writing()
    await check_sender(stream)

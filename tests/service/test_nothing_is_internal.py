"""Nothing that a caller can send gives INTERNAL."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from grpc.aio import AioRpcError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.engine.settings import EngineSettings
from longshore.v1 import task_service_pb2 as pb
from longshore.v1.worker_service_pb2 import Hello, WorkRequest
from tests.service.harness import OFFERS, World, publish, serving, submission

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
        "archive",
        "path",
        "size",
        "default",
        "longshore.x",
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


REQUESTS: dict[str, type[Message]] = {
    "SubmitTask": pb.SubmitTaskRequest,
    "GetTask": pb.GetTaskRequest,
    "ListTasks": pb.ListTasksRequest,
    "CancelTask": pb.CancelTaskRequest,
    "SuspendTask": pb.SuspendTaskRequest,
    "ResumeTask": pb.ResumeTaskRequest,
    "ResubmitTask": pb.ResubmitTaskRequest,
    "BatchSubmitTasks": pb.BatchSubmitTasksRequest,
    "BatchGetTasks": pb.BatchGetTasksRequest,
    "RunTask": pb.RunTaskRequest,
    "WatchTasks": pb.WatchTasksRequest,
}


@pytest.fixture(scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server whose streams end by themselves at once."""
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    async with serving(store, EngineSettings(stream_age_seconds=0.001)) as world:
        await publish(world)
        await world.submit(submission())
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


async def check(world: World, method: str, request: Message | bytes) -> None:
    channel: Any = world.channel
    kind = channel.unary_stream if method in ("RunTask", "WatchTasks") else channel.unary_unary
    data = request if isinstance(request, bytes) else request.SerializeToString()
    code = await code_of(kind(f"/longshore.v1.TaskService/{method}")(data))
    assert code in EXPECTED


quietly = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("method", REQUESTS)
@quietly
@given(data=st.data())
async def test_random_requests(lasting: World, method: str, data: st.DataObject) -> None:
    descriptor: Any = REQUESTS[method].DESCRIPTOR
    request: Any = data.draw(messages(descriptor))
    if "spec" in descriptor.fields_by_name and data.draw(st.booleans()):
        request.spec.MergeFrom(submission().spec)  # so that some get further
    await check(lasting, method, request)


@quietly
@given(method=st.sampled_from(sorted(REQUESTS)), data=st.binary(max_size=60))
async def test_random_bytes(lasting: World, method: str, data: bytes) -> None:
    await check(lasting, method, data)


@quietly
@given(text=TEXTS)
async def test_random_filters_orders_and_tokens(lasting: World, text: str) -> None:
    for field in ("filter", "order_by", "page_token"):
        request = pb.ListTasksRequest(**{field: text})  # type: ignore[arg-type]
        await check(lasting, "ListTasks", request)


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
    code = await code_of(stream)
    # What a client says by itself when it is refused while it still writes.
    assert code in EXPECTED | {StatusCode.ABORTED} or await stream.details() == _BY_CLIENT

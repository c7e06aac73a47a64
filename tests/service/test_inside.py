"""Inside: a call that is made in the server's own process is what it is over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.longrunning.operations_proto_pb2 import Operation, WaitOperationRequest
from google.protobuf.message import Message
from grpc import ChannelConnectivity, StatusCode
from grpc.aio import EOF, AioRpcError, insecure_channel

from longshore.client.opened import CHANNEL_OPTIONS
from longshore.client.transports import Transport
from longshore.core.limits import MESSAGE_BYTES
from longshore.server import longrunning
from longshore.server.core_options import HEADER_BYTES
from longshore.v1 import file_service_pb2 as files
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.server_service_pb2 import GetCallerRequest, GetCallerResponse
from tests.service.harness import World, call, guarded, publish, submission, upload
from tests.tools.principals import Principals, Said

SUBMIT = "/longshore.v1.TaskService/SubmitTask"
GET = "/longshore.v1.TaskService/GetTask"
CANCEL = "/longshore.v1.TaskService/CancelTask"
WATCH = "/longshore.v1.TaskService/WatchTasks"
UPLOAD = "/longshore.v1.FileService/UploadFile"
DOWNLOAD = "/longshore.v1.FileService/DownloadFile"
CALLER = "/longshore.v1.ServerService/GetCaller"
WAIT = "/google.longrunning.Operations/WaitOperation"

ID = (("x-request-id", "one"),)
UNKNOWN = "01890000-0000-7000-8000-000000000000"


class Two:
    """Both ways to one server."""

    def __init__(self, world: World, wire: Transport, principals: Principals) -> None:
        self.world = world
        self.inside = world.server.inside.open()
        self.ways: tuple[Transport, Transport] = (wire, self.inside)
        self.ada = principals.says("ada") + ID
        self.eve = principals.says("eve") + ID


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    principals = Principals(tmp_path / "principals.toml")
    principals.add("ada")
    principals.add("eve", "viewer")
    async with guarded(tmp_path / "store.db", principals, patient=True) as world:
        await publish(world.saying(*principals.says("ada")))
        address = world.server.address
        async with insecure_channel(address, options=CHANNEL_OPTIONS) as wire:
            yield Two(world, wire, principals)


def encoded(message: Message) -> bytes:
    return message.SerializeToString()


async def told(
    way: Transport,
    path: str,
    request: Message,
    metadata: Said = (),
    seconds: float | None = None,
    kind: type[Message] = tasks.GetTaskResponse,
) -> tuple[Any, ...]:
    """Return what comes of a call: the answer, or all that its error says."""
    try:
        ask = way.unary_unary(path, encoded, kind.FromString)
        return (await ask(request, metadata=metadata, timeout=seconds),)
    except AioRpcError as error:
        return facts(error)


async def read(
    way: Transport, path: str, request: Message, metadata: Said, kind: type[Message]
) -> list[Any]:
    """Return the answers of a stream, and what its error says."""
    stream = way.unary_stream(path, encoded, kind.FromString)(request, metadata=metadata)
    found: list[Any] = []
    try:
        while (message := await stream.read()) is not EOF:
            found.append(message)
    except AioRpcError as error:
        found.append(facts(error))
    return found


def facts(error: AioRpcError) -> tuple[Any, ...]:
    return error.code(), error.details(), sorted(error.trailing_metadata() or ())


async def both(two: Two, path: str, request: Message, **how: Any) -> tuple[Any, ...]:
    """Return what comes of a call in both ways, if it is the same."""
    wire, inside = [await told(way, path, request, **how) for way in two.ways]
    assert inside == wire
    return inside


async def test_answers_are_the_same(two: Two) -> None:
    task = (await two.world.saying(*two.ada).tasks.SubmitTask(submission())).task
    (answer,) = await both(
        two, GET, tasks.GetTaskRequest(id=task.metadata.id), metadata=two.ada
    )
    assert answer.task.metadata.id == task.metadata.id
    (caller,) = await both(
        two, CALLER, GetCallerRequest(), metadata=two.ada, kind=GetCallerResponse
    )
    assert caller.principal == "ada"


async def test_who_calls_from_inside_is_on_this_machine_and_submits_as_over_the_wire(
    two: Two,
) -> None:
    made: list[tasks.Task] = []
    for way in two.ways:
        ask = way.unary_unary(SUBMIT, encoded, tasks.SubmitTaskResponse.FromString)
        made.append((await ask(submission(), metadata=two.ada)).task)
    wire, inside = made
    assert inside.metadata.submitter == wire.metadata.submitter
    assert inside.metadata.tenant == wire.metadata.tenant
    assert inside.metadata.request_id == wire.metadata.request_id


async def test_refusals_are_the_same(two: Two) -> None:
    cases: list[tuple[str, Message, Said, StatusCode]] = [
        (GET, tasks.GetTaskRequest(id=UNKNOWN), two.ada, StatusCode.NOT_FOUND),
        (GET, tasks.GetTaskRequest(id="x"), two.ada, StatusCode.NOT_FOUND),
        (SUBMIT, submission(call("nobody")), two.ada, StatusCode.NOT_FOUND),
        (SUBMIT, submission(), two.eve, StatusCode.PERMISSION_DENIED),
        (SUBMIT, submission(), ID, StatusCode.UNAUTHENTICATED),
        (GET, tasks.GetTaskRequest(), (*two.ada, two.ada[0]), StatusCode.UNAUTHENTICATED),
        (
            GET,
            tasks.GetTaskRequest(),
            (*two.ada, ("x-tenant-id", "other")),
            StatusCode.PERMISSION_DENIED,
        ),
        (
            GET,
            tasks.GetTaskRequest(),
            (*two.ada, ("x-tenant-id", "x" * 999)),
            StatusCode.INVALID_ARGUMENT,
        ),
        (
            "/longshore.v1.TaskService/Nothing",
            tasks.GetTaskRequest(),
            two.ada,
            StatusCode.UNIMPLEMENTED,
        ),
        ("/nobody/Nothing", tasks.GetTaskRequest(), two.ada, StatusCode.UNIMPLEMENTED),
    ]
    for path, request, metadata, code in cases:
        found = await both(two, path, request, metadata=metadata)
        assert found[0] is code, (path, found)


async def test_what_is_too_long_for_the_wire_is_too_long_inside(two: Two) -> None:
    request = tasks.GetTaskRequest(id="x" * MESSAGE_BYTES)
    code, *_ = await both(two, GET, request, metadata=two.ada)
    assert code is StatusCode.RESOURCE_EXHAUSTED
    wire, inside = [
        await read(way, WATCH, tasks.WatchTasksRequest(ids=[request.id]), two.ada, Operation)
        for way in two.ways
    ]
    assert inside == wire
    wide = (*two.ada, ("traceparent", "x" * HEADER_BYTES))
    codes = [(await told(way, GET, request, wide))[0] for way in two.ways]
    assert codes == [StatusCode.RESOURCE_EXHAUSTED] * 2


async def test_a_deadline_is_kept_inside_and_told_to_what_waits_for_it(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It answers a little before the deadline, which it therefore knows: here half a minute.
    monkeypatch.setattr(longrunning, "_MARGIN", 0.99)
    monkeypatch.setattr(longrunning, "_MARGIN_SECONDS_MOST", 30.0)
    task = (await two.world.saying(*two.ada).tasks.SubmitTask(submission())).task
    request = WaitOperationRequest(name=f"operations/{task.metadata.id}")
    (answer,) = await both(two, WAIT, request, metadata=two.ada, seconds=30.0, kind=Operation)
    assert not answer.done
    # A commit is never made within no time at all.
    late = await told(two.inside, SUBMIT, submission(), two.ada, 0.0)
    assert late == (StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", [])


async def test_who_waits_inside_and_is_cancelled_leaves_nothing_behind(two: Two) -> None:
    task = (await two.world.saying(*two.ada).tasks.SubmitTask(submission())).task
    request = WaitOperationRequest(name=f"operations/{task.metadata.id}")
    ask = two.inside.unary_unary(WAIT, encoded, Operation.FromString)
    waiting = asyncio.ensure_future(ask(request, metadata=two.ada))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await two.world.server.inside.stop(None)


async def test_streams_tell_the_same_in_pieces_and_end_alike(two: Two) -> None:
    ada = two.world.saying(*two.ada)
    task = (await ada.tasks.SubmitTask(submission())).task
    await ada.tasks.CancelTask(tasks.CancelTaskRequest(id=task.metadata.id))
    file = await upload(ada, *(bytes([number]) * 700_000 for number in range(4)))
    cases: list[tuple[str, Message, Said, type[Message]]] = [
        (
            DOWNLOAD,
            files.DownloadFileRequest(file_id=file.file_id),
            two.ada,
            files.DownloadFileResponse,
        ),
        (
            DOWNLOAD,
            files.DownloadFileRequest(file_id=UNKNOWN),
            two.ada,
            files.DownloadFileResponse,
        ),
        (DOWNLOAD, files.DownloadFileRequest(), ID, files.DownloadFileResponse),
        (
            WATCH,
            tasks.WatchTasksRequest(ids=[task.metadata.id], after_revision=0),
            two.ada,
            tasks.WatchTasksResponse,
        ),
        (WATCH, tasks.WatchTasksRequest(filter="?"), two.ada, tasks.WatchTasksResponse),
        ("/nobody/Nothing", tasks.WatchTasksRequest(), two.ada, tasks.WatchTasksResponse),
    ]
    for path, request, metadata, kind in cases:
        wire, inside = [await read(way, path, request, metadata, kind) for way in two.ways]
        assert inside == wire
        assert inside


async def test_a_stream_that_is_cancelled_inside_is_over_as_on_the_wire(two: Two) -> None:
    for way in two.ways:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        open_ = way.unary_stream(WATCH, encoded, tasks.WatchTasksResponse.FromString)
        stream = open_(tasks.WatchTasksRequest(), metadata=two.ada)
        stream.add_done_callback(ended.set_result)
        await stream.read()
        assert stream.cancel()
        assert not stream.cancel()
        assert await ended is stream
        with pytest.raises(asyncio.CancelledError):
            await stream.read()


async def test_who_is_cancelled_while_reading_ends_the_stream(two: Two) -> None:
    for way in two.ways:
        open_ = way.unary_stream(WATCH, encoded, tasks.WatchTasksResponse.FromString)
        stream = open_(tasks.WatchTasksRequest(), metadata=two.ada)
        await stream.read()
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        stream.add_done_callback(ended.set_result)
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        reading.cancel()
        assert await ended is stream


async def test_a_reader_that_does_not_read_holds_the_server_back(two: Two) -> None:
    ada = two.world.saying(*two.ada)
    file = await upload(ada, *(b"x" * 1_000_000 for _ in range(8)))
    open_ = two.inside.unary_stream(DOWNLOAD, encoded, files.DownloadFileResponse.FromString)
    stream = open_(files.DownloadFileRequest(file_id=file.file_id), metadata=two.ada)
    await stream.read()
    await ada.servers.GetCaller(GetCallerRequest())
    assert stream.cancel()  # It has not been sent as a whole.


async def test_requests_that_stream_are_taken_alike(two: Two) -> None:
    header = files.UploadFileRequest(header=files.FileHeader(path="a"))
    wrong = files.UploadFileRequest(sha256="0" * 64)
    long = files.UploadFileRequest(data=b"x" * MESSAGE_BYTES)
    data = files.UploadFileRequest(data=b"abc")
    for messages in ([header, data, wrong], [data], [], [header, long], [header, header]):
        wire, inside = [await sent(way, messages, two.ada) for way in two.ways]
        assert inside == wire
    for way in two.ways:
        (answer,) = await sent(
            way, [files.UploadFileRequest(header=files.FileHeader()), data], two.ada
        )
        assert answer.file.size == 3


async def sent(
    way: Transport, messages: list[files.UploadFileRequest], metadata: Said
) -> tuple[Any, ...]:
    """Return what comes of an upload."""
    send = way.stream_unary(UPLOAD, encoded, files.UploadFileResponse.FromString)
    call = send(metadata=metadata)
    try:
        for message in messages:
            await call.write(message)
    except (AioRpcError, asyncio.InvalidStateError):
        pass
    else:
        await call.done_writing()
    try:
        return (await call,)
    except AioRpcError as error:
        return facts(error)


async def test_a_server_that_drains_ends_calls_in_both_ways_alike(two: Two) -> None:
    task = (await two.world.saying(*two.ada).tasks.SubmitTask(submission())).task
    request = WaitOperationRequest(name=f"operations/{task.metadata.id}")
    waiting = [
        asyncio.ensure_future(told(way, WAIT, request, two.ada, kind=Operation))
        for way in two.ways
    ]
    watching = [
        asyncio.ensure_future(
            read(way, WATCH, tasks.WatchTasksRequest(), two.ada, tasks.WatchTasksResponse)
        )
        for way in two.ways
    ]
    uploads = [
        way.stream_unary(UPLOAD, encoded, files.UploadFileResponse.FromString)(metadata=two.ada)
        for way in two.ways
    ]
    for upload_ in uploads:
        await upload_.write(files.UploadFileRequest(header=files.FileHeader()))
    # Behind those on the wire.
    await told(two.ways[0], CALLER, GetCallerRequest(), two.ada, kind=GetCallerResponse)
    await two.world.server.drain(0.2)
    wire, inside = await asyncio.gather(*waiting)
    assert inside == wire
    by_wire, by_inside = await asyncio.gather(*watching)
    assert by_inside[-1].end == by_wire[-1].end
    for upload_ in uploads:
        with pytest.raises(AioRpcError) as raised:
            await upload_
        assert facts(raised.value) == (StatusCode.UNAVAILABLE, "Cancelling all calls", [])
    assert two.inside.get_state() is ChannelConnectivity.TRANSIENT_FAILURE
    code, *_ = await told(two.inside, CALLER, GetCallerRequest(), two.ada)
    assert code is StatusCode.UNAVAILABLE


async def test_calls_that_outlast_the_grace_are_cut_inside(two: Two) -> None:
    task = (await two.world.saying(*two.ada).tasks.SubmitTask(submission())).task
    request = WaitOperationRequest(name=f"operations/{task.metadata.id}")
    waiting = asyncio.ensure_future(told(two.inside, WAIT, request, two.ada, kind=Operation))
    await asyncio.sleep(0)
    await two.world.server.inside.stop(0.01)
    assert await waiting == (StatusCode.UNAVAILABLE, "Cancelling all calls", [])

"""Results that are fetched: when they are acknowledged, and how handles have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status as Failure
from grpc import StatusCode

from longshore.client import CallError, Client, NotFound, TaskHandle, Unavailable, WorkFailed
from longshore.v1 import operation_pb2 as operation
from longshore.v1 import task_service_pb2 as tasks
from tests.tools.recorder import Recorder, recorder

FETCH = tasks.FetchTaskResultRequest(id="7")
ACKNOWLEDGE = tasks.AcknowledgeResultsRequest(ids=["7"])
ACKNOWLEDGED = tasks.AcknowledgeResultsResponse()
JSON = "application/json"
STORE = operation.DELIVERY_MODE_STORE
CHANNEL = operation.DELIVERY_MODE_CHANNEL


@pytest.fixture
async def peer() -> AsyncIterator[Recorder]:
    async with recorder() as peer:
        yield peer


@pytest.fixture
async def client(peer: Recorder) -> AsyncIterator[Client]:
    async with Client(peer.address, timeout=45) as client:
        yield client


def result(content_type: str, *pieces: bytes) -> list[Message | StatusCode]:
    """Return what a server says that has a result."""
    first, *rest = pieces
    return [
        tasks.FetchTaskResultResponse(content_type=content_type, data=first),
        *(tasks.FetchTaskResultResponse(data=piece) for piece in rest),
        StatusCode.OK,
    ]


def ended(
    mode: operation.DeliveryMode.ValueType = STORE,
    state: operation.State.ValueType = operation.STATE_SUCCEEDED,
    **fields: Any,
) -> list[Message | StatusCode]:
    """Return what a watch says of a task that has ended."""
    status = operation.Status(state=state, delivery=operation.Delivery(mode=mode), **fields)
    task = tasks.Task(metadata=operation.Metadata(id="7", number=7), status=status)
    change = tasks.TaskChange(task=task)
    last = tasks.WatchTasksResponse(changes=[change], revision=1, end=operation.END_DONE)
    return [last, StatusCode.OK]


@pytest.fixture
async def handle(peer: Recorder, client: Client) -> TaskHandle:
    task = tasks.Task(metadata=operation.Metadata(id="7", number=7))
    peer.ready = [tasks.GetTaskResponse(task=task)]
    handle = await client.tasks.get("7")
    peer.asked.clear()
    return handle


async def test_a_result_is_acknowledged_when_all_of_it_was_handed_out(
    peer: Recorder, client: Client
) -> None:
    peer.ready = result("application/zip", b"PK", b"zip")
    async with client.tasks.fetch("7") as fetching:
        assert fetching.content_type == ""
        assert await anext(fetching) == b"PK"
        assert fetching.content_type == "application/zip"
        assert await anext(fetching) == b"zip"
        assert peer.asked == [FETCH]
        assert [piece async for piece in fetching] == []
    assert peer.asked == [FETCH, ACKNOWLEDGE]


async def test_a_result_that_breaks_off_is_not_acknowledged(
    peer: Recorder, client: Client
) -> None:
    peer.ready = [*result(JSON, b"{")[:-1], StatusCode.UNAVAILABLE]
    with pytest.raises(Unavailable):
        b"".join([piece async for piece in client.tasks.fetch("7")])
    async with client.tasks.fetch("7") as fetching:
        peer.ready = result(JSON, b"{", b"}")
        await anext(fetching)
    assert peer.asked == [FETCH, FETCH]


async def test_a_result_is_acknowledged_only_if_that_is_wanted(
    peer: Recorder, client: Client
) -> None:
    peer.ready = result(JSON, b"{}")
    fetching = client.tasks.fetch("7", acknowledge=False)
    assert [piece async for piece in fetching] == [b"{}"]
    assert peer.asked == [FETCH]


async def test_without_a_delivery_there_is_nothing_to_acknowledge(
    peer: Recorder, client: Client
) -> None:
    peer.ready = [*result(JSON, b"{}"), StatusCode.FAILED_PRECONDITION]
    assert [piece async for piece in client.tasks.fetch("7")] == [b"{}"]
    assert peer.asked == [FETCH, ACKNOWLEDGE]


async def test_a_result_that_is_saved_is_acknowledged_when_it_has_its_name(
    peer: Recorder, client: Client, tmp_path: Path
) -> None:
    peer.ready = [*result("application/zip", b"PK", b"zip"), StatusCode.INTERNAL]
    with pytest.raises(CallError):
        await client.tasks.fetch("7").save(tmp_path)
    assert (tmp_path / "7.zip").read_bytes() == b"PKzip"
    peer.ready = result(JSON, b"{}")
    assert await client.tasks.fetch("7").save(tmp_path) == tmp_path / "7.json"
    assert peer.asked == [FETCH, ACKNOWLEDGE] * 2


async def test_a_result_that_cannot_be_saved_is_not_acknowledged(
    peer: Recorder, client: Client, tmp_path: Path
) -> None:
    peer.ready = result(JSON, b"{}")
    with pytest.raises(FileNotFoundError):
        await client.tasks.fetch("7").save(tmp_path / "missing" / "x")
    assert peer.asked == [FETCH]


async def test_acknowledging_is_repeated_while_nobody_is_there(
    peer: Recorder, client: Client
) -> None:
    peer.ready = [StatusCode.UNAVAILABLE]
    await client.tasks.acknowledge("7")
    assert peer.asked == [ACKNOWLEDGE, ACKNOWLEDGE]


@pytest.mark.parametrize("mode", [STORE, CHANNEL])
async def test_a_handle_fetches_and_acknowledges_the_result_of_a_delivery_once(
    mode: operation.DeliveryMode.ValueType, peer: Recorder, handle: TaskHandle
) -> None:
    peer.ready = [*ended(mode), *result(JSON, b'{"n": 1, ', b'"x": [null, 1.5]}')]
    assert await handle.result() == {"n": 1, "x": [None, 1.5]}
    assert peer.asked[1:] == [FETCH, ACKNOWLEDGE]
    peer.ready = ended(mode)
    assert await handle.result() == {"n": 1, "x": [None, 1.5]}
    assert len(peer.asked) == 4


async def test_a_handle_has_the_result_through_lost_connections(
    peer: Recorder, handle: TaskHandle
) -> None:
    peer.ready = [
        *ended(),
        StatusCode.UNAVAILABLE,
        *result(JSON, b"{")[:-1],
        StatusCode.UNAVAILABLE,
        *result(JSON, b'{"n": 1}'),
        StatusCode.INTERNAL,
        ACKNOWLEDGED,
    ]
    assert await handle.result(timeout=45) == {"n": 1}
    assert peer.asked[1:] == [FETCH, FETCH, FETCH, ACKNOWLEDGE, ACKNOWLEDGE]


async def test_a_result_that_somebody_else_took_is_not_found(
    peer: Recorder, handle: TaskHandle
) -> None:
    peer.ready = [*ended(), StatusCode.NOT_FOUND]
    with pytest.raises(NotFound):
        await handle.result()


async def test_files_are_not_removed_by_asking_for_the_result(
    peer: Recorder, handle: TaskHandle
) -> None:
    made = [operation.File(file_id="f-1", path="a.txt")]
    peer.ready = [*ended(files=made), *result("text/plain", b"abc")]
    assert await handle.result() == {}
    assert peer.asked[1:] == [FETCH]


async def test_a_file_that_is_json_but_no_object_is_no_result(
    peer: Recorder, handle: TaskHandle
) -> None:
    made = [operation.File(file_id="f-1", path="a.json")]
    peer.ready = [*ended(files=made), *result(JSON, b"[1]")]
    assert await handle.result() == {}


async def test_what_failed_on_its_way_is_not_fetched(
    peer: Recorder, handle: TaskHandle
) -> None:
    failed = ended(state=operation.STATE_FAILED, error=Failure(code=8, message="too large"))
    peer.ready = failed
    with pytest.raises(WorkFailed, match="too large"):
        await handle.result()
    assert len(peer.asked) == 1

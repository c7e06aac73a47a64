"""google.longrunning: the client library of that API, unchanged, over every kind of operation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar, cast

import grpc
import pytest
from google.api_core import exceptions, operation, operation_async
from google.api_core.future.async_future import DEFAULT_RETRY
from google.api_core.future.polling import DEFAULT_POLLING
from google.api_core.operations_v1 import OperationsAsyncClient, OperationsClient
from google.longrunning import operations_proto_pb2 as lro
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from grpc import StatusCode

from longshore.engine.settings import EngineSettings
from longshore.server import longrunning
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import ApplyContractRequest
from longshore.v1.job_service_pb2 import Job, JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import Launch, LaunchSpec, SubmitLaunchRequest
from longshore.v1.task_service_pb2 import BatchSubmitTasksRequest, CancelTaskRequest, Task
from tests.service.harness import (
    OFFERS,
    PATIENCE_SECONDS,
    World,
    call,
    options,
    publish,
    refused,
    serving,
    stevedore,
    submission,
)
from tests.service.test_nothing_is_internal import BASES, CLEAN

T = TypeVar("T")

# Parts of the library have no types.
FUTURES: Any = cast("Any", operation)
ASYNC_FUTURES: Any = cast("Any", operation_async)

#: The clients ask again and again; their own first pause is a second.
POLLING: Any = DEFAULT_POLLING.with_delay(initial=0.01, maximum=0.1)
ASYNC_POLLING: Any = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1)


@pytest.fixture
def generic(world: World) -> Any:
    """The async client of the API."""
    make: Any = OperationsAsyncClient
    return make(world.channel)


@pytest.fixture
async def plain(world: World) -> AsyncIterator[Any]:
    """The client of the API that blocks, to be used by `in_thread`."""
    make: Any = OperationsClient
    with grpc.insecure_channel(world.server.address) as channel:
        yield make(channel)


async def in_thread(function: Callable[..., T], *args: Any, **fields: Any) -> T:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.to_thread(function, *args, **fields)


def named(task_id: str) -> str:
    return f"operations/{task_id}"


async def test_a_result_is_waited_for_by_the_client_that_blocks(
    world: World, plain: Any
) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(name="digest"))
        begun = await in_thread(plain.get_operation, named(task.metadata.id))
        assert (begun.name, begun.done) == (named(task.metadata.id), False)
        future = FUTURES.from_gapic(begun, plain, Task, metadata_type=Task, polling=POLLING)
        assert future.metadata.spec.name == "digest"
        assert not await in_thread(future.done)
        waiting = asyncio.create_task(in_thread(future.result))
        await worker.run_next(sum=7)
        result = await waiting
    assert result == await world.get(task.metadata.id)
    assert result.status.result["sum"] == 7
    assert future.metadata.status.state == pb.STATE_SUCCEEDED
    assert not future.metadata.status.HasField("result")


async def test_a_failure_is_raised_by_the_client_that_blocks(world: World, plain: Any) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        begun = await in_thread(plain.get_operation, named(task.metadata.id))
        future = FUTURES.from_gapic(begun, plain, Task, polling=POLLING)
        await worker.fail(await worker.assigned(), "the crane is broken")
        with pytest.raises(exceptions.GoogleAPICallError, match="the crane is broken"):
            await in_thread(future.result)
    ended = await in_thread(plain.get_operation, named(task.metadata.id))
    assert ended.error == (await world.get(task.metadata.id)).status.error
    assert not ended.HasField("response")


async def test_the_async_client_waits_for_a_result(world: World, generic: Any) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        begun = await generic.get_operation(named(task.metadata.id))
        future = ASYNC_FUTURES.from_gapic(
            begun, generic, Task, metadata_type=Task, retry=ASYNC_POLLING
        )
        await worker.run_next(sum=7)
        async with asyncio.timeout(PATIENCE_SECONDS):
            result = await future.result()
    assert result.status.result["sum"] == 7


async def test_what_is_canceled_has_ended_with_that_code(world: World, plain: Any) -> None:
    await publish(world)
    task = await world.submit(submission())
    begun = await in_thread(plain.get_operation, named(task.metadata.id))
    future = FUTURES.from_gapic(begun, plain, Task, polling=POLLING)
    assert await in_thread(future.cancel)
    with pytest.raises(exceptions.Cancelled):
        await in_thread(future.result)
    assert await in_thread(future.cancelled)
    ended = await in_thread(plain.get_operation, named(task.metadata.id))
    assert (ended.error.code, ended.error.message) == (
        Code.CANCELLED,
        "the operation was canceled",
    )
    with pytest.raises(exceptions.FailedPrecondition):
        await in_thread(plain.cancel_operation, named(task.metadata.id))
    told = await world.submit(submission())
    await world.tasks.CancelTask(CancelTaskRequest(id=told.metadata.id, message="too late"))
    ended = await in_thread(plain.get_operation, named(told.metadata.id))
    assert (ended.error.code, ended.error.message) == (Code.CANCELLED, "too late")


async def test_only_what_has_ended_is_deleted(world: World, generic: Any) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        name = named(task.metadata.id)
        assignment = await worker.assigned()
        with pytest.raises(exceptions.FailedPrecondition):
            await generic.delete_operation(name)
        await worker.complete(assignment)
    await generic.delete_operation(name)
    for ask in (generic.get_operation, generic.delete_operation, generic.cancel_operation):
        with pytest.raises(exceptions.NotFound):
            await ask(name)


async def test_all_kinds_are_listed_page_by_page_by_the_clients(
    world: World, generic: Any, plain: Any
) -> None:
    await publish(world, [*OFFERS, CLEAN])
    contract: Any = BASES["Contract"]
    await world.catalog.ApplyContract(ApplyContractRequest(contract=contract))
    tasks = [await world.submit(submission(name=f"task {index}")) for index in range(3)]
    job = await world.jobs.SubmitJob(
        SubmitJobRequest(spec=JobSpec(contract="archive", action="ingest"))
    )
    launch = await world.launches.SubmitLaunch(
        SubmitLaunchRequest(spec=LaunchSpec(service="clean"))
    )
    more = BatchSubmitTasksRequest(requests=[submission()] * 100)
    rest = [one.submitted.task for one in (await world.tasks.BatchSubmitTasks(more)).results]
    ids = [one.metadata.id for one in (*tasks, job.job, launch.launch, *rest)]
    expected = [named(one) for one in reversed(ids)]
    listed = [one async for one in await generic.list_operations("operations", "")]
    assert [one.name for one in listed] == expected
    assert [one.metadata.TypeName() for one in listed[100:]] == [
        Launch.DESCRIPTOR.full_name,
        Job.DESCRIPTOR.full_name,
        *[Task.DESCRIPTOR.full_name] * 3,
    ]

    def pages() -> list[list[str]]:
        found = plain.list_operations("operations", "number > 2")
        return [[one.name for one in page] for page in found.pages]

    assert await in_thread(pages) == [expected[:100], expected[100:103]]


async def test_pages_have_the_size_that_is_asked_for(world: World, stub: Any) -> None:
    await publish(world)
    tasks = [await world.submit(submission(name=f"task {index}")) for index in range(3)]
    request = lro.ListOperationsRequest(name="operations", filter="kind = TASK", page_size=2)
    first = await stub.ListOperations(request)
    request.page_token = first.next_page_token
    last = await stub.ListOperations(request)
    names = [one.name for page in (first, last) for one in page.operations]
    assert (len(first.operations), last.next_page_token) == (2, "")
    assert names == [named(one.metadata.id) for one in reversed(tasks)]


@pytest.fixture
def stub(world: World) -> Any:
    make: Any = OperationsStub
    return make(world.channel)


async def test_waiting_returns_with_the_end(world: World, stub: Any) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        waits = stub.WaitOperation(lro.WaitOperationRequest(name=named(task.metadata.id)))
        await worker.run_next(sum=7)
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await waits
        assert ended.done
        result = Task()
        assert ended.response.Unpack(result)
        assert result.status.result["sum"] == 7
        again = lro.WaitOperationRequest(name=named(task.metadata.id))
        assert await stub.WaitOperation(again) == ended


async def test_waiting_returns_when_the_time_is_up(
    world: World, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(world)
    task = await world.submit(submission())
    name = named(task.metadata.id)
    for span in (Duration(), Duration(nanos=20_000_000)):
        waited = await stub.WaitOperation(lro.WaitOperationRequest(name=name, timeout=span))
        assert not waited.done
    # A call's own deadline counts, and leaves time for the answer.
    monkeypatch.setattr(longrunning, "_MARGIN", 0.99)
    monkeypatch.setattr(longrunning, "_MARGIN_SECONDS_MOST", 30.0)
    waited = await stub.WaitOperation(lro.WaitOperationRequest(name=name), timeout=30)
    assert not waited.done
    request = lro.WaitOperationRequest(name=name, timeout=Duration(seconds=-1))
    refusal = await refused(stub.WaitOperation(request))
    assert (refusal.code, refusal.fields) == (
        StatusCode.INVALID_ARGUMENT,
        {"timeout": "INVALID"},
    )


async def test_waiting_ends_with_draining_and_with_the_age_of_streams(
    world: World, stub: Any, tmp_path: Any
) -> None:
    await publish(world)
    task = await world.submit(submission())
    waits = stub.WaitOperation(lro.WaitOperationRequest(name=named(task.metadata.id)))
    watched = world.engine.feed.watch
    begun = asyncio.Event()

    def watch(replay: Any) -> Any:
        begun.set()
        return watched(replay)

    world.engine.feed.watch = watch  # type: ignore[method-assign]
    await begun.wait()
    world.engine.drain()
    assert not (await waits).done
    settings = EngineSettings(stream_age_seconds=0.01)
    async with serving(tmp_path / "aged.db", settings) as aged:
        await publish(aged)
        task = await aged.submit(submission())
        make: Any = OperationsStub
        asked = lro.WaitOperationRequest(name=named(task.metadata.id))
        assert not (await make(aged.channel).WaitOperation(asked)).done


async def test_a_name_says_what_is_wrong_with_it(world: World, stub: Any) -> None:
    unknown = "operations/01890a5d-ac96-774b-bcce-b302099a8057"
    asked = {
        stub.GetOperation: lro.GetOperationRequest,
        stub.WaitOperation: lro.WaitOperationRequest,
        stub.CancelOperation: lro.CancelOperationRequest,
        stub.DeleteOperation: lro.DeleteOperationRequest,
    }
    for method, request in asked.items():
        for name in (unknown, "operations/nobody", "operations/77", "operations/1/2"):
            refusal = await refused(method(request(name=name)))
            assert (refusal.code, refusal.reason) == (
                StatusCode.NOT_FOUND,
                "OPERATION_NOT_FOUND",
            )
            assert refusal.fields == {"name": "UNKNOWN"}
        for name in ("tasks/1", "operations", "operations/", "1"):
            refusal = await refused(method(request(name=name)))
            assert (refusal.code, refusal.fields) == (
                StatusCode.INVALID_ARGUMENT,
                {"name": "INVALID"},
            )
        assert (await refused(method(request()))).fields == {"name": "MISSING"}
    lists = {
        "name": lro.ListOperationsRequest(name="operations/1"),
        "filter": lro.ListOperationsRequest(name="operations", filter="state ="),
        "page_token": lro.ListOperationsRequest(name="operations", page_token="x"),
        "page_size": lro.ListOperationsRequest(name="operations", page_size=1_001),
    }
    for field, request in lists.items():
        refusal = await refused(stub.ListOperations(request))
        assert refusal.code == StatusCode.INVALID_ARGUMENT
        assert field in refusal.fields


async def test_a_name_may_have_the_number(world: World, generic: Any) -> None:
    await publish(world)
    task = await world.submit(submission())
    found = await generic.get_operation(f"operations/{task.metadata.number}")
    assert found.name == named(task.metadata.id)


async def test_what_is_of_another_tenant_is_not_found(world: World, generic: Any) -> None:
    await publish(world)
    task = await world.submit(submission())
    north = [("x-tenant-id", "north")]
    with pytest.raises(exceptions.NotFound):
        await generic.get_operation(named(task.metadata.id), metadata=north)
    listed = await generic.list_operations("operations", "", metadata=north)
    assert [one async for one in listed] == []


async def test_a_result_on_its_way_is_not_shown(world: World, generic: Any) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(
            submission(call("noop"), options=options(delivery=pb.DELIVERY_MODE_STORE))
        )
        await worker.run_next(sum=7)
    begun = await generic.get_operation(named(task.metadata.id))
    async with asyncio.timeout(PATIENCE_SECONDS):
        result = await ASYNC_FUTURES.from_gapic(
            begun, generic, Task, retry=ASYNC_POLLING
        ).result()
    assert result.status.delivery.state == pb.DELIVERY_STATE_COMPLETE
    assert not result.status.HasField("result")

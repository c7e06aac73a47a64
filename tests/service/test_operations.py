"""OperationService: operations of any kind, their history, and why they wait."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from longshore.v1 import operation_pb2 as pb
from longshore.v1.operation_service_pb2 import (
    ExplainOperationRequest,
    GetHistoryRequest,
    GetOperationRequest,
    WaitReasonKind,
)
from longshore.v1.server_service_pb2 import SERVER_MODE_SUSPENDED, SetModeRequest
from longshore.v1.task_service_pb2 import SuspendTaskRequest
from tests.service.harness import (
    World,
    call,
    options,
    publish,
    refused,
    stevedore,
    struct,
    submission,
)


async def history(world: World, operation_id: str, **fields: Any) -> Any:
    request = GetHistoryRequest(id=operation_id, **fields)
    return await world.operations.GetHistory(request)


async def reasons(world: World, operation_id: str) -> dict[str, Any]:
    request = ExplainOperationRequest(id=operation_id)
    response = await world.operations.ExplainOperation(request)
    return {
        WaitReasonKind.Name(one.kind).removeprefix("WAIT_REASON_KIND_"): one
        for one in response.reasons
    }


async def test_an_operation_is_found_by_id_and_number(world: World) -> None:
    await publish(world)
    task = await world.submit(submission(context=struct({"a": 1})))
    for asked in (task.metadata.id, str(task.metadata.number)):
        response = await world.operations.GetOperation(GetOperationRequest(id=asked))
        assert response.WhichOneof("operation") == "task"
        assert response.task == task
    basic = GetOperationRequest(id=task.metadata.id, view=pb.VIEW_BASIC)
    assert not (await world.operations.GetOperation(basic)).task.spec.HasField("context")


async def test_a_history_tells_everything_in_order(world: World) -> None:
    async with stevedore(world) as worker:
        retry = pb.RetryPolicy(initial_backoff=Duration(nanos=1_000_000))
        task = await world.submit(submission(options=options(retry=retry)))
        await worker.fail(await worker.assigned(), "once", permanent=False)
        again = await worker.assigned()
        await worker.report(again, log=pb.LogEntry(message="hello"))
        await worker.complete(again)
        whole = (await history(world, task.metadata.id)).events
    told = [(event.WhichOneof("detail"), pb.State.Name(event.state)) for event in whole]
    assert told == [
        ("submitted", "STATE_QUEUED"),
        ("state_changed", "STATE_RUNNING"),
        ("state_changed", "STATE_QUEUED"),
        ("state_changed", "STATE_RUNNING"),
        ("log", "STATE_RUNNING"),
        ("state_changed", "STATE_SUCCEEDED"),
    ]
    changes = [event.state_changed for event in whole if event.HasField("state_changed")]
    froms = [pb.State.Name(one.from_state).removeprefix("STATE_") for one in changes]
    assert froms == ["QUEUED", "RUNNING", "QUEUED", "RUNNING"]
    assert [one.attempt for one in changes[:3]] == [1, 1, 2]
    assert changes[1].error.message == "once"
    assert changes[1].HasField("not_before")
    assert changes[2].worker == "stevedore"
    assert all(event.operation_id == task.metadata.id for event in whole)


async def test_a_history_is_paged_and_chosen_by_detail(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        for number in range(5):
            await worker.report(assignment, log=pb.LogEntry(message=str(number)))
        seen: list[str] = []
        token = ""
        while True:
            page = await history(
                world, task.metadata.id, details=["log"], page_size=2, page_token=token
            )
            seen += [event.log.message for event in page.events]
            token = page.next_page_token
            if not token:
                break
            assert len(page.events) == 2
        assert seen == ["0", "1", "2", "3", "4"]
        first = await history(world, task.metadata.id, page_size=1)
        other = history(
            world, task.metadata.id, details=["log"], page_token=first.next_page_token
        )
        assert (await refused(other)).reason == "INVALID_PAGE_TOKEN"
        none = await history(world, task.metadata.id, details=["file_added"])
        assert not none.events
        unknown = await refused(history(world, task.metadata.id, details=["log", "logs"]))
        assert unknown.fields == {"details[1]": "UNKNOWN"}


async def test_a_history_closes_before_it_grows_too_large(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        assignment = await worker.assigned()
        for _ in range(70):
            await worker.report(assignment, log=pb.LogEntry(message="a" * 16_384))
        page = await history(world, task.metadata.id, page_size=1_000)
        rest = await history(
            world, task.metadata.id, page_size=1_000, page_token=page.next_page_token
        )
    assert page.ByteSize() < 1_100_000
    assert len(page.events) + len(rest.events) == 72


async def test_unknown_operations_have_neither_state_nor_history(world: World) -> None:
    for asked in (
        world.operations.GetOperation(GetOperationRequest(id="7")),
        world.operations.ExplainOperation(ExplainOperationRequest(id="x")),
        history(world, "0198c2d4-0000-7000-8000-000000000000"),
    ):
        refusal = await refused(asked)
        assert refusal.code == StatusCode.NOT_FOUND
        assert refusal.reason == "OPERATION_NOT_FOUND"


async def test_a_wait_for_a_worker_is_explained(world: World) -> None:
    unknown = submission(call("fly"), options=options(queue="air", allow_unregistered=True))
    task = await world.submit(unknown)
    found = await reasons(world, task.metadata.id)
    assert list(found) == ["NO_WORKER"]
    assert found["NO_WORKER"].facts["queue"] == "air"
    async with stevedore(world, queues=["air"]):
        found = await reasons(world, task.metadata.id)
        assert "fly" in found["NO_WORKER"].message
        assert found["NO_WORKER"].facts["actions"] == "fly"


async def test_a_wait_for_a_slot_and_for_others_is_explained(world: World) -> None:
    async with stevedore(world) as worker:
        first = await world.submit(submission())
        await worker.assigned()
        await world.submit(submission())
        last = await world.submit(submission())
        assert list(await reasons(world, first.metadata.id)) == ["RUNNING"]
        found = await reasons(world, last.metadata.id)
    assert list(found) == ["NO_FREE_SLOT", "BEHIND_OTHERS"]
    assert found["NO_FREE_SLOT"].facts["workers"] == "stevedore"
    assert found["BEHIND_OTHERS"].facts["count"] == "1"


async def test_what_was_asked_for_is_explained_too(world: World) -> None:
    await publish(world)
    later = Timestamp(seconds=4_000_000_000)
    delayed = await world.submit(submission(options=options(start_time=later)))
    found = await reasons(world, delayed.metadata.id)
    assert next(iter(found)) == "NOT_BEFORE"
    assert found["NOT_BEFORE"].facts["start_time"].startswith("2096-10-02T07:06:40")
    await world.tasks.SuspendTask(SuspendTaskRequest(id=delayed.metadata.id))
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_SUSPENDED))
    assert list(await reasons(world, delayed.metadata.id))[:2] == [
        "SERVER_SUSPENDED",
        "SUSPENDED",
    ]


async def test_the_end_is_explained(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        await worker.run_next()
        found = await reasons(world, task.metadata.id)
    assert list(found) == ["ENDED"]
    assert found["ENDED"].facts["state"] == "SUCCEEDED"

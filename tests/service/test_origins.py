"""Origins: a history says who brought each event about, and from where; a watch does not."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from grpc import StatusCode

from longshore.v1 import operation_pb2 as pb
from longshore.v1.file_service_pb2 import FileHeader, UploadFileRequest
from longshore.v1.operation_service_pb2 import GetHistoryRequest, WatchOperationsRequest
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    SuspendTaskRequest,
    WatchTasksRequest,
)
from longshore.v1.worker_service_pb2 import Hello, WorkAssignment
from tests.service.harness import (
    OFFERS,
    Stevedore,
    Watch,
    World,
    publish,
    refused,
    submission,
)

SERVER = "the server"


def named(request_id: str, tenant: str = "default") -> Any:
    return (("x-request-id", request_id), ("x-tenant-id", tenant))


@asynccontextmanager
async def shift(world: World, request_id: str) -> AsyncGenerator[Stevedore]:
    """Connect a worker whose stream has a request id."""
    worker = Stevedore(world.workers.Work(metadata=named(request_id)))
    await worker.say(hello=Hello(worker="w", queues=["default"], services=OFFERS, slots=1))
    await worker.hear()
    yield worker
    worker.stream.cancel()


async def save(world: World, lease: WorkAssignment, request_id: str) -> None:
    digest = hashlib.sha256(b"data").hexdigest()
    header = FileHeader(path="a.txt", number=lease.number, lease_token=lease.lease_token)
    requests = [
        UploadFileRequest(header=header),
        UploadFileRequest(data=b"data"),
        UploadFileRequest(sha256=digest),
    ]
    await world.files.UploadFile(iter(requests), metadata=named(request_id))


async def told(world: World, task_id: str, **more: Any) -> list[tuple[str | None, str]]:
    """Return what happened, and the request id of the call that brought it about."""
    pages: list[tuple[str | None, str]] = []
    request = GetHistoryRequest(id=task_id, **more)
    while True:
        page = await world.operations.GetHistory(request)
        for event in page.events:
            who = event.origin
            if event.HasField("origin"):
                by_whom = (who.principal, who.address, who.tenant)
                assert by_whom == ("anonymous", "127.0.0.1", "default")
            by = who.request_id if event.HasField("origin") else SERVER
            pages.append((event.WhichOneof("detail"), by))
        if not page.next_page_token:
            return pages
        request.page_token = page.next_page_token


async def test_a_history_says_which_call_brought_each_event_about(world: World) -> None:
    async with shift(world, "shift") as worker:
        answer = await world.tasks.SubmitTask(submission(), metadata=named("submit"))
        task_id = answer.task.metadata.id
        lease = await worker.assigned()
        await worker.report(lease, log=pb.LogEntry(message="hello"))
        await save(world, lease, "save")
        await world.tasks.CancelTask(CancelTaskRequest(id=task_id), metadata=named("cancel"))
        await worker.complete(lease)
    expected = [
        ("submitted", "submit"),
        ("state_changed", SERVER),
        ("log", "shift"),
        ("file_added", "save"),
        ("cancel_requested", "cancel"),
        ("state_changed", "shift"),
    ]
    assert await told(world, task_id) == expected
    assert await told(world, task_id, page_size=1) == expected
    assert await told(world, task_id, details=["state_changed"]) == [expected[1], expected[5]]


async def test_a_call_without_a_request_id_is_told_with_the_one_made_up_for_it(
    world: World,
) -> None:
    await publish(world)
    call = world.tasks.SubmitTask(submission())
    task_id = (await call).task.metadata.id
    echoed = dict(await call.trailing_metadata())["x-request-id"]
    assert await told(world, task_id) == [("submitted", echoed)]


async def test_watches_leave_out_who_brought_events_about(world: World) -> None:
    await publish(world)
    answer = await world.tasks.SubmitTask(submission(), metadata=named("submit"))
    task_id = answer.task.metadata.id
    live = Watch(world.tasks.WatchTasks(WatchTasksRequest(ids=[task_id], after_revision=0)))
    first = (await live.message()).changes
    await world.tasks.SuspendTask(SuspendTaskRequest(id=task_id), metadata=named("suspend"))
    await told(world, task_id)
    await world.tasks.CancelTask(CancelTaskRequest(id=task_id), metadata=named("cancel"))
    followed = [change for message in await live.rest() for change in message.changes]
    again = WatchOperationsRequest(ids=[task_id], after_revision=0)
    replayed = await Watch(world.operations.WatchOperations(again)).rest()
    seen = [*first, *followed, *(one for message in replayed for one in message.changes)]
    assert len(seen) == 6
    assert not any(change.event.HasField("origin") for change in seen)


async def test_nobody_learns_who_asked_in_another_tenant(world: World) -> None:
    await publish(world)
    answer = await world.tasks.SubmitTask(submission(), metadata=named("submit"))
    asked = GetHistoryRequest(id=answer.task.metadata.id)
    history = world.operations.GetHistory(asked, metadata=named("spy", "acme"))
    assert (await refused(history)).code is StatusCode.NOT_FOUND

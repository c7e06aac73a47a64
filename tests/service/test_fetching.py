"""Results: fetched as bytes, as often as wanted, until they are acknowledged."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from longshore.core.callers import Caller
from longshore.core.changes import Acknowledge, Delete
from longshore.core.ids import target_of
from longshore.core.limits import MIB
from longshore.engine.clock import MovableClock
from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.launch_service_pb2 import (
    DownloadLaunchFilesRequest,
    LaunchSpec,
    SubmitLaunchRequest,
)
from longshore.v1.task_service_pb2 import (
    CancelTaskRequest,
    FetchTaskResultRequest,
    WatchTasksRequest,
)
from tests.service.harness import (
    Stevedore,
    World,
    options,
    parameter,
    publish,
    refused,
    save,
    serving,
    stevedore,
    submission,
)

STORE = pb.DELIVERY_MODE_STORE

BAKE = Service(
    slug="bake",
    kind=pb.SERVICE_KIND_OPERATION,
    actions=[ServiceAction(slug="run", parameters=[parameter("flour", optional=True)])],
)


async def fetched(world: World, task_id: str) -> tuple[str, bytes]:
    """Return what there is of a result: its media type, and its bytes."""
    messages = [one async for one in fetching(world, task_id)]
    assert not any(one.content_type for one in messages[1:])
    assert all(len(one.data) <= MIB for one in messages)
    return messages[0].content_type, b"".join(one.data for one in messages)


def fetching(world: World, task_id: str) -> Any:
    return world.tasks.FetchTaskResult(FetchTaskResultRequest(id=task_id))


async def ended(world: World, task_id: str) -> pb.Status:
    """Return the status of a task when it has ended."""
    async for _ in world.tasks.WatchTasks(WatchTasksRequest(ids=[task_id])):
        pass
    return (await world.get(task_id)).status


async def acknowledge(world: World, task_id: str) -> None:
    await world.engine.writer.write(Acknowledge(Caller(), (target_of(task_id),)))


async def test_a_result_is_fetched_as_json_as_often_as_wanted(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        await worker.run_next(count=3, ratio=0.5, names=["é", "\u2028"], nested={"b": None})
    expected = '{"count":3,"names":["é","\u2028"],"nested":{"b":null},"ratio":0.5}'
    for asked in (task.metadata.id, str(task.metadata.number)):
        assert await fetched(world, asked) == ("application/json", expected.encode())
    assert (await world.get(task.metadata.id)).status.result["count"] == 3


async def test_work_that_gave_nothing_has_an_empty_object_as_its_result(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        await worker.run_next()
    assert await fetched(world, task.metadata.id) == ("application/json", b"{}")


async def test_a_large_result_comes_in_several_messages(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission())
        await worker.run_next(text="\x01" * 500_000)
    _, data = await fetched(world, task.metadata.id)
    assert len(data) > 2 * MIB
    assert json.loads(data) == {"text": "\x01" * 500_000}


async def test_what_has_not_succeeded_has_no_result(world: World) -> None:
    await publish(world)
    task = await world.submit(submission())
    refusal = await refused(fetched(world, task.metadata.id))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert refusal.metadata["state"] == "QUEUED"
    async with stevedore(world) as worker:
        assignment = await worker.assigned()
        await save(world, assignment, "half", b"a")
        refusal = await refused(fetched(world, task.metadata.id))
        assert (refusal.reason, refusal.metadata["state"]) == ("WRONG_STATE", "RUNNING")
        await worker.fail(assignment, "no flour")
        refusal = await refused(fetched(world, task.metadata.id))
        assert (refusal.reason, refusal.metadata["state"]) == ("WRONG_STATE", "FAILED")
    waiting = await world.submit(submission(options=options(suspended=True)))
    await world.tasks.CancelTask(CancelTaskRequest(id=waiting.metadata.id))
    refusal = await refused(fetched(world, waiting.metadata.id))
    assert refusal.metadata["state"] == "CANCELED"


@pytest.mark.parametrize("asked", ["", "x", "12345", "0198c2d4-0000-7000-8000-000000000000"])
async def test_a_result_of_no_task_is_not_found(world: World, asked: str) -> None:
    refusal = await refused(fetched(world, asked))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND")


async def test_a_stored_result_is_fetched_until_it_is_acknowledged(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=options(delivery=STORE)))
        refusal = await refused(fetched(world, task.metadata.id))
        assert refusal.reason == "WRONG_STATE"
        await worker.run_next(answer=42)
        status = await ended(world, task.metadata.id)
    assert not status.HasField("result")
    for _ in range(2):
        assert (await fetched(world, task.metadata.id))[1] == b'{"answer":42}'
    await acknowledge(world, task.metadata.id)
    refusal = await refused(fetched(world, task.metadata.id))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "RESULT_CONSUMED")


async def test_a_stored_result_of_failed_work_is_never_there(world: World) -> None:
    async with stevedore(world) as worker:
        task = await world.submit(submission(options=options(delivery=STORE)))
        await worker.fail(await worker.assigned(), "no flour")
    refusal = await refused(fetched(world, task.metadata.id))
    assert (refusal.reason, refusal.metadata["state"]) == ("WRONG_STATE", "FAILED")


async def made(world: World, worker: Stevedore, files: dict[str, bytes], **results: Any) -> str:
    """Run a task that saves files, and return its id."""
    task = await world.submit(submission(options=options(delivery=STORE)))
    assignment = await worker.assigned()
    for path, data in files.items():
        await save(world, assignment, path, data)
    await worker.complete(assignment, **results)
    await ended(world, task.metadata.id)
    return str(task.metadata.id)


async def test_a_single_file_is_the_result_of_work_that_gave_no_other(world: World) -> None:
    async with stevedore(world) as worker:
        task_id = await made(world, worker, {"bread.txt": b"crust" * 500_000})
    content_type, data = await fetched(world, task_id)
    assert (content_type, data) == ("application/octet-stream", b"crust" * 500_000)
    await acknowledge(world, task_id)
    assert (await refused(fetched(world, task_id))).reason == "RESULT_CONSUMED"
    assert not (await world.get(task_id)).status.files


async def test_several_files_are_fetched_as_a_zip(world: World) -> None:
    files = {"bread.txt": b"crust", "rolls/é.txt": b"", "rolls/large": b"a" * 3 * MIB}
    async with stevedore(world) as worker:
        task_id = await made(world, worker, files)
    content_type, data = await fetched(world, task_id)
    assert content_type == "application/zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files


async def test_files_beside_a_result_are_not_fetched_with_it(world: World) -> None:
    async with stevedore(world) as worker:
        task_id = await made(world, worker, {"a": b"a", "b": b"b"}, answer=42)
    assert await fetched(world, task_id) == ("application/json", b'{"answer":42}')
    assert [one.path for one in (await world.get(task_id)).status.files] == ["a", "b"]


async def test_what_is_deleted_or_expired_is_fetched_no_more(tmp_path: Path) -> None:
    clock = MovableClock()
    async with serving(tmp_path / "longshore.db", clock=clock) as world:
        async with stevedore(world) as worker:
            first = await made(world, worker, {"a": b"a"})
            second = await made(world, worker, {"a": b"a"})
        await world.engine.writer.write(Delete(Caller(), target_of(first)))
        assert (await refused(fetched(world, first))).reason == "OPERATION_NOT_FOUND"
        assert (await fetched(world, second))[1] == b"a"
        clock.move(31 * 86_400_000)
        await world.engine.writer.write(Delete(Caller(), target_of(second)))
        assert (await refused(fetched(world, second))).reason == "OPERATION_NOT_FOUND"


async def launched(world: World) -> str:
    spec = LaunchSpec(service="bake")
    answer = await world.launches.SubmitLaunch(SubmitLaunchRequest(spec=spec))
    return str(answer.launch.metadata.id)


async def downloaded(world: World, launch_id: str) -> list[str]:
    """Return the paths in the zip of a launch's files."""
    request = DownloadLaunchFilesRequest(id=launch_id)
    data = b"".join([one.data async for one in world.launches.DownloadLaunchFiles(request)])
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


async def test_the_files_of_a_launch_are_downloaded_as_a_zip_while_it_makes_them(
    world: World,
) -> None:
    async with stevedore(world, [BAKE], queues=["operations"]) as worker:
        launch_id = await launched(world)
        assignment = await worker.assigned()
        refusal = await refused(downloaded(world, launch_id))
        assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "FILE_NOT_FOUND")
        assert (refusal.fields, refusal.metadata["operation_id"]) == (
            {"id": "UNKNOWN"},
            launch_id,
        )
        await save(world, assignment, "bread/1", b"a")
        assert await downloaded(world, launch_id) == ["bread/1"]
        await save(world, assignment, "bread/2", b"a")
        await worker.complete(assignment, answer=42)
        assert await downloaded(world, launch_id) == ["bread/1", "bread/2"]


async def test_a_launch_is_no_task_and_a_task_no_launch(world: World) -> None:
    async with stevedore(world, [BAKE], queues=["operations"]):
        launch_id = await launched(world)
        refusal = await refused(fetched(world, launch_id))
        assert refusal.reason == "OPERATION_NOT_FOUND"
    task = await world.submit(submission(options=options(allow_unregistered=True)))
    refusal = await refused(downloaded(world, task.metadata.id))
    assert refusal.reason == "OPERATION_NOT_FOUND"

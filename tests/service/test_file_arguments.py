"""File arguments: an id, `files/ID` or a URL; what is named is there, and stays until the end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from longshore.engine.clock import MovableClock
from longshore.server.structs import to_object
from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import operation_pb2 as pb
from longshore.v1.file_service_pb2 import DeleteFileRequest, GetFileRequest
from longshore.v1.job_service_pb2 import JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import LaunchSpec, SubmitLaunchRequest
from longshore.v1.operation_pb2 import Assignment
from longshore.v1.task_service_pb2 import BatchSubmitTasksRequest, ResubmitTaskRequest
from tests.service.harness import (
    Refusal,
    World,
    call,
    options,
    parameter,
    publish,
    refused,
    save,
    serving,
    stevedore,
    struct,
    submission,
    upload,
)

READ = catalog.ServiceAction(
    slug="read",
    parameters=[
        parameter("input", "FILE"),
        parameter("other", "FILE", optional=True),
        parameter("note", optional=True),
    ],
)
OFFERED = (
    catalog.Service(slug="", actions=[READ, catalog.ServiceAction(slug="find")]),
    catalog.Service(slug="rules", kind=pb.SERVICE_KIND_OPERATION, actions=[READ]),
)
NOBODY = "0198c2d4-0000-7000-8000-000000000000"
PLACE = "spec.actions[0].arguments"


@pytest.fixture
async def world(world: World) -> World:
    """A server that knows of actions which read files."""
    await publish(world, OFFERED)
    return world


def reading(value: Any, **more: Any) -> Any:
    return submission(call("read", {"input": value, **more}))


async def is_kept(world: World, file_id: str) -> bool:
    (file,) = await world.engine.store.files(
        "default", [bytes.fromhex(file_id.replace("-", ""))], world.engine.clock.now()
    )
    return file is not None


@pytest.mark.parametrize("prefix", ["", "files/"])
async def test_the_worker_is_given_a_file_as_it_was_named(world: World, prefix: str) -> None:
    named = prefix + (await upload(world, b"a")).file_id.upper()
    async with stevedore(world, OFFERED) as worker:
        await world.submit(reading(named))
        assignment = await worker.assigned()
    assert to_object(Struct.FromString(assignment.arguments)) == {"input": named}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://user:word@example.org:8443/a%20b?c=d#e",
        "https://example.org/" + "a" * 10_000,
    ],
)
async def test_a_url_is_taken_as_it_is(world: World, url: str) -> None:
    task = await world.submit(reading(url))
    assert task.spec.actions[0].arguments["input"] == url


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bread.txt",
        "files/",
        f"files/files/{NOBODY}",
        f"/files/{NOBODY}",
        NOBODY[:-1],
        NOBODY.replace("-", ""),
        "ftp://example.org/a",
        "file:///etc/passwd",
        "//example.org/a",
        "https:///a",
        "https://exa mple.org",
        "https://[::1",
        "HTTP:example.org",
        "http://example.org/\x00",
        3,
        [NOBODY],
        {"file_id": NOBODY},
        None,
    ],
)
async def test_what_names_no_file_is_refused(world: World, value: Any) -> None:
    refusal = await refused(world.submit(reading(value)))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == {f"{PLACE}.input": "INVALID"}


async def test_an_optional_file_may_be_null(world: World) -> None:
    await world.submit(reading("https://example.org", other=None))


def not_there(refusal: Refusal, field: str) -> None:
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "FILE_NOT_FOUND")
    assert (refusal.fields, refusal.metadata["file_id"]) == ({field: "UNKNOWN"}, NOBODY)


async def test_a_file_that_is_not_there_is_told_by_its_field(world: World) -> None:
    file_id = (await upload(world, b"a")).file_id
    revision = await world.revision()
    not_there(await refused(world.submit(reading(NOBODY))), f"{PLACE}.input")
    both = reading(file_id, other=f"files/{NOBODY}")
    not_there(await refused(world.submit(both)), f"{PLACE}.other")
    assert await world.revision() == revision


async def test_a_file_of_another_tenant_is_not_there(world: World) -> None:
    foreign = await upload(world, b"a", tenant="north")
    refusal = await refused(world.submit(reading(foreign.file_id)))
    assert refusal.reason == "FILE_NOT_FOUND"


async def test_in_a_batch_only_who_names_a_missing_file_is_refused(world: World) -> None:
    file_id = (await upload(world, b"a")).file_id
    asked = [reading(file_id), reading(NOBODY), submission(call("find"))]
    answer = await world.tasks.BatchSubmitTasks(BatchSubmitTasksRequest(requests=asked))
    assert [one.WhichOneof("outcome") for one in answer.results] == [
        "submitted",
        "error",
        "submitted",
    ]
    not_there(Refusal.of(answer.results[1].error), f"{PLACE}.input")


async def test_a_plan_names_files_in_every_place(world: World) -> None:
    paths = {"input": "job/files[2]/id"}
    context = {"job": {"files": [{"id": "x"}, {"id": NOBODY}]}}
    plan = submission(call("find"), call("read", argument_paths=paths), context=struct(context))
    not_there(await refused(world.submit(plan)), "spec.context.job.files.id")
    quoted = submission(call("read", argument_paths={"input": f"'{NOBODY}'"}))
    field = "spec.actions[0].argument_paths[input]"
    not_there(await refused(world.submit(quoted)), field)
    copied = submission(
        call("find", assign=[Assignment(target="here", value="$there")]),
        call("read", argument_paths={"input": "here"}),
        context=struct({"there": NOBODY}),
    )
    not_there(await refused(world.submit(copied)), "spec.context.there")


async def test_what_the_work_itself_finds_is_not_asked_for(world: World) -> None:
    found = submission(
        call("find", results=["file"]),
        call("read", argument_paths={"input": "file"}),
        context=struct({"unread": NOBODY}),
    )
    assert (await world.submit(found)).status.state == pb.STATE_QUEUED


async def test_a_file_stays_until_the_work_that_takes_it_has_ended(tmp_path: Path) -> None:
    clock = MovableClock()
    async with serving(tmp_path / "longshore.db", clock=clock) as world:
        await publish(world, OFFERED)
        file_id = (await upload(world, b"a")).file_id
        context = struct({"file": file_id})
        plan = submission(call("read", argument_paths={"input": "file"}), context=context)
        task = await world.submit(plan)
        clock.move(3_600_000)
        await world.engine.files.sweep()
        assert await is_kept(world, file_id)
        refusal = await refused(world.files.DeleteFile(DeleteFileRequest(file_id=file_id)))
        assert (refusal.reason, refusal.metadata["operation_id"]) == (
            "WRONG_STATE",
            task.metadata.id,
        )
        async with stevedore(world, OFFERED) as worker:
            await worker.run_next()
        refusal = await refused(world.files.GetFile(GetFileRequest(file_id=file_id)))
        assert refusal.reason == "FILE_NOT_FOUND"
        again = ResubmitTaskRequest(id=task.metadata.id)
        assert (await refused(world.tasks.ResubmitTask(again))).reason == "FILE_NOT_FOUND"


async def test_what_one_operation_has_made_another_takes(world: World) -> None:
    async with stevedore(world, OFFERED) as worker:
        first = await world.submit(submission(call("find")))
        assignment = await worker.assigned()
        file_id = (await save(world, assignment, "a", b"a")).file_id
        await worker.complete(assignment)
    await world.submit(reading(file_id))
    assert (await world.get(first.metadata.id)).status.files[0].file_id == file_id


async def test_a_repeat_is_answered_although_its_file_is_gone(tmp_path: Path) -> None:
    clock = MovableClock()
    async with serving(tmp_path / "longshore.db", clock=clock) as world:
        async with stevedore(world, OFFERED) as worker:
            request = reading((await upload(world, b"a")).file_id)
            request.request_id = "one"
            first = await world.submit(request)
            await worker.run_next()
        clock.move(3_600_000)
        await world.engine.files.sweep()
        assert (await world.submit(request)).metadata.id == first.metadata.id


async def contract(world: World, variables: dict[str, Any], **fields: Any) -> None:
    template = catalog.WorkflowTemplate(name="steps", actions=[call("read", **fields)])
    action = catalog.ContractAction(
        name="ingest", variables=struct(variables), template=template
    )
    applied = catalog.Contract(name="archive", actions=[action])
    await world.catalog.ApplyContract(catalog.ApplyContractRequest(contract=applied))


async def submit_job(world: World, variables: dict[str, Any], **options: Any) -> Any:
    spec = JobSpec(contract="archive", action="ingest", variables=struct(variables))
    asked = SubmitJobRequest(spec=spec, options=pb.Options(**options))
    return (await world.jobs.SubmitJob(asked)).job


async def test_a_job_takes_the_files_of_its_variables(world: World) -> None:
    await contract(world, {"file": NOBODY}, argument_paths={"input": "file"})
    not_there(await refused(submit_job(world, {})), "spec.action")
    not_there(await refused(submit_job(world, {"file": NOBODY})), "spec.variables.file")
    file_id = (await upload(world, b"a")).file_id
    await submit_job(world, {"file": file_id})
    refusal = await refused(world.files.DeleteFile(DeleteFileRequest(file_id=file_id)))
    assert refusal.reason == "WRONG_STATE"


async def test_a_contract_may_name_a_file_which_its_jobs_then_take(world: World) -> None:
    file_id = (await upload(world, b"a", expire_after=timedelta(seconds=-1))).file_id
    await contract(world, {}, arguments={"input": file_id})
    await submit_job(world, {})
    await contract(world, {}, arguments={"input": NOBODY})
    not_there(await refused(submit_job(world, {})), "spec.action")
    refusal = await refused(contract(world, {}, arguments={"input": "bread.txt"}))
    field = "contract.actions[0].template.actions[0].arguments.input"
    assert refusal.fields == {field: "INVALID"}


async def launch(world: World, value: Any, **options: Any) -> Any:
    spec = LaunchSpec(service="rules", arguments=struct({"input": value}))
    asked = SubmitLaunchRequest(spec=spec, options=pb.Options(**options))
    return (await world.launches.SubmitLaunch(asked)).launch


async def test_a_launch_takes_the_files_of_its_arguments(world: World) -> None:
    file_id = (await upload(world, b"a")).file_id
    await launch(world, file_id)
    refusal = await refused(world.files.DeleteFile(DeleteFileRequest(file_id=file_id)))
    assert refusal.reason == "WRONG_STATE"
    not_there(await refused(launch(world, NOBODY)), "spec.arguments.input")
    refusal = await refused(launch(world, "bread.txt"))
    assert refusal.fields == {"spec.arguments.input": "INVALID"}


async def apply(world: World, **fields: Any) -> None:
    schedule = catalog.Schedule(name="weekly", cron="0 0 1 1 *", **fields)
    await world.catalog.ApplySchedule(catalog.ApplyScheduleRequest(schedule=schedule))


async def test_a_schedule_names_files_that_are_there(world: World) -> None:
    file_id = (await upload(world, b"a")).file_id
    await apply(world, task=reading(file_id).spec)
    field = "schedule.task.actions[0].arguments.input"
    not_there(await refused(apply(world, task=reading(NOBODY).spec)), field)
    refusal = await refused(apply(world, task=reading("bread.txt").spec))
    assert refusal.fields == {field: "INVALID"}
    spec = LaunchSpec(service="rules", arguments=struct({"input": NOBODY}))
    not_there(await refused(apply(world, launch=spec)), "schedule.launch.arguments.input")


@pytest.mark.parametrize(
    "way", [pb.DELIVERY_MODE_NONE, pb.DELIVERY_MODE_STORE, pb.DELIVERY_MODE_CHANNEL]
)
async def test_only_tasks_have_deliveries(world: World, way: int) -> None:
    await contract(world, {}, arguments={"input": "https://example.org"})
    task = submission(call("find"), options=options(delivery=way))
    await world.submit(task)
    await apply(world, task=task.spec, options=task.options)
    submits = [
        submit_job(world, {}, delivery=way),
        launch(world, "https://a.org", delivery=way),
    ]
    for submit in submits:
        if way == pb.DELIVERY_MODE_NONE:
            await submit
        else:
            refusal = await refused(submit)
            assert refusal.fields == {"options.delivery": "NOT_PERMITTED"}

"""Passwords: given to the worker, and found in nothing that anybody else is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.message import Message

from longshore.server.structs import to_object
from longshore.v1 import job_service_pb2 as jobs
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1 import operation_pb2, task_service_pb2
from longshore.v1.catalog_service_pb2 import (
    ApplyContractRequest,
    Contract,
    ContractAction,
    GetContractRequest,
    ListContractsRequest,
    Service,
    ServiceAction,
    WorkflowTemplate,
)
from longshore.v1.operation_pb2 import Assignment
from longshore.v1.operation_service_pb2 import (
    ExplainOperationRequest,
    GetHistoryRequest,
    GetOperationRequest,
    WatchOperationsRequest,
)
from tests.service.harness import (
    OFFERS,
    Refusal,
    Stevedore,
    Watch,
    World,
    call,
    options,
    parameter,
    publish,
    refused,
    stevedore,
    struct,
    submission,
)

HUSH = "hush-hush"  #: Stands in no name of a field or a thing.

RULES = Service(
    slug="rules",
    kind=operation_pb2.SERVICE_KIND_RULESET,
    actions=[
        ServiceAction(
            slug="check",
            parameters=[parameter("folder"), parameter("pin", password=True)],
        )
    ],
)
SERVICES = (*OFFERS, RULES)

DIGEST = call(
    "digest", argument_paths={"path": "file", "token": "login/token"}, results=["digest"]
)


class Heard:
    """Everything that a caller was told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[Message] = []

    def add(self, *messages: Any) -> None:
        self.told += messages

    def check(self) -> None:
        assert self.told
        for message in self.told:
            assert HUSH.encode() not in message.SerializeToString(), message

    async def ask(self, operation_id: str) -> None:
        """Hear everything that can be asked about an operation of any kind."""
        any_of = self.world.operations
        for view in (operation_pb2.VIEW_FULL, operation_pb2.VIEW_BASIC):
            request = GetOperationRequest(id=operation_id, view=view)
            self.add(await any_of.GetOperation(request))
        self.add(await any_of.GetHistory(GetHistoryRequest(id=operation_id)))
        self.add(await any_of.ExplainOperation(ExplainOperationRequest(id=operation_id)))


@asynccontextmanager
async def listening(world: World) -> AsyncGenerator[Heard]:
    """Hear everything that a watch of all operations tells, and check all that was told."""
    heard = Heard(world)
    request = WatchOperationsRequest(after_revision=0, include_logs=True)
    watch = Watch(world.operations.WatchOperations(request))
    yield heard
    wanted = await world.revision()
    revision = 0
    while revision < wanted:
        message = await watch.message()
        heard.add(message)
        revision = message.revision or revision
    heard.check()


async def run(worker: Stevedore, **results: Any) -> bytes:
    assignment = await worker.run_next(**results)
    return assignment.arguments


async def test_a_password_in_a_tasks_context_is_null_elsewhere(world: World) -> None:
    asked = submission(
        DIGEST,
        service="archive",
        context=struct({"file": "a", "login": {"user": "ada", "token": HUSH}}),
    )
    async with stevedore(world, SERVICES) as worker, listening(world) as heard:
        heard.add(response := await world.tasks.SubmitTask(asked))
        task = response.task
        shown = to_object(task.spec.context)
        assert shown == {"file": "a", "login": {"user": "ada", "token": None}}
        assert HUSH.encode() in await run(worker, digest="x")
        await heard.ask(task.metadata.id)
        for view in (operation_pb2.VIEW_FULL, operation_pb2.VIEW_BASIC):
            get = task_service_pb2.GetTaskRequest(id=task.metadata.id, view=view)
            heard.add(await world.tasks.GetTask(get))
            heard.add(await world.tasks.ListTasks(task_service_pb2.ListTasksRequest(view=view)))
            watch = task_service_pb2.WatchTasksRequest(ids=[task.metadata.id], view=view)
            heard.add(*await Watch(world.tasks.WatchTasks(watch)).rest())
        resubmit = task_service_pb2.ResubmitTaskRequest(id=task.metadata.id)
        heard.add(await world.tasks.ResubmitTask(resubmit))
        assert HUSH.encode() in await run(worker)
        run_request = task_service_pb2.RunTaskRequest(spec=asked.spec)
        stream = Watch(world.tasks.RunTask(run_request))
        heard.add(await stream.message())
        assert HUSH.encode() in await run(worker)
        heard.add(*await stream.rest())


@pytest.mark.parametrize(
    "plan",
    [
        [call("digest", {"path": "a", "token": HUSH})],
        [call("digest", {"path": "a"}, argument_paths={"token": f"'{HUSH}'"})],
        [call("digest", {"path": "a"}, argument_paths={"token": f"concat('{HUSH}', file)"})],
        [call("digest", {"path": "a"}, argument_paths={"token": "concat('x', secret)"})],
        [call("digest", {"path": "a"}, argument_paths={"token": "$secret"})],
        [
            call(
                "bag",
                {"digest": "a"},
                assign=[Assignment(target="t", value=f"concat('{HUSH}', secret)")],
            ),
            call("digest", {"path": "a"}, argument_paths={"token": "concat('x', t)"}),
        ],
        [
            call("bag", {"digest": "a"}, assign=[Assignment(target="t", value="secret")]),
            call("digest", {"path": "a"}, argument_paths={"token": "t"}),
        ],
        [
            call("bag", {"digest": "a"}, assign=[Assignment(target="t", value=f"'{HUSH}'")]),
            call("digest", {"path": "a"}, argument_paths={"token": "t"}),
        ],
    ],
)
async def test_a_password_is_hidden_wherever_a_plan_has_it(
    world: World, plan: list[Any]
) -> None:
    needs = [one for one in plan if "secret" in str(one)]
    context = {"file": "a", "secret": HUSH} if needs else {"file": "a"}
    asked = submission(*plan, service="archive", context=struct(context))
    async with stevedore(world, SERVICES) as worker, listening(world) as heard:
        batch = task_service_pb2.BatchSubmitTasksRequest(requests=[asked, asked])
        heard.add(await world.tasks.SubmitTask(asked))
        heard.add(await world.tasks.BatchSubmitTasks(batch))
        for _ in range(3):
            for _ in plan[:-1]:
                await run(worker)
            assert HUSH.encode() in await run(worker)
        request = task_service_pb2.ListTasksRequest(view=operation_pb2.VIEW_FULL)
        heard.add(await world.tasks.ListTasks(request))
        await heard.ask("1")


async def apply(world: World) -> Contract:
    contract = Contract(
        name="museum",
        actions=[
            ContractAction(
                name="ingest",
                variables=struct({"file": "a", "login": {"token": HUSH}}),
                template=WorkflowTemplate(name="ingest", actions=[DIGEST]),
            ),
            ContractAction(
                name="literal",
                template=WorkflowTemplate(
                    name="literal", actions=[call("digest", {"path": "a", "token": HUSH})]
                ),
            ),
        ],
    )
    response = await world.catalog.ApplyContract(ApplyContractRequest(contract=contract))
    applied: Contract = response.contract
    return applied


def job(action: str = "ingest", **fields: Any) -> jobs.SubmitJobRequest:
    spec = jobs.JobSpec(contract="museum", action=action, **fields)
    return jobs.SubmitJobRequest(spec=spec)


async def test_a_password_in_a_jobs_variables_is_null_elsewhere(world: World) -> None:
    secret = struct({"login": {"user": "ada", "token": HUSH}})
    async with stevedore(world, SERVICES) as worker, listening(world) as heard:
        heard.add(await apply(world))
        heard.add(
            response := await world.jobs.SubmitJob(job(variables=secret, external_id="x"))
        )
        job_id = response.job.metadata.id
        shown = to_object(response.job.spec.variables)
        assert shown == {"login": {"user": "ada", "token": None}}
        assert HUSH.encode() in await run(worker, digest="x")
        await heard.ask(job_id)
        for view in (operation_pb2.VIEW_FULL, operation_pb2.VIEW_BASIC):
            heard.add(await world.jobs.GetJob(jobs.GetJobRequest(id=job_id, view=view)))
            heard.add(await world.jobs.ListJobs(jobs.ListJobsRequest(view=view)))
            watch = jobs.WatchJobsRequest(ids=[job_id], view=view)
            heard.add(*await Watch(world.jobs.WatchJobs(watch)).rest())
        heard.add(await world.jobs.SubmitJob(job(external_id="x")))
        heard.add(await world.jobs.ResubmitJob(jobs.ResubmitJobRequest(id=job_id)))
        assert HUSH.encode() in await run(worker)
        stream = Watch(world.jobs.RunJob(jobs.RunJobRequest(spec=job(variables=secret).spec)))
        heard.add(await stream.message())
        await worker.fail(await worker.assigned(), "broken")
        heard.add(*await stream.rest())


async def test_a_password_of_a_contract_is_null_elsewhere(world: World) -> None:
    async with stevedore(world, SERVICES) as worker, listening(world) as heard:
        heard.add(await apply(world))
        for action in ("ingest", "literal"):
            heard.add(response := await world.jobs.SubmitJob(job(action)))
            assert HUSH.encode() in await run(worker)
            await heard.ask(response.job.metadata.id)
        heard.add(await world.catalog.GetContract(GetContractRequest(name="museum")))
        heard.add(await world.catalog.ListContracts(ListContractsRequest()))


async def test_a_password_of_a_launch_is_null_elsewhere(world: World) -> None:
    spec = launches.LaunchSpec(service="rules", arguments=struct({"folder": "a", "pin": HUSH}))
    asked = launches.SubmitLaunchRequest(spec=spec)
    async with (
        stevedore(world, SERVICES, queues=["rulesets"]) as worker,
        listening(world) as heard,
    ):
        heard.add(response := await world.launches.SubmitLaunch(asked))
        launch_id = response.launch.metadata.id
        assert to_object(response.launch.spec.arguments) == {"folder": "a", "pin": None}
        heard.add(await world.launches.SubmitLaunch(asked))
        heard.add(await world.launches.GetLaunchQueue(launches.GetLaunchQueueRequest()))
        moving = launches.MoveLaunchesRequest(ids=["2"], direction=launches.DIRECTION_TOP)
        heard.add(await world.launches.MoveLaunches(moving))
        assert HUSH.encode() in await run(worker)
        await heard.ask(launch_id)
        for view in (operation_pb2.VIEW_FULL, operation_pb2.VIEW_BASIC):
            get = launches.GetLaunchRequest(id=launch_id, view=view)
            heard.add(await world.launches.GetLaunch(get))
            listing = launches.ListLaunchesRequest(view=view)
            heard.add(await world.launches.ListLaunches(listing))
            watch = launches.WatchLaunchesRequest(ids=[launch_id], view=view)
            heard.add(*await Watch(world.launches.WatchLaunches(watch)).rest())


def said(refusal: Refusal) -> str:
    return f"{refusal.message} {refusal.metadata} {refusal.fields}"


async def test_a_refusal_does_not_repeat_a_password(world: World) -> None:
    await publish(world, SERVICES)
    wrong = struct({"folder": 3, "pin": [HUSH]})
    for refusing in (
        world.tasks.SubmitTask(submission(call("digest", {"token": {"a": HUSH}}))),
        world.tasks.SubmitTask(
            submission(
                call("digest", {"path": "a"}, argument_paths={"token": f"not quoted {HUSH}"}),
                service="archive",
            )
        ),
        world.launches.SubmitLaunch(
            launches.SubmitLaunchRequest(
                spec=launches.LaunchSpec(service="rules", arguments=wrong)
            )
        ),
        world.launches.SubmitLaunch(
            launches.SubmitLaunchRequest(
                spec=launches.LaunchSpec(
                    service="rules", arguments=struct({"folder": "a", "pin": HUSH})
                ),
                options=options(priority=77),
            )
        ),
    ):
        refusal = await refused(refusing)
        assert refusal.reason == "INVALID_FIELD"
        assert HUSH not in said(refusal)

"""JobService: every method answers as the contract says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode
from grpc.aio import insecure_channel

from longshore.core.limits import PAYLOAD_BYTES, STRUCT_DEPTH
from longshore.server.structs import to_object
from longshore.v1 import job_service_pb2 as pb
from longshore.v1 import operation_pb2
from longshore.v1.catalog_service_pb2 import (
    ApplyContractRequest,
    Contract,
    ContractAction,
    DeleteContractRequest,
    Service,
    ServiceAction,
    WorkflowTemplate,
)
from longshore.v1.job_service_pb2_grpc import JobServiceStub
from longshore.v1.operation_pb2 import Assignment, RetryPolicy
from longshore.v1.operation_service_pb2 import (
    GetHistoryRequest,
    GetOperationRequest,
    WatchOperationsRequest,
)
from longshore.v1.queue_service_pb2 import UpdateQueueRequest
from longshore.v1.server_service_pb2 import SERVER_MODE_MAINTENANCE, SetModeRequest
from tests.service.harness import (
    PATIENCE_SECONDS,
    Watch,
    World,
    call,
    kinds,
    options,
    publish,
    refused,
    serving,
    stevedore,
    struct,
    submission,
)

INGEST = (
    call("digest", {"size": 3}, argument_paths={"path": "file"}, results=["digest"]),
    call("bag", argument_paths={"digest": "concat(owner/name, ':', digest)"}),
)


async def apply(world: World, *calls: Any, **fields: Any) -> Contract:
    """Apply the contract `museum` with an action `ingest`."""
    action = ContractAction(
        name="ingest",
        trigger="upload",
        queue=fields.get("queue", ""),
        variables=struct(fields.get("variables", {})),
        template=WorkflowTemplate(
            name="ingest it", description="In it goes.", actions=calls or INGEST
        ),
    )
    contract = Contract(
        name=fields.get("name", "museum"), type="deposit", actor="ada", actions=[action]
    )
    response = await world.catalog.ApplyContract(ApplyContractRequest(contract=contract))
    applied: Contract = response.contract
    return applied


def asked(variables: dict[str, Any] | None = None, **fields: Any) -> pb.SubmitJobRequest:
    """Return the submit of a job; fields of the spec stand beside it."""
    outer = {name: fields.pop(name) for name in ("options", "request_id") if name in fields}
    given = None if variables is None else struct(variables)
    named: dict[str, Any] = {"contract": "museum", "action": "ingest", **fields}
    spec = pb.JobSpec(variables=given, **named)
    return pb.SubmitJobRequest(spec=spec, **outer)


GOOD = {"file": "a.txt", "owner": {"name": "ada"}}


async def submit(
    world: World, variables: dict[str, Any] | None = None, **fields: Any
) -> pb.Job:
    response = await world.jobs.SubmitJob(asked(variables or GOOD, **fields))
    job: pb.Job = response.job
    return job


async def get(world: World, job_id: str, **fields: Any) -> pb.Job:
    response = await world.jobs.GetJob(pb.GetJobRequest(id=job_id, **fields))
    job: pb.Job = response.job
    return job


async def test_a_submitted_job_is_answered_as_it_will_be_found(world: World) -> None:
    await publish(world)
    contract = await apply(world)
    response = await world.jobs.SubmitJob(
        asked(
            GOOD,
            external_id="x-1",
            request_id="r-1",
            user_attributes={"shelf": "7"},
            options=options(priority=4, labels={"team": "north"}),
        )
    )
    job = response.job
    assert response.created
    assert job == await get(world, job.metadata.id) == await get(world, "1")
    assert job.metadata.kind == operation_pb2.KIND_JOB
    assert job.metadata.labels == {"team": "north"}
    assert (job.spec.contract, job.spec.action) == ("museum", "ingest")
    assert to_object(job.spec.variables) == GOOD
    assert (job.spec.external_id, job.spec.user_attributes) == ("x-1", {"shelf": "7"})
    assert (job.contract_type, job.actor, job.trigger) == ("deposit", "ada", "upload")
    assert (job.options.queue, job.options.priority) == ("default", 4)
    template = contract.actions[0].template
    assert template.revision == 1
    assert job.workflow == pb.Workflow(
        id=job.metadata.id,
        template_id=template.id,
        template_name="ingest it",
        template_revision=1,
        template_description="In it goes.",
    )
    assert job.dataflow == pb.Dataflow(
        dfiid=job.metadata.id, lcid="r-1", user_attributes={"shelf": "7"}
    )
    assert [one.action for one in job.status.actions] == ["digest", "bag"]
    operation = await world.operations.GetOperation(GetOperationRequest(id=job.metadata.id))
    assert operation.job == job


async def test_the_context_goes_through_the_whole_plan(world: World) -> None:
    scan = call("noop", results=["files"], assign=[Assignment(target="out/n", value="count")])
    digest = call("digest", argument_paths={"path": "files[last()]/path", "size": "out/n"})
    digest.assign.add(target="out/sums[1]", value="sum")
    bag = call(
        "bag", argument_paths={"digest": "concat($owner/name, '-', out/sums[1], '-', n)"}
    )
    async with stevedore(world) as worker:
        await apply(world, scan, digest, bag, variables={"n": 1, "owner": {"name": "bo"}})
        job = await submit(world, {"n": 2, "owner": {"name": "ada"}})
        await worker.run_next(files=[{"path": "a"}, {"path": "b"}], count=2)
        second = await worker.run_next(sum="f00")
        running = await get(world, job.metadata.id)
        third = await worker.run_next(path="bag.zip")
        done = await get(world, job.metadata.id)
    assert second.arguments == struct({"path": "b", "size": 2}).SerializeToString()
    assert third.arguments == struct({"digest": "ada-f00-2"}).SerializeToString()
    assert (second.kind, second.step, third.step) == (operation_pb2.KIND_JOB, 1, 2)
    states = [operation_pb2.State.Name(one.state) for one in running.status.actions]
    assert states == ["STATE_SUCCEEDED", "STATE_SUCCEEDED", "STATE_RUNNING"]
    assert done.status.state == operation_pb2.STATE_SUCCEEDED
    assert done.status.result == struct({"path": "bag.zip"})
    assert to_object(done.status.actions[0].results)["files"]
    assert to_object(done.spec.variables) == {"n": 2, "owner": {"name": "ada"}}


async def test_a_job_of_one_action_has_a_step(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"))
        job = await submit(world, {"a": 1})
        await worker.run_next(answer=42)
        done = await get(world, job.metadata.id)
    assert done.status.result == struct({"answer": 42})
    assert [one.state for one in done.status.actions] == [operation_pb2.STATE_SUCCEEDED]


async def test_the_basic_view_leaves_out_variables_and_results(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"))
        job = await submit(world, external_id="x")
        await worker.run_next(answer=42)
        basic = await get(world, job.metadata.id, view=operation_pb2.VIEW_BASIC)
    assert not basic.spec.HasField("variables")
    assert not basic.status.HasField("result")
    assert not basic.status.actions[0].HasField("results")
    assert (basic.spec.external_id, basic.contract_type) == ("x", "deposit")
    assert basic.status.state == operation_pb2.STATE_SUCCEEDED


async def test_a_changed_contract_is_the_next_revision_and_older_jobs_keep_theirs(
    world: World,
) -> None:
    await publish(world)
    contract = await apply(world, call("bag", {"digest": "old"}))
    old = await submit(world)
    changed = await apply(world, call("bag", {"digest": "new"}))
    new = await submit(world)
    await world.catalog.DeleteContract(DeleteContractRequest(name="museum"))
    templates = [contract.actions[0].template, changed.actions[0].template]
    for job, template in zip((old, new), templates, strict=True):
        assert job.workflow.template_id == template.id == templates[0].id
        assert job.workflow.template_revision == template.revision
    assert [one.revision for one in templates] == [1, 2]
    async with stevedore(world) as worker:
        ran = [(await worker.run_next()).arguments for _ in range(2)]
    assert ran == [struct({"digest": one}).SerializeToString() for one in ("old", "new")]
    assert (await get(world, old.metadata.id)).workflow == old.workflow
    assert (await refused(world.jobs.SubmitJob(asked(GOOD)))).reason == "CONTRACT_NOT_FOUND"


async def test_the_queue_is_the_jobs_own_then_the_contracts(world: World) -> None:
    await publish(world)
    await apply(world, queue="nightly")
    assert (await submit(world)).options.queue == "nightly"
    assert (await submit(world, options=options(queue="default"))).options.queue == "default"


async def test_an_external_id_finds_the_first_job_whatever_its_variables(world: World) -> None:
    await publish(world)
    await apply(world)
    first = await world.jobs.SubmitJob(asked(GOOD, external_id="x"))
    second = await world.jobs.SubmitJob(
        asked({"other": 1}, external_id="x", options=options(priority=3))
    )
    assert (first.created, second.created) == (True, False)
    assert second.job == first.job
    assert second.job == await get(world, first.job.metadata.id)


async def test_an_external_id_belongs_to_contract_action_and_tenant(world: World) -> None:
    await publish(world)
    await apply(world)
    await apply(world, name="library")
    first = await submit(world, external_id="x")
    second = await submit(world, external_id="x", contract="library")
    assert first.metadata.id != second.metadata.id
    other = await submit(world, external_id="y")
    assert other.metadata.id != first.metadata.id


async def test_a_request_id_is_looked_at_before_an_external_id(world: World) -> None:
    await publish(world)
    await apply(world)
    first = await submit(world, external_id="x", request_id="r-1")
    again = await world.jobs.SubmitJob(asked(GOOD, external_id="x", request_id="r-1"))
    assert (again.job.metadata.id, again.created) == (first.metadata.id, False)
    other = await refused(world.jobs.SubmitJob(asked({}, external_id="x", request_id="r-1")))
    assert (other.code, other.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    found = await world.jobs.SubmitJob(asked({}, external_id="x", request_id="r-2"))
    assert (found.job.metadata.id, found.created) == (first.metadata.id, False)
    assert found.job.metadata.request_id == "r-1"


async def test_a_repeat_is_known_also_when_the_contract_has_changed(world: World) -> None:
    await publish(world)
    await apply(world)
    first = await submit(world, request_id="r-1")
    await apply(world, call("noop"))
    again = await world.jobs.SubmitJob(asked(GOOD, request_id="r-1"))
    assert (again.job.metadata.id, again.created) == (first.metadata.id, False)


async def test_a_repeat_is_found_also_when_it_could_not_be_accepted_any_more(
    world: World,
) -> None:
    await publish(world)
    await apply(world)
    first = await submit(world, request_id="r-1")
    other = await submit(world, external_id="x")
    await world.catalog.DeleteContract(DeleteContractRequest(name="museum"))
    again = await world.jobs.SubmitJob(asked(GOOD, request_id="r-1"))
    assert (again.job, again.created) == (first, False)
    found = await world.jobs.SubmitJob(asked({"a": 1}, external_id="x", request_id="r-2"))
    assert (found.job, found.created) == (other, False)
    request = asked(GOOD, request_id="r-1")
    run = Watch(world.jobs.RunJob(pb.RunJobRequest(spec=request.spec, request_id="r-1")))
    message = await run.message()
    assert (message.changes[0].job, message.created) == (first, False)
    run.stream.cancel()
    for unknown in (asked(GOOD), asked(GOOD, request_id="r-3"), asked(GOOD, external_id="y")):
        refusal = await refused(world.jobs.SubmitJob(unknown))
        assert refusal.reason == "CONTRACT_NOT_FOUND"
    reused = await refused(world.jobs.SubmitJob(asked({"b": 1}, request_id="r-1")))
    assert reused.reason == "REQUEST_ID_REUSED"


async def test_of_many_submits_at_once_with_an_external_id_one_makes_the_job(
    world: World,
) -> None:
    await publish(world)
    await apply(world)
    async with insecure_channel(world.server.address) as channel:
        other: Any = JobServiceStub(channel)
        async with asyncio.timeout(PATIENCE_SECONDS):
            responses = await asyncio.gather(
                *(
                    (world.jobs if number % 2 else other).SubmitJob(
                        asked({"number": number}, external_id="x")
                    )
                    for number in range(200)
                )
            )
    assert sum(one.created for one in responses) == 1
    assert len({one.job.metadata.id for one in responses}) == 1
    (made,) = [one.job for one in responses if one.created]
    assert all(one.job.spec.variables == made.spec.variables for one in responses)
    jobs = (await world.jobs.ListJobs(pb.ListJobsRequest(with_total=True))).total_size
    assert jobs == 1


async def test_a_resubmitted_job_goes_on_with_the_dataflow(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"), call("bag", {"digest": "a"}))
        first = await submit(world, external_id="x", request_id="r-1")
        early = await refused(
            world.jobs.ResubmitJob(pb.ResubmitJobRequest(id=first.metadata.id))
        )
        await worker.run_next(scanned=True)
        await worker.fail(await worker.assigned(), "broken")
        again = world.jobs.ResubmitJob(
            pb.ResubmitJobRequest(id=first.metadata.id, from_failed=True),
            metadata=(("x-request-id", "r-2"),),
        )
        second = (await again).job
        assert (await worker.run_next()).step == 1
        third = (await world.jobs.ResubmitJob(pb.ResubmitJobRequest(id=second.metadata.id))).job
        assert (await worker.run_next()).step == 0
    assert early.reason == "WRONG_STATE"
    assert len({one.metadata.id for one in (first, second, third)}) == 3
    for job in (second, third):
        assert job.dataflow.dfiid == first.metadata.id
        assert job.spec.external_id == ""
        assert job.spec.variables == first.spec.variables
        assert job.workflow.template_id == first.workflow.template_id
        assert job.workflow.id == job.metadata.id
    assert second.dataflow.lcid == second.metadata.request_id == "r-2"
    assert third.dataflow.lcid == third.metadata.request_id != "r-2"
    chain = await listed(world, filter=f"dfiid = {first.metadata.id}")
    assert [one.metadata.id for one in chain.jobs] == [
        third.metadata.id,
        second.metadata.id,
        first.metadata.id,
    ]
    found = await world.jobs.SubmitJob(asked({}, external_id="x"))
    assert found.job.metadata.id == first.metadata.id


async def test_a_job_is_suspended_resumed_and_canceled(world: World) -> None:
    await publish(world)
    await apply(world)
    job_id = (await submit(world)).metadata.id
    held = await world.jobs.SuspendJob(pb.SuspendJobRequest(id=job_id))
    assert held.job.status.state == operation_pb2.STATE_SUSPENDED
    again = await refused(world.jobs.SuspendJob(pb.SuspendJobRequest(id=job_id)))
    assert (again.code, again.reason) == (StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    resumed = await world.jobs.ResumeJob(pb.ResumeJobRequest(id=job_id))
    assert resumed.job.status.state == operation_pb2.STATE_QUEUED
    wrong = await refused(world.jobs.ResumeJob(pb.ResumeJobRequest(id=job_id)))
    assert wrong.reason == "WRONG_STATE"
    canceled = await world.jobs.CancelJob(pb.CancelJobRequest(id=job_id, message="enough"))
    assert canceled.job.status.state == operation_pb2.STATE_CANCELED
    assert canceled.job.status.message == "enough"
    late = await refused(world.jobs.CancelJob(pb.CancelJobRequest(id=job_id)))
    assert late.reason == "WRONG_STATE"


async def test_a_running_job_is_asked_to_stop_or_ended(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"))
        job = await submit(world)
        assignment = await worker.assigned()
        marked = await world.jobs.CancelJob(pb.CancelJobRequest(id=job.metadata.id))
        assert marked.job.status.cancel_requested
        while not worker.stops:
            await worker.hear()
        assert worker.stops[0].number == assignment.number
        ended = await world.jobs.CancelJob(pb.CancelJobRequest(id=job.metadata.id, force=True))
    assert ended.job.status.state == operation_pb2.STATE_CANCELED


async def test_a_job_is_moved_to_another_queue(world: World) -> None:
    await publish(world)
    await apply(world, call("noop"))
    await world.queues.UpdateQueue(UpdateQueueRequest(name="nightly"))
    job = await submit(world, options=options(priority=2))
    response = await world.jobs.MoveJob(pb.MoveJobRequest(id=job.metadata.id, queue="nightly"))
    assert response.job.options.queue == "nightly"
    assert response.job == await get(world, job.metadata.id)
    history = GetHistoryRequest(id=job.metadata.id, details=["moved"])
    (event,) = (await world.operations.GetHistory(history)).events
    assert event.moved == operation_pb2.Moved(
        from_queue="default", to_queue="nightly", priority=2
    )
    async with stevedore(world, queues=["nightly"]) as worker:
        assert (await worker.run_next()).operation_id == job.metadata.id
    late = world.jobs.MoveJob(pb.MoveJobRequest(id=job.metadata.id, queue="default"))
    assert (await refused(late)).reason == "WRONG_STATE"


async def test_a_job_that_runs_goes_on_when_it_is_moved(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"), call("noop"))
        job = await submit(world)
        assignment = await worker.assigned()
        moved = await world.jobs.MoveJob(
            pb.MoveJobRequest(id=job.metadata.id, queue="operations")
        )
        assert moved.job.status.state == operation_pb2.STATE_RUNNING
        await worker.complete(assignment)
        await worker.run_next()
        done = await get(world, job.metadata.id)
    assert done.status.state == operation_pb2.STATE_SUCCEEDED


async def listed(world: World, **fields: Any) -> pb.ListJobsResponse:
    response: pb.ListJobsResponse = await world.jobs.ListJobs(pb.ListJobsRequest(**fields))
    return response


async def test_jobs_are_listed_by_everything_that_is_known_of_them(world: World) -> None:
    await publish(world)
    contract = await apply(world, call("noop"))
    await apply(world, call("noop"), name="library")
    first = await submit(world, external_id="x-1", request_id="r-1")
    second = await submit(world, contract="library", options=options(priority=3))
    await world.tasks.SubmitTask(submission())
    whole = await listed(world, with_total=True)
    assert [one.metadata.id for one in whole.jobs] == [
        second.metadata.id,
        first.metadata.id,
    ]
    assert whole.total_size == 2
    assert not whole.jobs[0].spec.HasField("variables")
    template = contract.actions[0].template
    for chosen in (
        "contract = museum",
        "external_id = x*",
        f"template_id = {template.id}",
        f"template_id <= {template.id}",
        "lcid = r-1",
        f"dfiid = {first.metadata.id}",
        "priority = 0",
        "NOT contract = library",
    ):
        (found,) = (await listed(world, filter=chosen)).jobs
        assert found.metadata.id == first.metadata.id
    for both in (
        "action = ingest",
        "trigger = upload",
        "contract_type = deposit",
        "actor = ada",
        'template_name = "ingest it"',
        "template_revision = 1",
    ):
        assert len((await listed(world, filter=both)).jobs) == 2
    full = await listed(world, view=operation_pb2.VIEW_FULL)
    assert to_object(full.jobs[0].spec.variables) == GOOD


@pytest.mark.parametrize(
    "order",
    ["contract", "template_id desc", "template_name", "template_revision, contract desc"],
)
async def test_jobs_are_paged_in_every_order(world: World, order: str) -> None:
    await publish(world)
    for name in ("b", "a", "c"):
        await apply(world, call("noop"), name=name)
        await submit(world, contract=name)
        await apply(world, call("bag", {"digest": "a"}), name=name)
        await submit(world, contract=name)
    whole = [one.metadata.id for one in (await listed(world, order_by=order)).jobs]
    shown: list[str] = []
    token = ""
    while True:
        page = await listed(world, order_by=order, page_size=2, page_token=token)
        shown += [one.metadata.id for one in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert shown == whole
    assert len(set(shown)) == 6


async def test_jobs_that_are_large_close_a_page_before_it_grows_too_large(
    world: World,
) -> None:
    await publish(world)
    await apply(world, call("noop"))
    for _ in range(3):
        await submit(world, {"a": "b" * 700_000})
    first = await listed(world, view=operation_pb2.VIEW_FULL)
    assert len(first.jobs) == 1
    order = "contract"
    ordered = await listed(world, view=operation_pb2.VIEW_FULL, order_by=order)
    rest = await listed(
        world,
        view=operation_pb2.VIEW_FULL,
        order_by=order,
        page_token=ordered.next_page_token,
    )
    assert ordered.jobs[0].metadata.number < rest.jobs[0].metadata.number


async def test_a_watch_tells_what_happens_to_jobs_only(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"), call("noop"))
        watch = Watch(
            world.jobs.WatchJobs(
                pb.WatchJobsRequest(filter="contract = museum", after_revision=0)
            )
        )
        everything = Watch(
            world.operations.WatchOperations(WatchOperationsRequest(after_revision=0))
        )
        await world.tasks.SubmitTask(submission())
        await worker.run_next()
        job = await submit(world)
        await worker.run_next()
        await worker.run_next(answer=42)
        changes = await watch.until(lambda seen: len(seen) == 5)
        all_changes = await everything.until(lambda seen: len(seen) == 8)
    assert kinds(changes) == [
        "submitted",
        "state_changed",
        "action_changed",
        "action_changed",
        "state_changed",
    ]
    assert {one.event.operation_id for one in changes} == {job.metadata.id}
    assert {one.event.kind for one in all_changes} == {
        operation_pb2.KIND_TASK,
        operation_pb2.KIND_JOB,
    }


async def test_a_watch_of_a_job_shows_it_as_it_ends(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"))
        job = await submit(world, external_id="x")
        watch = Watch(world.jobs.WatchJobs(pb.WatchJobsRequest(ids=[job.metadata.id])))
        first = await watch.message()
        assert first.changes[0].job.metadata.id == job.metadata.id
        await worker.run_next(answer=42)
        messages = await watch.rest()
    last = messages[-1].changes[-1]
    assert messages[-1].end == operation_pb2.END_DONE
    assert last.job.status.result == struct({"answer": 42})
    assert last.job.spec.external_id == "x"
    assert last.event.state == operation_pb2.STATE_SUCCEEDED


async def test_a_job_is_run_and_watched_in_one_call(world: World) -> None:
    async with stevedore(world) as worker:
        await apply(world, call("noop"))
        request = asked(GOOD, external_id="x")
        run = Watch(world.jobs.RunJob(pb.RunJobRequest(spec=request.spec)))
        first = await run.message()
        assert first.created
        assert first.changes[0].job.spec.external_id == "x"
        await worker.run_next(answer=42)
        messages = await run.rest()
        again = await Watch(world.jobs.RunJob(pb.RunJobRequest(spec=request.spec))).rest()
    assert messages[-1].changes[-1].job.status.result == struct({"answer": 42})
    assert not again[0].created
    assert again[0].end == operation_pb2.END_DONE
    assert again[0].changes[0].job == messages[-1].changes[-1].job


async def test_a_failed_attempt_goes_on_with_the_step_that_failed(world: World) -> None:
    retry = RetryPolicy(initial_backoff=Duration(nanos=1_000_000))
    async with stevedore(world) as worker:
        await apply(
            world, call("noop", results=["a"]), call("bag", argument_paths={"digest": "a"})
        )
        job = await submit(world, options=options(retry=retry))
        await worker.run_next(a="x")
        await worker.fail(await worker.assigned(), "once", permanent=False)
        second = await worker.run_next()
        done = await get(world, job.metadata.id)
    assert (second.step, second.attempt) == (1, 2)
    assert second.arguments == struct({"digest": "x"}).SerializeToString()
    assert done.status.state == operation_pb2.STATE_SUCCEEDED


async def test_jobs_outlive_the_server(tmp_path: Path) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store) as world:
        await publish(world)
        contract = await apply(world, call("bag", argument_paths={"digest": "file"}))
        job = await submit(world, external_id="x")
    async with serving(store) as world:
        assert await get(world, job.metadata.id) == job
        found = await world.jobs.SubmitJob(asked({}, external_id="x"))
        assert (found.job.metadata.id, found.created) == (job.metadata.id, False)
        other = await submit(world)
        assert other.workflow.template_id == contract.actions[0].template.id
        async with stevedore(world) as worker:
            ran = await worker.run_next()
        assert ran.arguments == struct({"digest": "a.txt"}).SerializeToString()


async def test_tasks_and_launches_are_no_jobs(world: World) -> None:
    await publish(world)
    task = await world.submit(submission())
    for unknown in (task.metadata.id, "1", "12345", "nonsense", ""):
        for refusing in (
            world.jobs.GetJob(pb.GetJobRequest(id=unknown)),
            world.jobs.CancelJob(pb.CancelJobRequest(id=unknown)),
            world.jobs.SuspendJob(pb.SuspendJobRequest(id=unknown)),
            world.jobs.ResumeJob(pb.ResumeJobRequest(id=unknown)),
            world.jobs.ResubmitJob(pb.ResubmitJobRequest(id=unknown)),
            world.jobs.MoveJob(pb.MoveJobRequest(id=unknown, queue="default")),
            world.jobs.WatchJobs(pb.WatchJobsRequest(ids=[unknown])).read(),
        ):
            refusal = await refused(refusing)
            assert (refusal.code, refusal.reason) == (
                StatusCode.NOT_FOUND,
                "OPERATION_NOT_FOUND",
            )


NOT_FOUND: dict[str, tuple[pb.SubmitJobRequest, str, str]] = {
    "a contract": (asked(GOOD, contract="bakery"), "CONTRACT_NOT_FOUND", "spec.contract"),
    "an action of the contract": (
        asked(GOOD, action="bake"),
        "ACTION_NOT_FOUND",
        "spec.action",
    ),
    "an action that nobody offers": (
        asked(GOOD, contract="flying"),
        "ACTION_NOT_FOUND",
        "spec.action",
    ),
    "a queue": (
        asked(GOOD, options=options(queue="nightly")),
        "QUEUE_NOT_FOUND",
        "options.queue",
    ),
}


@pytest.mark.parametrize("name", NOT_FOUND)
async def test_what_a_job_names_must_be_there(world: World, name: str) -> None:
    await publish(world)
    await apply(world)
    await apply(world, call("fly"), name="flying")
    before = await world.revision()
    request, reason, field = NOT_FOUND[name]
    refusal = await refused(world.jobs.SubmitJob(request))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, reason)
    assert refusal.fields == {field: "UNKNOWN"}
    assert await world.revision() == before


async def test_a_missing_action_is_told_with_its_contract(world: World) -> None:
    await publish(world)
    await apply(world)
    refusal = await refused(world.jobs.SubmitJob(asked(GOOD, action="bake")))
    assert (refusal.metadata["action"], refusal.metadata["contract"]) == ("bake", "museum")


async def test_what_nobody_offers_yet_is_taken_on_request(world: World) -> None:
    await apply(world, call("fly"))
    job = await submit(world, options=options(queue="air", allow_unregistered=True))
    assert job.options.queue == "air"


INVALID: dict[str, tuple[pb.SubmitJobRequest, dict[str, str]]] = {
    "no spec": (
        pb.SubmitJobRequest(),
        {"spec.contract": "MISSING", "spec.action": "MISSING"},
    ),
    "no action": (asked(GOOD, action=""), {"spec.action": "MISSING"}),
    "a slash in a contract": (asked(GOOD, contract="a/b"), {"spec.contract": "INVALID"}),
    "a control character": (asked(GOOD, external_id="a\nb"), {"spec.external_id": "INVALID"}),
    "a number that is not finite": (
        asked({"a": [1, float("nan")]}),
        {"spec.variables.a[1]": "INVALID"},
    ),
    "a priority": (asked(GOOD, options=options(priority=10)), {"options.priority": "INVALID"}),
    "a reserved queue": (
        asked(GOOD, options=options(queue="longshore.x", allow_unregistered=True)),
        {"options.queue": "NOT_PERMITTED"},
    ),
    "the queue of rule sets": (
        asked(GOOD, options=options(queue="rulesets")),
        {"options.queue": "NOT_PERMITTED"},
    ),
    "a delivery": (
        asked(GOOD, options=options(delivery=operation_pb2.DELIVERY_MODE_STORE)),
        {"options.delivery": "NOT_PERMITTED"},
    ),
    "several faults": (
        asked({"a": float("inf")}, contract="", options=options(priority=-1)),
        {
            "spec.variables.a": "INVALID",
            "spec.contract": "MISSING",
            "options.priority": "INVALID",
        },
    ),
}


@pytest.mark.parametrize("name", INVALID)
async def test_a_wrong_field_is_named(world: World, name: str) -> None:
    await publish(world)
    await apply(world)
    before = await world.revision()
    request, fields = INVALID[name]
    refusal = await refused(world.jobs.SubmitJob(request))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == fields
    assert await world.revision() == before


async def test_variables_are_as_deep_as_any_struct(world: World) -> None:
    await publish(world)
    await apply(world, call("noop"))
    deep: dict[str, Any] = {}
    for _ in range(STRUCT_DEPTH):
        deep = {"a": deep}
    refusal = await refused(world.jobs.SubmitJob(asked(deep)))
    assert refusal.fields == {"spec.variables" + ".a" * STRUCT_DEPTH: "INVALID"}
    await submit(world, deep["a"])


LIMITS: dict[str, tuple[pb.SubmitJobRequest, str, str]] = {
    "a long external id": (
        asked(GOOD, external_id="é" * 65),
        "LIMIT_EXCEEDED",
        "spec.external_id",
    ),
    "a long contract": (asked(GOOD, contract="a" * 64), "LIMIT_EXCEEDED", "spec.contract"),
    "a long action": (asked(GOOD, action="a" * 64), "LIMIT_EXCEEDED", "spec.action"),
    "a long key": (asked(GOOD, request_id="a" * 65), "LIMIT_EXCEEDED", "request_id"),
    "large variables": (
        asked({"a": "b" * PAYLOAD_BYTES}),
        "PAYLOAD_TOO_LARGE",
        "spec.variables",
    ),
    "large attributes": (
        asked(GOOD, user_attributes={"a": "b" * PAYLOAD_BYTES}),
        "PAYLOAD_TOO_LARGE",
        "spec",
    ),
    "variables that grow too large with the contract's": (
        asked({"a": "b" * 600_000}),
        "PAYLOAD_TOO_LARGE",
        "spec.variables",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_what_is_over_a_limit_is_refused(world: World, name: str) -> None:
    await publish(world)
    await apply(world, variables={"c": "d" * 600_000})
    request, reason, field = LIMITS[name]
    refusal = await refused(world.jobs.SubmitJob(request))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, reason)
    assert field in refusal.fields
    assert int(refusal.metadata["value"]) > int(refusal.metadata["limit"])


async def test_an_external_id_may_have_64_code_points(world: World) -> None:
    await publish(world)
    await apply(world)
    assert (await submit(world, external_id="𝄞" * 64)).spec.external_id == "𝄞" * 64


async def test_a_plan_that_no_longer_fits_what_workers_offer_is_refused(world: World) -> None:
    await publish(world)
    await apply(world, call("bag", {"digest": "a"}))
    new = ServiceAction(slug="bag")
    await publish(world, [Service(slug="archive", actions=[new])])
    refusal = await refused(world.jobs.SubmitJob(asked(GOOD)))
    assert refusal.reason == "INVALID_FIELD"
    assert refusal.fields == {"spec.action": "UNKNOWN"}
    assert "actions[0].arguments.digest" in refusal.message


MOVES: dict[str, tuple[str, StatusCode, str, dict[str, str]]] = {
    "nowhere": ("", StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"queue": "MISSING"}),
    "to a reserved queue": (
        "longshore.callbacks",
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"queue": "NOT_PERMITTED"},
    ),
    "to the queue of rule sets": (
        "rulesets",
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"queue": "NOT_PERMITTED"},
    ),
    "to a name with a slash": (
        "a/b",
        StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        {"queue": "INVALID"},
    ),
    "to a queue that nobody has named": (
        "nightly",
        StatusCode.NOT_FOUND,
        "QUEUE_NOT_FOUND",
        {"queue": "UNKNOWN"},
    ),
}


@pytest.mark.parametrize("name", MOVES)
async def test_a_job_is_moved_where_there_is_a_queue_only(world: World, name: str) -> None:
    await publish(world)
    await apply(world)
    job = await submit(world)
    queue, code, reason, fields = MOVES[name]
    moving = world.jobs.MoveJob(pb.MoveJobRequest(id=job.metadata.id, queue=queue))
    refusal = await refused(moving)
    assert (refusal.code, refusal.reason, refusal.fields) == (code, reason, fields)
    assert (await get(world, job.metadata.id)).options.queue == "default"


async def test_maintenance_refuses_new_jobs_and_finds_old_ones(world: World) -> None:
    await publish(world)
    await apply(world)
    first = await submit(world, external_id="x")
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_MAINTENANCE))
    refusal = await refused(world.jobs.SubmitJob(asked(GOOD)))
    assert (refusal.code, refusal.reason) == (StatusCode.UNAVAILABLE, "MAINTENANCE")
    found = await world.jobs.SubmitJob(asked(GOOD, external_id="x"))
    assert (found.job.metadata.id, found.created) == (first.metadata.id, False)


async def test_tenants_have_contracts_and_jobs_of_their_own(world: World) -> None:
    await publish(world)
    await apply(world)
    job = await submit(world)
    north = (("x-tenant-id", "north"),)
    elsewhere = world.jobs.SubmitJob(asked(GOOD), metadata=north)
    assert (await refused(elsewhere)).reason == "CONTRACT_NOT_FOUND"
    unseen = world.jobs.GetJob(pb.GetJobRequest(id=job.metadata.id), metadata=north)
    assert (await refused(unseen)).reason == "OPERATION_NOT_FOUND"

"""What each method of the client's rooms asks a server for, and what it makes of the answer."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status as Failure
from grpc import StatusCode

from longshore.client import (
    Client,
    InvalidValue,
    JobHandle,
    LaunchHandle,
    TaskHandle,
    WorkFailed,
    job,
    launch,
    result_of,
    shown,
    task,
    to_struct,
)
from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import file_service_pb2 as files
from longshore.v1 import job_service_pb2 as jobs
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1 import operation_pb2 as operation
from longshore.v1 import operation_service_pb2 as operations
from longshore.v1 import queue_service_pb2 as queues
from longshore.v1 import server_service_pb2 as server
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1 import worker_service_pb2 as workers
from tests.tools.recorder import Recorder, recorder

SERVICES = (
    "Catalog",
    "File",
    "Job",
    "Launch",
    "Operation",
    "Queue",
    "Server",
    "Task",
    "Worker",
)

#: What the client leaves to those who speak to the server themselves.
LEFT_OUT = {"Work"}

CONTRACT = catalog.Contract(name="orders")
SCHEDULE = catalog.Schedule(name="weekly", cron="0 4 * * 1")
OPTIONS = operation.Options
RULESET = operation.SERVICE_KIND_RULESET
TOP = launches.DIRECTION_TOP
MAINTENANCE = server.SERVER_MODE_MAINTENANCE

Ask = Callable[[Client], Any]

CASES: dict[str, tuple[Ask, Message]] = {
    "job submit": (
        lambda c: c.jobs.submit(
            "orders", "ship", {"n": 1}, external_id="x-1", request_id="r-1", priority=3
        ),
        jobs.SubmitJobRequest(
            spec=jobs.JobSpec(
                contract="orders",
                action="ship",
                variables=to_struct({"n": 1}),
                external_id="x-1",
            ),
            options=OPTIONS(priority=3),
            request_id="r-1",
        ),
    ),
    "job run": (
        lambda c: c.jobs.run(
            "orders", "ship", user_attributes={"a": "b"}, include_logs=True, request_id="r-1"
        ),
        jobs.RunJobRequest(
            spec=jobs.JobSpec(
                contract="orders",
                action="ship",
                variables=to_struct({}),
                user_attributes={"a": "b"},
            ),
            options=OPTIONS(),
            request_id="r-1",
            include_logs=True,
        ),
    ),
    "job get": (lambda c: c.jobs.get("7"), jobs.GetJobRequest(id="7")),
    "job list": (
        lambda c: c.jobs.list("state = FAILED", order_by="number", page_size=5),
        jobs.ListJobsRequest(
            filter="state = FAILED", order_by="number", page_size=5, view=operation.VIEW_BASIC
        ),
    ),
    "job watch": (
        lambda c: c.jobs.watch("7", after_revision=3, include_logs=True),
        jobs.WatchJobsRequest(ids=["7"], after_revision=3, include_logs=True),
    ),
    "job cancel": (
        lambda c: c.jobs.cancel("7", "too late", force=True),
        jobs.CancelJobRequest(id="7", message="too late", force=True),
    ),
    "job suspend": (lambda c: c.jobs.suspend("7"), jobs.SuspendJobRequest(id="7")),
    "job resume": (lambda c: c.jobs.resume("7"), jobs.ResumeJobRequest(id="7")),
    "job resubmit": (
        lambda c: c.jobs.resubmit("7", from_failed=True),
        jobs.ResubmitJobRequest(id="7", from_failed=True),
    ),
    "job move": (
        lambda c: c.jobs.move("7", "nightly"),
        jobs.MoveJobRequest(id="7", queue="nightly"),
    ),
    "launch submit": (
        lambda c: c.launches.submit("sort", {"path": "/x"}, request_id="r-1", suspended=True),
        launches.SubmitLaunchRequest(
            spec=launches.LaunchSpec(service="sort", arguments=to_struct({"path": "/x"})),
            options=OPTIONS(suspended=True),
            request_id="r-1",
        ),
    ),
    "launch run": (
        lambda c: c.launches.run("sort", request_id=""),
        launches.RunLaunchRequest(
            spec=launches.LaunchSpec(service="sort", arguments=to_struct({})),
            options=OPTIONS(),
        ),
    ),
    "launch get": (lambda c: c.launches.get("7"), launches.GetLaunchRequest(id="7")),
    "launch list": (
        lambda c: c.launches.list(full=True, with_total=True),
        launches.ListLaunchesRequest(view=operation.VIEW_FULL, with_total=True),
    ),
    "launch watch": (
        lambda c: c.launches.watch(filter="service = sort"),
        launches.WatchLaunchesRequest(filter="service = sort"),
    ),
    "launch cancel": (lambda c: c.launches.cancel("7"), launches.CancelLaunchRequest(id="7")),
    "launch suspend": (
        lambda c: c.launches.suspend("7"),
        launches.SuspendLaunchRequest(id="7"),
    ),
    "launch resume": (lambda c: c.launches.resume("7"), launches.ResumeLaunchRequest(id="7")),
    "launch resubmit": (
        lambda c: c.launches.resubmit("7"),
        launches.ResubmitLaunchRequest(id="7"),
    ),
    "launch queue": (
        lambda c: c.launches.queue(RULESET, page_size=5),
        launches.GetLaunchQueueRequest(kind=RULESET, page_size=5),
    ),
    "launch move": (
        lambda c: c.launches.move(TOP, "7", "8"),
        launches.MoveLaunchesRequest(ids=["7", "8"], direction=TOP),
    ),
    "task submit": (
        lambda c: c.tasks.submit("scan", service="a", account="ada", request_id="r-1"),
        tasks.SubmitTaskRequest(
            spec=tasks.TaskSpec(
                service="a",
                account="ada",
                actions=[operation.ActionCall(action="scan", arguments=to_struct({}))],
            ),
            options=OPTIONS(),
            request_id="r-1",
        ),
    ),
    "task run": (
        lambda c: c.tasks.run("scan", request_id=""),
        tasks.RunTaskRequest(
            spec=tasks.TaskSpec(
                actions=[operation.ActionCall(action="scan", arguments=to_struct({}))]
            ),
            options=OPTIONS(),
        ),
    ),
    "task submit many": (
        lambda c: c.tasks.submit_many([tasks.SubmitTaskRequest(request_id="r-1")]),
        tasks.BatchSubmitTasksRequest(requests=[tasks.SubmitTaskRequest(request_id="r-1")]),
    ),
    "task get many": (
        lambda c: c.tasks.get_many(["7", "8"]),
        tasks.BatchGetTasksRequest(ids=["7", "8"]),
    ),
    "task get": (lambda c: c.tasks.get("7"), tasks.GetTaskRequest(id="7")),
    "task list": (
        lambda c: c.tasks.list(page_token="t"),
        tasks.ListTasksRequest(page_token="t", view=operation.VIEW_BASIC),
    ),
    "task watch": (
        lambda c: c.tasks.watch(after_revision=0),
        tasks.WatchTasksRequest(after_revision=0),
    ),
    "task cancel": (lambda c: c.tasks.cancel("7"), tasks.CancelTaskRequest(id="7")),
    "task suspend": (lambda c: c.tasks.suspend("7"), tasks.SuspendTaskRequest(id="7")),
    "task resume": (lambda c: c.tasks.resume("7"), tasks.ResumeTaskRequest(id="7")),
    "task resubmit": (lambda c: c.tasks.resubmit("7"), tasks.ResubmitTaskRequest(id="7")),
    "task fetch": (
        lambda c: c.tasks.fetch("7"),
        tasks.FetchTaskResultRequest(id="7"),
    ),
    "task acknowledge": (
        lambda c: c.tasks.acknowledge("7", "8"),
        tasks.AcknowledgeResultsRequest(ids=["7", "8"]),
    ),
    "task results": (
        lambda c: c.tasks.results("ada", after_revision=0),
        tasks.StreamResultsRequest(stream="ada", after_revision=0),
    ),
    "launch download": (
        lambda c: c.launches.download("7", "7.zip"),
        launches.DownloadLaunchFilesRequest(id="7"),
    ),
    "file upload": (
        lambda c: c.files.upload(
            b"abc",
            path="a/b.csv.gz",
            content_encoding="gzip",
            content_disposition="attachment",
            expire_after=timedelta(hours=1),
            file_id="f-1",
        ),
        files.UploadFileRequest(
            header=files.FileHeader(
                file_id="f-1",
                path="a/b.csv.gz",
                content_type="application/gzip",
                content_encoding="gzip",
                content_disposition="attachment",
                expire_after=Duration(seconds=3600),
            ),
            data=b"abc",
            sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
    ),
    "file read": (
        lambda c: c.files.read("f-1"),
        files.DownloadFileRequest(file_id="f-1"),
    ),
    "file get": (lambda c: c.files.get("f-1"), files.GetFileRequest(file_id="f-1")),
    "file delete": (lambda c: c.files.delete("f-1"), files.DeleteFileRequest(file_id="f-1")),
    "any get": (
        lambda c: c.operations.get("7"),
        operations.GetOperationRequest(id="7"),
    ),
    "any watch": (
        lambda c: c.operations.watch(filter="submitter = ada", after_revision=9),
        operations.WatchOperationsRequest(filter="submitter = ada", after_revision=9),
    ),
    "history": (
        lambda c: c.operations.history("7", "log", page_size=5),
        operations.GetHistoryRequest(id="7", details=["log"], page_size=5),
    ),
    "explain": (
        lambda c: c.operations.explain("7"),
        operations.ExplainOperationRequest(id="7"),
    ),
    "services": (
        lambda c: c.catalog.services(RULESET),
        catalog.ListServicesRequest(kind=RULESET),
    ),
    "service": (lambda c: c.catalog.service("sort"), catalog.GetServiceRequest(slug="sort")),
    "apply contract": (
        lambda c: c.catalog.apply_contract(CONTRACT),
        catalog.ApplyContractRequest(contract=CONTRACT),
    ),
    "contract": (
        lambda c: c.catalog.contract("orders"),
        catalog.GetContractRequest(name="orders"),
    ),
    "contracts": (
        lambda c: c.catalog.contracts(page_size=5),
        catalog.ListContractsRequest(page_size=5),
    ),
    "delete contract": (
        lambda c: c.catalog.delete_contract("orders"),
        catalog.DeleteContractRequest(name="orders"),
    ),
    "apply schedule": (
        lambda c: c.catalog.apply_schedule(SCHEDULE),
        catalog.ApplyScheduleRequest(schedule=SCHEDULE),
    ),
    "schedule": (
        lambda c: c.catalog.schedule("weekly"),
        catalog.GetScheduleRequest(name="weekly"),
    ),
    "schedules": (
        lambda c: c.catalog.schedules(page_size=5),
        catalog.ListSchedulesRequest(page_size=5),
    ),
    "delete schedule": (
        lambda c: c.catalog.delete_schedule("weekly"),
        catalog.DeleteScheduleRequest(name="weekly"),
    ),
    "register account": (
        lambda c: c.catalog.register_account("mail", "ada"),
        catalog.RegisterAccountRequest(service="mail", username="ada"),
    ),
    "deregister account": (
        lambda c: c.catalog.deregister_account("mail", "ada"),
        catalog.DeregisterAccountRequest(service="mail", username="ada"),
    ),
    "accounts": (
        lambda c: c.catalog.accounts(page_size=5),
        catalog.ListAccountsRequest(page_size=5),
    ),
    "queues": (lambda c: c.queues.list(page_size=5), queues.ListQueuesRequest(page_size=5)),
    "queue pause": (
        lambda c: c.queues.pause("nightly"),
        queues.UpdateQueueRequest(name="nightly", paused=True),
    ),
    "queue resume": (
        lambda c: c.queues.resume("nightly"),
        queues.UpdateQueueRequest(name="nightly", paused=False),
    ),
    "queue limit": (
        lambda c: c.queues.limit("nightly", 0),
        queues.UpdateQueueRequest(name="nightly", concurrency_limit=0),
    ),
    "queue update": (
        lambda c: c.queues.update("nightly", paused=True, concurrency_limit=2),
        queues.UpdateQueueRequest(name="nightly", paused=True, concurrency_limit=2),
    ),
    "status": (lambda c: c.server.status(), server.GetStatusRequest()),
    "mode": (
        lambda c: c.server.set_mode(MAINTENANCE, resume_on_restart=False),
        server.SetModeRequest(mode=MAINTENANCE, resume_on_restart=False),
    ),
    "caller": (lambda c: c.server.caller(), server.GetCallerRequest()),
    "workers": (
        lambda c: c.server.workers(page_size=5),
        workers.ListWorkersRequest(page_size=5),
    ),
}


@pytest.fixture
async def peer() -> AsyncIterator[Recorder]:
    async with recorder() as peer:
        yield peer


@pytest.fixture
async def client(peer: Recorder) -> AsyncIterator[Client]:
    async with Client(peer.address, timeout=45) as client:
        yield client


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def made(asking: Any) -> None:
    """Wait for a call to be answered, or for the first thing that a list or stream tells."""
    if inspect.isawaitable(asking):
        await asking
    else:
        await anext(aiter(asking), None)


def method_of(request: Message) -> Any:
    services = request.DESCRIPTOR.file.services_by_name.values()
    (method,) = (
        method
        for service in services
        for method in service.methods
        if method.input_type is request.DESCRIPTOR
    )
    return method


def stream_of(request: Message) -> list[Message | StatusCode]:
    """Return what a stream tells when all that it is about has ended; of a call, nothing."""
    method = method_of(request)
    if not method.server_streaming:
        return []
    kind = GetMessageClass(method.output_type)
    if "data" in kind.DESCRIPTOR.fields_by_name and "end" not in kind.DESCRIPTOR.fields_by_name:
        return [kind(data=b"x"), StatusCode.OK]
    told: Any = kind(end=operation.END_DONE)
    run = method.name.removeprefix("Run").lower()
    if run != method.name.lower():
        getattr(told.changes.add(), run).metadata.id = "7"
    return [told]


@pytest.mark.parametrize("case", CASES)
async def test_a_method_asks_for_exactly_what_it_says(
    case: str, peer: Recorder, client: Client, in_a_folder: None
) -> None:
    ask, expected = CASES[case]
    peer.ready = [*stream_of(expected)]
    await made(ask(client))
    assert peer.asked == [expected]


def test_every_method_of_the_contract_is_asked_for_by_one_of_the_client() -> None:
    asked = {method_of(request).name for _, request in CASES.values()}
    services = [Default().FindServiceByName(f"longshore.v1.{name}Service") for name in SERVICES]
    assert asked | LEFT_OUT == {m.name for service in services for m in service.methods}


def test_the_options_are_those_of_the_contract() -> None:
    made = task(
        "sort",
        queue="nightly",
        priority=3,
        labels={"team": "north"},
        start_time=datetime(2030, 1, 1, tzinfo=UTC),
        run_timeout=timedelta(seconds=9),
        max_attempts=2,
        initial_backoff=timedelta(seconds=1),
        backoff_multiplier=1.5,
        max_backoff=timedelta(seconds=30),
        expire_after=timedelta(days=1),
        suspended=True,
        allow_unregistered=True,
        concurrency_key="disk",
        concurrency_limit=2,
        fairness_key="ada",
        callback=operation.Callback(url="http://ada.example/told"),
        delivery=operation.DeliveryMode.DELIVERY_MODE_STORE,
    )
    told = {field.name for field, _ in made.options.ListFields()}
    assert told == {*operation.Options.DESCRIPTOR.fields_by_name}
    assert len(made.options.retry.ListFields()) == 4


def test_a_variable_that_is_no_json_is_named() -> None:
    with pytest.raises(InvalidValue, match=r"variables\.when: datetime is no JSON type"):
        job("orders", "ship", {"when": datetime(2030, 1, 1, tzinfo=UTC)})


def test_requests_of_every_kind_carry_a_key_of_their_own() -> None:
    made: list[Any] = [
        job("orders", "ship"),
        job("orders", "ship"),
        launch("sort"),
        task("scan"),
    ]
    assert len({request.request_id for request in made}) == 4
    assert [request.request_id for request in made] == sorted(r.request_id for r in made)


async def test_a_submit_tells_whether_it_made_the_job(peer: Recorder, client: Client) -> None:
    found = jobs.Job(metadata=operation.Metadata(id="7", number=7))
    peer.ready = [StatusCode.UNAVAILABLE, jobs.SubmitJobResponse(job=found, created=False)]
    handle = await client.jobs.submit("orders", "ship", external_id="x-1")
    assert isinstance(handle, JobHandle)
    assert (handle.id, handle.number, handle.created) == ("7", 7, False)
    assert handle.message == found
    first, second = peer.asked
    assert first == second


async def test_a_ready_request_is_sent_as_it_is(peer: Recorder, client: Client) -> None:
    request = job("orders", "ship")
    await client.jobs.submit(request)
    launched = launch("sort")
    await client.launches.submit(launched)
    assert peer.asked == [request, launched]


async def test_an_operation_is_found_as_a_handle_of_its_kind(
    peer: Recorder, client: Client
) -> None:
    peer.ready = [
        operations.GetOperationResponse(task=tasks.Task()),
        operations.GetOperationResponse(job=jobs.Job()),
        operations.GetOperationResponse(launch=launches.Launch()),
    ]
    kinds = [type(await client.operations.get("7")) for _ in range(3)]
    assert kinds == [TaskHandle, JobHandle, LaunchHandle]


async def test_launches_that_were_moved_are_handles_in_their_new_order(
    peer: Recorder, client: Client
) -> None:
    moved = [launches.Launch(metadata=operation.Metadata(id=one)) for one in "ba"]
    peer.ready = [launches.MoveLaunchesResponse(launches=moved)]
    handles = await client.launches.move(TOP, "b", "a", "c")
    assert [handle.id for handle in handles] == ["b", "a"]


async def test_a_run_of_a_job_that_breaks_is_gone_on_with_by_a_watch(
    peer: Recorder, client: Client
) -> None:
    ended = jobs.Job(
        metadata=operation.Metadata(id="7"),
        status=operation.Status(state=operation.STATE_SUCCEEDED, result=to_struct({"n": 1})),
    )
    begun = jobs.Job(metadata=operation.Metadata(id="7"))
    last = jobs.JobChange(event=operation.Event(revision=5), job=ended)
    peer.ready = [
        jobs.RunJobResponse(changes=[jobs.JobChange(job=begun)], revision=4),
        StatusCode.UNAVAILABLE,
        jobs.WatchJobsResponse(changes=[last], revision=5, end=operation.END_DONE),
    ]
    changes = [change async for change in client.jobs.run("orders", "ship")]
    assert [change.event.revision for change in changes] == [0, 5]
    assert result_of(changes[-1].job) == {"n": 1}
    assert peer.asked[1] == jobs.WatchJobsRequest(ids=["7"], after_revision=4)


async def test_a_launch_that_fails_says_so_in_its_own_name(
    peer: Recorder, client: Client
) -> None:
    failed = launches.Launch(
        metadata=operation.Metadata(id="7", number=7),
        status=operation.Status(
            state=operation.STATE_FAILED, error=Failure(code=13, message="no room")
        ),
    )
    peer.ready = [
        launches.SubmitLaunchResponse(launch=launches.Launch(), created=True),
        launches.WatchLaunchesResponse(
            changes=[launches.LaunchChange(launch=failed)], revision=1, end=operation.END_DONE
        ),
    ]
    handle = await client.launches.submit("sort")
    with pytest.raises(WorkFailed, match="launch 7 failed: no room") as raised:
        await handle.result()
    assert raised.value.operation == failed
    assert repr(handle) == "<LaunchHandle 7 FAILED>"


def test_a_change_of_any_kind_shows_its_operation() -> None:
    task_, job_, launch_ = tasks.Task(), jobs.Job(), launches.Launch()
    event = operation.Event(revision=1)
    assert shown(tasks.TaskChange(event=event)) is None
    assert shown(jobs.JobChange(event=event, job=job_)) == job_
    for change in (
        operations.AnyChange(task=task_),
        operations.AnyChange(job=job_),
        operations.AnyChange(event=event, launch=launch_),
    ):
        operation_ = shown(change)
        assert operation_ is not None
        assert change.WhichOneof("operation") == operation_.DESCRIPTOR.name.lower()

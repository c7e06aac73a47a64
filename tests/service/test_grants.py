"""Grants: what is not granted is not there, and of what is, only what may be sent is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from longshore.access import tokens
from longshore.core.callbacks import CALLBACK_ACTION, CALLBACKS_QUEUE
from longshore.core.principals import ANY, Role
from longshore.engine.clock import MovableClock
from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import operation_pb2 as pb
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.job_service_pb2 import JobSpec, ResubmitJobRequest, RunJobRequest
from longshore.v1.job_service_pb2 import SubmitJobRequest as SubmitJob
from longshore.v1.launch_service_pb2 import LaunchSpec, RunLaunchRequest
from longshore.v1.launch_service_pb2 import SubmitLaunchRequest as SubmitLaunch
from longshore.v1.server_service_pb2 import (
    AllowedValues,
    ApiKey,
    GetCallerRequest,
    GetCallerResponse,
)
from longshore.v1.worker_service_pb2 import ListWorkersRequest
from tests.service.harness import (
    LASTING,
    OFFERS,
    Refusal,
    World,
    call,
    guarded,
    options,
    parameter,
    publish,
    refused,
    serving,
    stevedore,
    struct,
    submission,
)
from tests.service.test_result_streams import Listening
from tests.service.test_schedules import moved_on, schedule
from tests.tools.principals import Principals

#: Another service that digests, which takes whatever there is.
ELSEWHERE = Service(
    slug="elsewhere",
    actions=[
        ServiceAction(slug="digest", parameters=[parameter("path"), parameter("algorithm")])
    ],
)
CLEAN = Service(
    slug="clean",
    kind=pb.SERVICE_KIND_RULESET,
    actions=[
        ServiceAction(
            slug="run",
            parameters=[
                parameter("scopes", "LIST", optional=True, values=["sms", "photos", "mail"]),
                parameter("depth", "INTEGER", optional=True),
                parameter("note", optional=True, values=["a", "b"]),
            ],
        )
    ],
)
OFFERED = [*OFFERS, ELSEWHERE, CLEAN]
#: What `confined` may send: of what is offered some, and of a note nothing at all.
VALUES = {
    "archive/digest/algorithm": ["sha256", "md5"],
    "clean/run/scopes": ["sms", "photos"],
    "clean/run/depth": ["1", "2"],
    "clean/run/note": ["c"],
    "/carry/away": ["home"],
}
UNREGISTERED = options(allow_unregistered=True)


@pytest.fixture(scope="module")
def principals(tmp_path_factory: pytest.TempPathFactory) -> Principals:
    found = Principals(tmp_path_factory.mktemp("access") / "principals.toml")
    found.add("admin", "admin")
    found.add("archivist", "operator", actions=["archive/*", "carry"])
    found.add("confined", "operator", values=VALUES)
    return found


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, principals: Principals
) -> AsyncIterator[World]:
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    async with guarded(store, principals, settings=LASTING) as running:
        admin = running.saying(*principals.says("admin"))
        await publish(admin, OFFERED)
        contract = catalog.Contract(
            name="agreed",
            actions=[
                contract_action("quiet", call("noop")),
                contract_action("carry", call("carry")),
                contract_action("digest", call("digest", {"path": "a", "algorithm": "sha512"})),
            ],
        )
        await admin.catalog.ApplyContract(catalog.ApplyContractRequest(contract=contract))
        yield running


def contract_action(name: str, *calls: Any) -> catalog.ContractAction:
    template = catalog.WorkflowTemplate(name=name, actions=calls)
    return catalog.ContractAction(name=name, template=template)


@pytest.fixture
def archivist(world: World, principals: Principals) -> World:
    return world.saying(*principals.says("archivist"))


@pytest.fixture
def confined(world: World, principals: Principals) -> World:
    return world.saying(*principals.says("confined"))


@pytest.fixture
def admin(world: World, principals: Principals) -> World:
    return world.saying(*principals.says("admin"))


async def test_services_are_shown_as_far_as_they_are_granted(archivist: World) -> None:
    listed = await archivist.catalog.ListServices(catalog.ListServicesRequest())
    assert {one.slug: [action.slug for action in one.actions] for one in listed.services} == {
        "": ["carry"],
        "archive": ["digest", "bag"],
    }
    for slug in ("clean", "elsewhere", "nowhere"):
        asked = archivist.catalog.GetService(catalog.GetServiceRequest(slug=slug))
        assert (await refused(asked)).reason == "SERVICE_NOT_FOUND"


async def test_parameters_are_shown_with_the_values_that_the_caller_may_send(
    admin: World, confined: World
) -> None:
    request = catalog.GetServiceRequest(slug="clean")
    shown = (await confined.catalog.GetService(request)).service
    assert {one.slug: list(one.values) for one in shown.actions[0].parameters} == {
        "scopes": ["photos", "sms"],
        "depth": ["1", "2"],
    }
    shown = (
        await confined.catalog.GetService(catalog.GetServiceRequest(slug="archive"))
    ).service
    values = {one.slug: list(one.values) for one in shown.actions[0].parameters}
    assert values == {"path": [], "size": [], "algorithm": ["sha256"], "token": []}
    assert (await admin.catalog.GetService(request)).service == CLEAN


def asked_of(world: World, service: str, action: str, **given: Any) -> dict[str, Any]:
    """Return a call for each way in which a task can be asked for, by its name."""
    request = submission(call(action), service=service, **given)
    run = tasks.RunTaskRequest(spec=request.spec, options=given.get("options"))
    plan = submission(call("bag", {"digest": "a"}), call(action), service=service, **given)
    return {
        "submit": world.tasks.SubmitTask(request),
        "run": world.tasks.RunTask(run).read(),
        "plan": world.tasks.SubmitTask(plan),
        "batch": of_batch(world, request),
    }


async def of_batch(world: World, request: tasks.SubmitTaskRequest) -> None:
    """Submit one that is right and another, and raise nothing but what refuses that."""
    right = submission(call("carry"), options=UNREGISTERED)
    batch = tasks.BatchSubmitTasksRequest(requests=[right, request])
    first, second = (await world.tasks.BatchSubmitTasks(batch)).results
    assert first.submitted.created
    assert second.HasField("error")
    raise Refused(Refusal.of(second.error))


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


async def refusal_of(asked: Awaitable[object]) -> Refusal:
    try:
        return await refused(asked)
    except Refused as error:
        return error.refusal


@pytest.mark.parametrize("given", [{}, {"options": UNREGISTERED}], ids=["known", "unknown too"])
@pytest.mark.parametrize("service", ["", "elsewhere", "nowhere"])
async def test_what_is_not_granted_is_not_found_however_it_is_asked_for(
    archivist: World, service: str, given: dict[str, Any]
) -> None:
    before = await archivist.revision()
    for way, asked in asked_of(archivist, service, "digest", **given).items():
        refusal = await refusal_of(asked)
        assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "ACTION_NOT_FOUND"), way
    # The batch's first one is fine.
    assert await archivist.revision() == before + 1


async def test_what_is_not_granted_is_told_like_what_does_not_exist(archivist: World) -> None:
    told: list[tuple[Any, ...]] = []
    for service in ("elsewhere", "nowhere"):
        refusal = await refused(archivist.submit(submission(call("digest"), service=service)))
        message = refusal.message.replace(service, "SERVICE")
        told.append((refusal.code, refusal.reason, message, refusal.fields))
    assert told[0] == told[1]


async def test_what_is_granted_is_taken(archivist: World) -> None:
    digest = call("digest", {"path": "a", "algorithm": "sha512"})
    for request in (
        submission(digest, service="archive"),
        submission(call("carry")),
        submission(call("unheard"), service="archive", options=UNREGISTERED),
    ):
        assert (await archivist.submit(request)).metadata.submitter == "archivist"


async def test_jobs_run_what_is_granted_only(archivist: World) -> None:
    granted = SubmitJob(spec=JobSpec(contract="agreed", action="carry"))
    assert (await archivist.jobs.SubmitJob(granted)).created
    spec = JobSpec(contract="agreed", action="quiet")
    for opts in (None, UNREGISTERED):
        refusal = await refused(archivist.jobs.SubmitJob(SubmitJob(spec=spec, options=opts)))
        assert refusal.reason == "ACTION_NOT_FOUND"
        run = archivist.jobs.RunJob(RunJobRequest(spec=spec, options=opts))
        assert (await refused(run.read())).reason == "ACTION_NOT_FOUND"


async def test_what_is_not_granted_is_not_launched(archivist: World) -> None:
    spec = LaunchSpec(service="clean")
    for opts in (None, UNREGISTERED):
        submit = archivist.launches.SubmitLaunch(SubmitLaunch(spec=spec, options=opts))
        run = archivist.launches.RunLaunch(RunLaunchRequest(spec=spec, options=opts)).read()
        for asked in (submit, run):
            refusal = await refused(asked)
            assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
            assert refusal.fields == {"spec.service": "UNKNOWN"}


async def test_what_is_not_granted_is_not_scheduled(archivist: World) -> None:
    for kept in (
        schedule(task=submission(call("noop")).spec),
        schedule(task=submission(call("noop")).spec, options=UNREGISTERED),
        schedule(job=JobSpec(contract="agreed", action="quiet")),
        schedule(launch=LaunchSpec(service="clean")),
    ):
        request = catalog.ApplyScheduleRequest(schedule=kept)
        refusal = await refused(archivist.catalog.ApplySchedule(request))
        assert refusal.code == StatusCode.NOT_FOUND, kept
    task = submission(call("carry")).spec
    request = catalog.ApplyScheduleRequest(schedule=schedule(task=task))
    assert (await archivist.catalog.ApplySchedule(request)).schedule.name == "nightly"


async def test_there_are_no_accounts_with_a_service_that_is_not_granted(
    archivist: World,
) -> None:
    request = catalog.RegisterAccountRequest(service="elsewhere", username="ada")
    refusal = await refused(archivist.catalog.RegisterAccount(request))
    assert refusal.reason == "SERVICE_NOT_FOUND"


@pytest.mark.parametrize(
    "made, field",
    [
        (
            submission(call("digest", {"path": "a", "algorithm": "sha512"}), service="archive"),
            "spec.actions[0].arguments.algorithm",
        ),
        (  # Another service would take it, and nobody knows which will be asked.
            submission(call("digest", {"path": "a", "algorithm": "sha512"})),
            "spec.actions[0].arguments.algorithm",
        ),
        (
            submission(
                call("noop"),
                call("digest", {"path": "a"}, argument_paths={"algorithm": "x"}),
            ),
            "spec.actions[1].argument_paths[algorithm]",
        ),
        (
            submission(call("run", {"scopes": ["sms", "mail"]}), service="clean"),
            "spec.actions[0].arguments.scopes",
        ),
        (
            submission(call("run", {"scopes": [["mail"]]}), service="clean"),
            "spec.actions[0].arguments.scopes",
        ),
        (
            submission(call("run", {"depth": 3}), service="clean"),
            "spec.actions[0].arguments.depth",
        ),
        (
            submission(call("run", {"note": "a"}), service="clean"),
            "spec.actions[0].arguments.note",
        ),
        (  # Nobody has offered it yet.
            submission(call("carry", {"away": "far"}), service="new", options=UNREGISTERED),
            "spec.actions[0].arguments.away",
        ),
        (
            submission(
                call("carry", argument_paths={"away": "x"}), service="new", options=UNREGISTERED
            ),
            "spec.actions[0].argument_paths[away]",
        ),
    ],
)
async def test_a_value_that_the_caller_may_not_send_is_refused_with_its_path(
    admin: World, confined: World, made: tasks.SubmitTaskRequest, field: str
) -> None:
    before = await confined.revision()
    for asked in (confined.tasks.SubmitTask(made), refused_in_batch(confined, made)):
        refusal = await refusal_of(asked)
        assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert refusal.fields == {field: "NOT_PERMITTED"}
    assert await confined.revision() == before


async def refused_in_batch(world: World, request: tasks.SubmitTaskRequest) -> None:
    batch = tasks.BatchSubmitTasksRequest(requests=[request])
    (only,) = (await world.tasks.BatchSubmitTasks(batch)).results
    raise Refused(Refusal.of(only.error))


async def test_values_that_the_caller_may_send_are_taken(confined: World) -> None:
    for request in (
        submission(call("digest", {"path": "a", "algorithm": "sha256"}), service="archive"),
        submission(call("digest", {"path": "a", "algorithm": "md5"}), service="elsewhere"),
        submission(call("digest", {"path": "a"}), service="archive"),
        submission(call("run", {"scopes": ["sms", "photos"], "depth": 2}), service="clean"),
        submission(call("carry", {"away": "home"}), service="new", options=UNREGISTERED),
    ):
        assert (await confined.submit(request)).metadata.number


async def test_launches_jobs_and_schedules_take_what_may_be_sent(confined: World) -> None:
    spec = LaunchSpec(service="clean", arguments=struct({"scopes": ["sms", "mail"]}))
    refusal = await refused(confined.launches.SubmitLaunch(SubmitLaunch(spec=spec)))
    assert refusal.fields == {"spec.arguments.scopes": "NOT_PERMITTED"}
    job = JobSpec(contract="agreed", action="digest")
    refusal = await refused(confined.jobs.SubmitJob(SubmitJob(spec=job)))
    assert refusal.fields == {"spec.action": "NOT_PERMITTED"}
    asked = catalog.ApplyScheduleRequest(schedule=schedule(launch=spec))
    refusal = await refused(confined.catalog.ApplySchedule(asked))
    assert refusal.fields == {"schedule.launch.arguments.scopes": "NOT_PERMITTED"}


async def test_what_another_has_submitted_is_resubmitted_if_it_is_granted(
    admin: World, archivist: World, confined: World
) -> None:
    digest = call("digest", {"path": "a", "algorithm": "sha512"})
    made = [
        await admin.submit(submission(digest, service=service))
        for service in ("archive", "elsewhere")
    ]
    for task in made:
        await admin.tasks.CancelTask(tasks.CancelTaskRequest(id=task.metadata.id))
    first, second = (tasks.ResubmitTaskRequest(id=one.metadata.id) for one in made)
    assert (await archivist.tasks.ResubmitTask(first)).task.metadata.submitter == "archivist"
    refusal = await refused(archivist.tasks.ResubmitTask(second))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "ACTION_NOT_FOUND")
    refusal = await refused(confined.tasks.ResubmitTask(first))
    assert refusal.fields == {"spec.actions[0].arguments.algorithm": "NOT_PERMITTED"}
    assert (await confined.tasks.ResubmitTask(second)).task.metadata.submitter == "confined"

    asked = SubmitJob(spec=JobSpec(contract="agreed", action="quiet"), options=options())
    job = (await admin.jobs.SubmitJob(asked)).job.metadata.id
    of_job = ResubmitJobRequest(id=job)
    refusal = await refused(archivist.jobs.ResubmitJob(of_job))
    assert refusal.reason == "ACTION_NOT_FOUND"
    as_task = tasks.ResubmitTaskRequest(id=job)
    refusal = await refused(archivist.tasks.ResubmitTask(as_task))
    assert refusal.reason == "OPERATION_NOT_FOUND"


@pytest.fixture
async def manned(tmp_path: Path) -> AsyncIterator[tuple[World, Principals]]:
    """A server, and principals that work."""
    found = Principals(tmp_path / "principals.toml")
    found.add("admin", "admin", tenants=["default", "north"])
    found.add("digester", "worker", actions=["archive/digest"], queues=["fast", "default"])
    found.add("hand", "worker")
    found.add("postman", "worker", tenants=[ANY], queues=[CALLBACKS_QUEUE])
    found.add("everywhere", "worker", tenants=[ANY], queues=[ANY])
    async with guarded(tmp_path / "longshore.db", found) as running:
        yield running, found


POST_OFFICE = [Service(slug="", actions=[ServiceAction(slug=CALLBACK_ACTION)])]
DIGEST = [Service(slug="archive", actions=[ServiceAction(slug="digest")])]


async def refusal_to_work(
    world: World, services: Sequence[Service], queues: list[str], tenant: str = "default"
) -> Refusal:
    async def work() -> None:
        async with stevedore(world, services, queues=queues, tenant=tenant):
            pass

    return await refused(work())


async def test_a_worker_serves_its_queues_and_offers_its_actions(
    manned: tuple[World, Principals],
) -> None:
    world, principals = manned
    digester = world.saying(*principals.says("digester"))
    async with stevedore(digester, DIGEST, queues=["fast", "default"], name="right"):
        listed = await world.workers.ListWorkers(
            ListWorkersRequest(), metadata=principals.says("admin")
        )
        assert [one.name for one in listed.workers] == ["right"]
    for queues, fields in (
        (["slow"], {"hello.queues[0]"}),
        (["fast", "slow", CALLBACKS_QUEUE], {"hello.queues[1]", "hello.queues[2]"}),
    ):
        refusal = await refusal_to_work(digester, DIGEST, queues)
        assert refusal.fields == dict.fromkeys(fields, "NOT_PERMITTED")
    refusal = await refusal_to_work(digester, OFFERS, [])
    assert refusal.fields == {
        "hello.services[0].actions[0].slug": "NOT_PERMITTED",
        "hello.services[0].actions[1].slug": "NOT_PERMITTED",
        "hello.services[1].actions[1].slug": "NOT_PERMITTED",
    }
    hand = world.saying(*principals.says("hand"))
    refusal = await refusal_to_work(hand, OFFERS, ["slow", CALLBACKS_QUEUE])
    assert refusal.fields == {"hello.queues[1]": "NOT_PERMITTED"}


async def test_callbacks_of_every_tenant_are_made_by_one_worker(
    manned: tuple[World, Principals],
) -> None:
    world, principals = manned
    postman = world.saying(*principals.says("postman"))
    called = options(callback=pb.Callback(url="http://quay.example/done"))
    async with stevedore(
        postman, POST_OFFICE, queues=[CALLBACKS_QUEUE], tenant=ANY, name="postman"
    ) as post:
        for tenant in ("north", "default"):
            admin = world.saying(*principals.says("admin", tenant))
            async with stevedore(admin, tenant=tenant) as hand:
                task = await admin.submit(submission(options=called))
                await hand.run_next()
            callback = await post.assigned()
            assert (callback.tenant, callback.action) == (tenant, CALLBACK_ACTION)
            await post.complete(callback)
            assert (await admin.get(task.metadata.id)).metadata.tenant == tenant
            listed = await admin.workers.ListWorkers(ListWorkersRequest())
            assert [one.name for one in listed.workers] == ["stevedore"]


async def test_who_works_for_all_tenants_serves_the_servers_own_queues_only(
    manned: tuple[World, Principals],
) -> None:
    world, principals = manned
    everywhere = world.saying(*principals.says("everywhere"))
    hand = world.saying(*principals.says("hand"))
    refusal = await refusal_to_work(everywhere, DIGEST, [], tenant=ANY)
    assert refusal.fields == {"hello.queues[0]": "NOT_PERMITTED"}
    refusal = await refusal_to_work(everywhere, DIGEST, ["fast", CALLBACKS_QUEUE], tenant=ANY)
    assert refusal.fields == {"hello.queues[0]": "NOT_PERMITTED"}
    refusal = await refusal_to_work(hand, DIGEST, ["fast"], tenant=ANY)
    assert refusal.reason == "TENANT_NOT_PERMITTED"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[tuple[World, Principals, MovableClock]]:
    """A server by a clock that is moved, and a principal whose results have a stream."""
    clock = MovableClock()
    found = Principals(tmp_path / "principals.toml")
    found.add("ada", stream="0f6d", delivery="channel")
    found.add("bob")
    async with guarded(tmp_path / "longshore.db", found, clock=clock) as running:
        yield running, found, clock


async def test_results_come_to_a_stream_by_its_id_and_by_its_owners_name(
    office: tuple[World, Principals, MovableClock],
) -> None:
    world, principals, clock = office
    ada, bob = (world.saying(*principals.says(name)) for name in ("ada", "bob"))
    channel = options(delivery=pb.DELIVERY_MODE_CHANNEL)
    async with stevedore(ada) as hand:
        first = await ada.submit(submission(options=channel))
        await hand.run_next(sum=1)
        assert (await ada.get(first.metadata.id)).status.delivery.stream == "0f6d"
        for name in ("0f6d", "ada"):
            listening = Listening(ada, name)
            assert (await listening.result()).id == first.metadata.id
            refusal = await refused(Listening(bob, name).message())
            assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "STREAM_NOT_FOUND")

        # Who listens by the other name takes the same stream over.
        other = Listening(ada, "0f6d")
        assert (await other.result()).id == first.metadata.id
        assert (await refused(listening.message())).reason == "STREAM_TAKEN"

        # What a schedule of hers submits goes there as well.
        kept = schedule(cron="", interval=Duration(seconds=60), options=channel)
        request = catalog.ApplyScheduleRequest(schedule=kept)
        shown = (await ada.catalog.ApplySchedule(request)).schedule
        clock.move(60_000)
        await moved_on(ada, shown)
        await hand.run_next(sum=2)
        assert (await other.result()).task.metadata.request_id.startswith("nightly@")


async def caller(world: World, *metadata: tuple[str, str]) -> GetCallerResponse:
    found: GetCallerResponse = await world.servers.GetCaller(
        GetCallerRequest(), metadata=metadata
    )
    return found


async def test_callers_are_told_what_is_configured_for_them(tmp_path: Path) -> None:
    principals = Principals(tmp_path / "principals.toml")
    key = tokens.new_api_key()
    principals.add(
        "ada",
        "submitter",
        tenants=["north", "south"],
        actions=["archive/*", "*/digest", "greet"],
        values={"archive/ingest/data": ["sms", "photos"], "/greet/name": ["you"]},
        delivery="store",
        stream="0f6d",
        api_key=key.hash,
    )
    principals.add("bob", "admin", tenants=[ANY])
    async with guarded(tmp_path / "longshore.db", principals) as world:
        ada = await caller(world, *principals.says("ada"))
        assert ada == GetCallerResponse(
            principal="ada",
            tenants=["north", "south"],
            roles=["viewer", "submitter"],
            delivery=pb.DELIVERY_MODE_STORE,
            stream="0f6d",
            actions=["archive/*", "*/digest", "greet"],
            values=[
                AllowedValues(
                    service="archive",
                    action="ingest",
                    parameter="data",
                    values=["photos", "sms"],
                ),
                AllowedValues(action="greet", parameter="name", values=["you"]),
            ],
            api_key=ApiKey.API_KEY_MISSING,
        )
        bob = await caller(world, *principals.says("bob"))
        assert bob == GetCallerResponse(
            principal="bob",
            tenants=["default", ANY],
            roles=list(Role),
            delivery=pb.DELIVERY_MODE_NONE,
            stream="bob",
            actions=[ANY],
            api_key=ApiKey.API_KEY_NOT_NEEDED,
        )
        for shown, expected in (
            (key.secret_text, ApiKey.API_KEY_RIGHT),
            (f"{key.secret_text}x", ApiKey.API_KEY_WRONG),
            ("", ApiKey.API_KEY_WRONG),
        ):
            said = (*principals.says("ada"), ("api-key", shown))
            assert (await caller(world, *said)).api_key == expected
        said = (*principals.says("bob"), ("api-key", key.secret_text))
        assert (await caller(world, *said)).api_key == ApiKey.API_KEY_NOT_NEEDED


async def test_no_api_key_is_needed_where_nobody_is_configured(tmp_path: Path) -> None:
    async with serving(tmp_path / "longshore.db") as world:
        found = await caller(world, ("api-key", "anything"))
        assert found.api_key == ApiKey.API_KEY_NOT_NEEDED
        assert found.principal == "anonymous"

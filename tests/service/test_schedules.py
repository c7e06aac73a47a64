"""Schedules: applied, shown and deleted, and what they submit when, missed times and all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from structlog.testing import capture_logs

from longshore.core.callers import Caller
from longshore.core.catalog_changes import ApplySchedule
from longshore.core.changes import FireSchedule
from longshore.engine.clock import MovableClock
from longshore.server.directory import Directory
from longshore.server.scheduler import Scheduler
from longshore.server.schedules import submit_of
from longshore.server.submissions import Submissions
from longshore.v1 import catalog_service_pb2 as pb
from longshore.v1 import operation_pb2
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.v1.job_service_pb2 import JobSpec, ListJobsRequest
from longshore.v1.launch_service_pb2 import LaunchSpec, ListLaunchesRequest
from longshore.v1.operation_service_pb2 import WatchOperationsRequest
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    SERVER_MODE_MAINTENANCE,
    SetModeRequest,
)
from longshore.v1.task_service_pb2 import ListTasksRequest, TaskSpec
from tests.service.harness import (
    OFFERS,
    PATIENCE_SECONDS,
    Watch,
    World,
    call,
    options,
    parameter,
    publish,
    refused,
    serving,
    stevedore,
    struct,
)

SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000  #: In milliseconds.

#: A Monday, long after today, at which a test's clock begins.
START = datetime(2030, 6, 3, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> MovableClock:
    clock = MovableClock()
    clock.move(int(START.timestamp() * 1_000) - clock.now())
    return clock


@pytest.fixture
async def world(tmp_path: Path, clock: MovableClock) -> AsyncIterator[World]:
    """A server over an empty store, by a clock that is moved; what it offers is published."""
    async with serving(tmp_path / "longshore.db", clock=clock) as running:
        await publish(running)
        yield running


def schedule(name: str = "nightly", **fields: Any) -> pb.Schedule:
    """Return a schedule of a `noop` every hour, unless fields say otherwise."""
    if not {"cron", "interval"} & set(fields):
        fields["cron"] = "0 * * * *"
    if not {"task", "job", "launch"} & set(fields):
        fields["task"] = TaskSpec(actions=[call("noop")])
    return pb.Schedule(name=name, **fields)


async def apply(world: World, wanted: pb.Schedule, **metadata: str) -> pb.Schedule:
    response = await world.catalog.ApplySchedule(
        pb.ApplyScheduleRequest(schedule=wanted), metadata=tuple(metadata.items())
    )
    kept: pb.Schedule = response.schedule
    return kept


async def get(world: World, name: str = "nightly") -> pb.Schedule:
    response = await world.catalog.GetSchedule(pb.GetScheduleRequest(name=name))
    kept: pb.Schedule = response.schedule
    return kept


async def submitted(world: World) -> list[str]:
    """Return for which times tasks were submitted."""
    response = await world.tasks.ListTasks(ListTasksRequest(order_by="number", page_size=1_000))
    return [one.metadata.request_id for one in response.tasks]


def next_time(shown: pb.Schedule) -> str:
    return shown.next_time.ToJsonString() if shown.HasField("next_time") else ""


async def moved_on(world: World, before: pb.Schedule) -> pb.Schedule:
    """Wait until a schedule waits for another time than before, or for none."""
    changed = asyncio.Event()
    forget = world.engine.catalog.listen(changed.set)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                changed.clear()
                shown = await get(world, before.name)
                if next_time(shown) != next_time(before):
                    return shown
                await changed.wait()
    finally:
        forget()


async def looked(world: World, clock: MovableClock) -> None:
    """Wait until whoever waits for the clock or the catalog has looked at both."""
    await apply(world, schedule("probe", interval=Duration(seconds=1)))
    probe = await get(world, "probe")
    clock.move(SECOND)
    await moved_on(world, probe)
    await world.catalog.DeleteSchedule(pb.DeleteScheduleRequest(name="probe"))


def of(name: str, found: list[str]) -> list[str]:
    """Return the times for which one schedule has submitted."""
    return [one.partition("@")[2] for one in found if one.startswith(f"{name}@")]


# Applied and shown.


async def test_a_schedule_is_shown_as_it_was_applied_with_its_next_time(world: World) -> None:
    wanted = schedule(
        cron="30 6 * * MON-FRI",
        time_zone="Europe/Berlin",
        missed=pb.MISSED_POLICY_ONCE,
        options=options(priority=3, labels={"by": "night"}),
    )
    kept = await apply(world, wanted)
    assert await get(world) == kept
    assert next_time(kept) == "2030-06-04T04:30:00Z"
    assert not kept.last_id
    kept.ClearField("next_time")
    assert kept == wanted


async def test_an_interval_counts_from_the_apply_and_keeps_its_step(
    world: World, clock: MovableClock
) -> None:
    before = clock.now()
    kept = await apply(world, schedule(interval=Duration(seconds=90)))
    first = kept.next_time.ToMilliseconds()
    assert before + 90_000 <= first <= clock.now() + 90_000
    clock.move(100 * SECOND)
    kept = await moved_on(world, kept)
    assert kept.next_time.ToMilliseconds() == first + 90_000


async def test_the_same_schedule_again_changes_nothing(
    world: World, clock: MovableClock
) -> None:
    kept = await apply(world, schedule(interval=Duration(seconds=90)))
    before = await world.revision()
    clock.move(30 * SECOND)
    assert await apply(world, schedule(interval=Duration(seconds=90))) == kept
    assert await apply(world, kept) == kept
    assert await world.revision() == before


async def test_a_schedule_that_changes_counts_from_then_and_knows_what_it_submitted(
    world: World, clock: MovableClock
) -> None:
    kept = await apply(world, schedule())
    clock.move(HOUR)
    kept = await moved_on(world, kept)
    changed = await apply(world, schedule(cron="0 0 * * *"))
    assert next_time(changed) == "2030-06-04T00:00:00Z"
    assert changed.last_id == kept.last_id != ""


async def test_schedules_are_listed_by_name_page_by_page(world: World) -> None:
    for name in ("b", "a", "C"):
        await apply(world, schedule(name))
    first = await world.catalog.ListSchedules(pb.ListSchedulesRequest(page_size=2))
    assert [one.name for one in first.schedules] == ["C", "a"]
    assert first.schedules[1] == await get(world, "a")
    token = first.next_page_token
    rest = await world.catalog.ListSchedules(pb.ListSchedulesRequest(page_token=token))
    assert [one.name for one in rest.schedules] == ["b"]
    assert not rest.next_page_token


async def test_wrong_pages_are_refused(world: World) -> None:
    request = pb.ListSchedulesRequest(page_size=1_001)
    refusal = await refused(world.catalog.ListSchedules(request))
    assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {"page_size": "INVALID"})
    request = pb.ListSchedulesRequest(page_token="x")
    refusal = await refused(world.catalog.ListSchedules(request))
    assert (refusal.reason, refusal.fields) == (
        "INVALID_PAGE_TOKEN",
        {"page_token": "INVALID"},
    )


async def test_a_schedule_that_is_not_there_is_not_found(world: World) -> None:
    for asked in (
        world.catalog.GetSchedule(pb.GetScheduleRequest(name="x")),
        world.catalog.DeleteSchedule(pb.DeleteScheduleRequest(name="x")),
    ):
        refusal = await refused(asked)
        assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "SCHEDULE_NOT_FOUND")
        assert refusal.fields == {"name": "UNKNOWN"}
        assert refusal.metadata["schedule"] == "x"


# Submitted.


async def test_a_task_is_submitted_at_its_time_and_says_for_which(
    world: World, clock: MovableClock
) -> None:
    kept = await apply(world, schedule(options=options(priority=3, labels={"by": "night"})))
    clock.move(HOUR)
    kept = await moved_on(world, kept)
    assert next_time(kept) == "2030-06-03T14:00:00Z"
    task = await world.get(kept.last_id)
    assert task.metadata.request_id == "nightly@2030-06-03T13:00:00Z"
    assert task.metadata.submitter == "anonymous"
    assert dict(task.metadata.labels) == {"by": "night"}
    assert task.options.priority == 3
    clock.move(HOUR)
    kept = await moved_on(world, kept)
    assert kept.last_id != task.metadata.id
    assert await submitted(world) == [
        "nightly@2030-06-03T13:00:00Z",
        "nightly@2030-06-03T14:00:00Z",
    ]


async def agree(world: World, **fields: Any) -> None:
    """Apply a contract with an action that gives a variable to `digest` as a password."""
    steps = call("digest", {"path": "a"}, argument_paths={"token": "token"})
    template = pb.WorkflowTemplate(name="steps", actions=[steps])
    action = pb.ContractAction(name="ingest", template=template, **fields)
    contract = pb.Contract(name="archive", actions=[action])
    await world.catalog.ApplyContract(pb.ApplyContractRequest(contract=contract))


CLEAN = Service(
    slug="clean",
    kind=operation_pb2.SERVICE_KIND_OPERATION,
    actions=[
        ServiceAction(
            slug="run",
            parameters=[
                parameter("folder"),
                parameter("token", optional=True, password=True),
            ],
        )
    ],
)


async def test_a_job_is_submitted(world: World, clock: MovableClock) -> None:
    await agree(world)
    spec = JobSpec(contract="archive", action="ingest", variables=struct({"token": "hush"}))
    kept = await apply(world, schedule(job=spec))
    clock.move(HOUR)
    kept = await moved_on(world, kept)
    (job,) = (await world.jobs.ListJobs(ListJobsRequest())).jobs
    assert (job.metadata.id, job.spec.contract) == (kept.last_id, "archive")
    assert job.metadata.request_id == "nightly@2030-06-03T13:00:00Z"


async def test_a_launch_is_submitted(world: World, clock: MovableClock) -> None:
    await publish(world, [CLEAN])
    spec = LaunchSpec(service="clean", arguments=struct({"folder": "a"}))
    kept = await apply(world, schedule(launch=spec))
    clock.move(HOUR)
    kept = await moved_on(world, kept)
    (launch,) = (await world.launches.ListLaunches(ListLaunchesRequest())).launches
    assert (launch.metadata.id, launch.spec.service) == (kept.last_id, "clean")
    assert launch.metadata.request_id == "nightly@2030-06-03T13:00:00Z"


async def test_a_schedule_submits_in_its_tenant_for_who_applied_it(
    world: World, clock: MovableClock
) -> None:
    acme = (("x-tenant-id", "acme"),)
    wanted = schedule(options=options(allow_unregistered=True))
    await apply(world, wanted, **dict(acme))
    assert (await refused(get(world))).reason == "SCHEDULE_NOT_FOUND"
    clock.move(HOUR)
    watch = world.operations.WatchOperations(
        WatchOperationsRequest(filter="number > 0", after_revision=0), metadata=acme
    )
    (change, *_) = await Watch(watch).until(bool)
    response = await world.catalog.GetSchedule(
        pb.GetScheduleRequest(name="nightly"), metadata=acme
    )
    assert response.schedule.last_id == change.event.operation_id
    assert await submitted(world) == []


async def test_a_deleted_schedule_submits_nothing_and_what_it_submitted_goes_on(
    world: World, clock: MovableClock
) -> None:
    kept = await apply(world, schedule())
    clock.move(HOUR)
    kept = await moved_on(world, kept)
    await world.catalog.DeleteSchedule(pb.DeleteScheduleRequest(name="nightly"))
    clock.move(HOUR)
    await looked(world, clock)
    assert of("nightly", await submitted(world)) == ["2030-06-03T13:00:00Z"]
    assert (await refused(get(world))).reason == "SCHEDULE_NOT_FOUND"
    assert await world.get(kept.last_id)


async def test_a_paused_schedule_submits_nothing_and_counts_anew_when_it_goes_on(
    world: World, clock: MovableClock
) -> None:
    interval = Duration(seconds=600)
    await apply(world, schedule(interval=interval, missed=pb.MISSED_POLICY_ALL))
    paused = await apply(
        world, schedule(interval=interval, missed=pb.MISSED_POLICY_ALL, paused=True)
    )
    assert not next_time(paused)
    clock.move(DAY)
    await looked(world, clock)
    assert of("nightly", await submitted(world)) == []
    now = clock.now()
    resumed = await apply(world, schedule(interval=interval, missed=pb.MISSED_POLICY_ALL))
    assert now + 600_000 <= resumed.next_time.ToMilliseconds() <= clock.now() + 600_000


# Missed.

POLICIES = {
    pb.MISSED_POLICY_UNSPECIFIED: [],
    pb.MISSED_POLICY_SKIP: [],
    pb.MISSED_POLICY_ONCE: ["2030-06-03T15:00:00Z"],
    pb.MISSED_POLICY_ALL: [
        "2030-06-03T13:00:00Z",
        "2030-06-03T14:00:00Z",
        "2030-06-03T15:00:00Z",
    ],
}


@pytest.mark.parametrize("missed", POLICIES)
async def test_times_that_passed_while_no_server_ran(
    tmp_path: Path, clock: MovableClock, missed: pb.MissedPolicy.ValueType
) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store, clock=clock) as world:
        await publish(world)
        kept = await apply(world, schedule(missed=missed))
    clock.move(7 * HOUR // 2)
    async with serving(store, clock=clock) as world:
        kept = await moved_on(world, kept)
        assert next_time(kept) == "2030-06-03T16:00:00Z"
        assert of("nightly", await submitted(world)) == POLICIES[missed]
        clock.move(HOUR // 2)
        await moved_on(world, kept)
        assert of("nightly", await submitted(world))[-1:] == ["2030-06-03T16:00:00Z"]


async def test_very_many_missed_times_are_all_made_up_for(
    tmp_path: Path, clock: MovableClock
) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store, clock=clock) as world:
        await publish(world)
        await apply(world, schedule(missed=pb.MISSED_POLICY_ALL))
    clock.move(501 * HOUR // 2)
    async with serving(store, clock=clock) as world:
        shown = await get(world)
        while shown.next_time.ToMilliseconds() <= clock.now():
            shown = await moved_on(world, shown)
        found = of("nightly", await submitted(world))
    assert len(set(found)) == len(found) == 250


async def test_in_maintenance_a_schedule_stays_due(world: World, clock: MovableClock) -> None:
    kept = await apply(world, schedule(missed=pb.MISSED_POLICY_ONCE))
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_MAINTENANCE))
    clock.move(2 * HOUR)
    assert await get(world) == kept
    assert await submitted(world) == []
    await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_ACTIVE))
    await moved_on(world, kept)
    assert await submitted(world) == ["nightly@2030-06-03T14:00:00Z"]


async def test_schedules_survive_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store, clock=clock) as world:
        await publish(world)
        kept = await apply(world, schedule())
    async with serving(store, clock=clock) as world:
        assert await get(world) == kept
        clock.move(HOUR)
        await moved_on(world, kept)
        assert await submitted(world) == ["nightly@2030-06-03T13:00:00Z"]


# Once, whatever happens.


async def test_two_schedulers_over_one_store_submit_once(
    world: World, clock: MovableClock
) -> None:
    submissions = Submissions(Directory(world.engine.catalog))
    others = [asyncio.create_task(Scheduler(world.engine, submissions).run()) for _ in range(2)]
    kept = await apply(world, schedule(interval=Duration(seconds=1)))
    for _ in range(20):
        clock.move(SECOND)
        kept = await moved_on(world, kept)
    found = await submitted(world)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    assert len(found) >= 20
    assert len(set(found)) == len(found)


async def test_a_time_is_fired_once_and_not_after_a_change(world: World) -> None:
    await apply(world, schedule())
    known = world.engine.catalog.current.schedules["default", "nightly"]
    caller = Caller("default", "ada")
    submissions = Submissions(Directory(world.engine.catalog))
    request = pb.Schedule.FromString(known.document)
    assert known.next_time is not None
    change = FireSchedule(
        caller,
        "nightly",
        known.document,
        known.next_time,
        (submit_of(request, caller, submissions),),
        known.next_time + 1,
    )
    outcomes = await world.engine.writer.write_all((change, change))
    assert [None if one is None else len(one) for one in outcomes] == [1, None]  # type: ignore[arg-type]
    stale = change._replace(document=b"", due_time=known.next_time + 1)
    assert await world.engine.writer.write(stale) is None


# Refused when its time has come.


async def test_a_submit_that_is_refused_is_logged_and_the_schedule_goes_on(
    world: World, clock: MovableClock
) -> None:
    await agree(world)
    kept = await apply(world, schedule(job=JobSpec(contract="archive", action="ingest")))
    await world.catalog.DeleteContract(pb.DeleteContractRequest(name="archive"))
    with capture_logs() as logged:
        clock.move(HOUR)
        kept = await moved_on(world, kept)
    (entry,) = (one for one in logged if one["event"] == "schedule_refused")
    assert (entry["tenant"], entry["schedule"]) == ("default", "nightly")
    assert entry["occasions"] == ["nightly@2030-06-03T13:00:00Z"]
    assert entry["reason"] == "no contract 'archive'"
    assert next_time(kept) == "2030-06-03T14:00:00Z"
    assert not kept.last_id
    await agree(world, variables=struct({"token": "hush"}))
    clock.move(HOUR)
    assert (await moved_on(world, kept)).last_id


async def test_what_the_commit_refuses_does_not_stop_a_schedule_either(
    world: World, clock: MovableClock
) -> None:
    account = {"service": "archive", "username": "ada"}
    await world.catalog.RegisterAccount(pb.RegisterAccountRequest(**account))
    spec = TaskSpec(service="archive", account="ada", actions=[call("digest", {"path": "a"})])
    kept = await apply(world, schedule(task=spec))
    await world.catalog.DeregisterAccount(pb.DeregisterAccountRequest(**account))
    with capture_logs() as logged:
        clock.move(HOUR)
        kept = await moved_on(world, kept)
    assert any(one["event"] == "schedule_refused" for one in logged)
    assert next_time(kept) == "2030-06-03T14:00:00Z"
    assert await submitted(world) == []


async def test_a_schedule_that_fails_for_no_good_reason_does_not_stop_others(
    world: World, clock: MovableClock
) -> None:
    kept = await apply(world, schedule())
    broken = ApplySchedule(Caller(), "broken", b"\xff", clock.now() + HOUR - SECOND)
    await world.engine.writer.write(broken)
    with capture_logs() as logged:
        clock.move(HOUR)
        await moved_on(world, kept)
    assert any(
        (one["event"], one.get("schedule")) == ("schedule_failed", "broken") for one in logged
    )
    assert await submitted(world) == ["nightly@2030-06-03T13:00:00Z"]


# Passwords.


async def test_passwords_of_a_task_reach_the_worker_only(
    world: World, clock: MovableClock
) -> None:
    steps = [
        call("digest", {"path": "a", "token": "hush"}),
        call("digest", {"path": "b"}, argument_paths={"token": "secret"}),
    ]
    spec = TaskSpec(actions=steps, context=struct({"secret": "sesame", "plain": "text"}))
    shown = await apply(world, schedule(task=spec))
    assert shown.task.actions[0].arguments == struct({"path": "a", "token": None})
    assert shown.task.context == struct({"secret": None, "plain": "text"})
    shown.options.priority = 5
    shown = await apply(world, shown)
    assert shown == await get(world)
    clock.move(HOUR)
    async with stevedore(world) as worker:
        first = await worker.assigned()
        assert b"hush" in first.arguments
        await worker.complete(first)
        assert b"sesame" in (await worker.assigned()).arguments


async def test_passwords_of_a_job_are_shown_to_nobody_also_without_its_contract(
    world: World,
) -> None:
    await agree(world)
    variables = struct({"token": "hush", "plain": "text"})
    spec = JobSpec(contract="archive", action="ingest", variables=variables)
    shown = await apply(world, schedule(job=spec))
    assert shown.job.variables == struct({"token": None, "plain": "text"})
    await world.catalog.DeleteContract(pb.DeleteContractRequest(name="archive"))
    shown = await get(world)
    assert shown.job.variables == struct({"token": None, "plain": None})
    await agree(world)
    shown = await apply(world, await get(world))
    assert shown.job.variables == struct({"token": None, "plain": "text"})
    document = world.engine.catalog.current.schedules["default", "nightly"].document
    assert b"hush" in document


async def test_passwords_of_a_launch_are_shown_to_nobody(world: World) -> None:
    await publish(world, [CLEAN])
    arguments = struct({"folder": "a", "token": "hush"})
    shown = await apply(
        world, schedule(launch=LaunchSpec(service="clean", arguments=arguments))
    )
    assert shown.launch.arguments == struct({"folder": "a", "token": None})
    shown.launch.arguments.update({"folder": "b"})
    await apply(world, shown)
    document = world.engine.catalog.current.schedules["default", "nightly"].document
    assert b"hush" in document


async def test_a_password_stays_with_what_it_was_given_for(world: World) -> None:
    await publish(world, [*OFFERS, CLEAN])
    steps = [call("digest", {"path": "a", "token": "hush"})]
    shown = await apply(world, schedule(task=TaskSpec(actions=steps)))
    shown.task.service = "archive"
    await apply(world, shown)
    document = world.engine.catalog.current.schedules["default", "nightly"].document
    assert b"hush" not in document


# Refused at once.

WRONG: dict[str, tuple[pb.Schedule, dict[str, str]]] = {
    "nothing": (
        pb.Schedule(),
        {
            "schedule.name": "MISSING",
            "schedule.timing": "MISSING",
            "schedule.spec": "MISSING",
        },
    ),
    "a name with a slash": (schedule("a/b"), {"schedule.name": "INVALID"}),
    "no cron expression": (schedule(cron="every day"), {"schedule.cron": "INVALID"}),
    "seconds": (schedule(cron="0 0 * * * *"), {"schedule.cron": "INVALID"}),
    "a day that never comes": (schedule(cron="0 0 30 2 *"), {"schedule.cron": "INVALID"}),
    "a fifth Monday on the first": (
        schedule(cron="0 0 */31 * 1#5"),
        {"schedule.cron": "INVALID"},
    ),
    "a short interval": (
        schedule(interval=Duration(nanos=999_000_000)),
        {"schedule.interval": "INVALID"},
    ),
    "an interval that is none": (
        schedule(interval=Duration(seconds=1, nanos=-1)),
        {"schedule.interval": "INVALID"},
    ),
    "an unknown time zone": (
        schedule(time_zone="Mars/Base"),
        {"schedule.time_zone": "UNKNOWN"},
    ),
    "an unknown policy": (
        schedule(missed=9),
        {"schedule.missed": "INVALID"},
    ),
    "a time of its own": (
        schedule(options=options(start_time=Timestamp(seconds=1))),
        {"schedule.options.start_time": "NOT_PERMITTED"},
    ),
    "an external id": (
        schedule(job=JobSpec(contract="archive", action="ingest", external_id="1")),
        {"schedule.job.external_id": "NOT_PERMITTED"},
    ),
    "everything at once": (
        schedule(
            "",
            cron="x",
            time_zone="x",
            task=TaskSpec(actions=[call("digest", {"size": "x"}), call("a/b")]),
            options=options(priority=10, queue="longshore.x"),
        ),
        {
            "schedule.name": "MISSING",
            "schedule.time_zone": "UNKNOWN",
            "schedule.cron": "INVALID",
            "schedule.task.actions[0].arguments.size": "INVALID",
            "schedule.task.actions[0].arguments.path": "MISSING",
            "schedule.task.actions[1].action": "INVALID",
            "schedule.options.priority": "INVALID",
            "schedule.options.queue": "NOT_PERMITTED",
        },
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_everything_wrong_with_a_schedule_is_named(world: World, case: str) -> None:
    await agree(world)
    before = await world.revision()
    wrong, fields = WRONG[case]
    refusal = await refused(apply(world, wrong))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert refusal.fields == fields
    assert await world.revision() == before


UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "schedule.task.actions[0].action": (
        {"task": TaskSpec(actions=[call("to-come")])},
        "ACTION_NOT_FOUND",
    ),
    "schedule.task.service": (
        {"task": TaskSpec(service="x", actions=[call("noop")])},
        "SERVICE_NOT_FOUND",
    ),
    "schedule.task.account": (
        {
            "task": TaskSpec(
                service="archive", account="ada", actions=[call("digest", {"path": "a"})]
            )
        },
        "ACCOUNT_NOT_FOUND",
    ),
    "schedule.job.contract": (
        {"job": JobSpec(contract="x", action="ingest")},
        "CONTRACT_NOT_FOUND",
    ),
    "schedule.job.action": (
        {"job": JobSpec(contract="archive", action="x")},
        "ACTION_NOT_FOUND",
    ),
    "schedule.launch.service": ({"launch": LaunchSpec(service="x")}, "SERVICE_NOT_FOUND"),
    "schedule.options.queue": ({"options": options(queue="x")}, "QUEUE_NOT_FOUND"),
}


@pytest.mark.parametrize("field", UNKNOWN)
async def test_what_a_spec_names_must_be_there(world: World, field: str) -> None:
    await agree(world)
    before = await world.revision()
    fields, reason = UNKNOWN[field]
    refusal = await refused(apply(world, schedule(**fields)))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, reason)
    assert refusal.fields == {field: "UNKNOWN"}
    assert await world.revision() == before


LARGE: dict[str, tuple[pb.Schedule, str]] = {
    "schedule.name": (schedule("x" * 64), "LIMIT_EXCEEDED"),
    "schedule.task.actions": (
        schedule(task=TaskSpec(actions=[call("noop")] * 101)),
        "LIMIT_EXCEEDED",
    ),
    "schedule.options.labels": (
        schedule(options=options(labels={str(n): "" for n in range(65)})),
        "LIMIT_EXCEEDED",
    ),
    "schedule.task.context": (
        schedule(task=TaskSpec(actions=[call("noop")], context=struct({"a": "x" * 1_048_576}))),
        "PAYLOAD_TOO_LARGE",
    ),
}


@pytest.mark.parametrize("field", LARGE)
async def test_what_is_too_much_is_refused(world: World, field: str) -> None:
    wrong, reason = LARGE[field]
    refusal = await refused(apply(world, wrong))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, reason)
    assert refusal.fields == {field: "INVALID"}

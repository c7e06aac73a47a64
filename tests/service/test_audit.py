"""The audit log: who was denied what, and what operators and admins did; never by which secret."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from longshore.server.limits import AccessLimits
from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1 import launch_service_pb2 as launches
from longshore.v1.operation_pb2 import SERVICE_KIND_OPERATION
from longshore.v1.queue_service_pb2 import UpdateQueueRequest
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    GetStatusRequest,
    SetModeRequest,
)
from longshore.v1.task_service_pb2 import WatchTasksRequest
from tests.service.harness import (
    World,
    call,
    guarded,
    parameter,
    publish,
    refused,
    struct,
    submission,
)
from tests.service.test_schedules import schedule
from tests.tools.principals import Principals

SECRET = "hunter2"  #: What an argument says.
ID = ("x-request-id", "mine")

CLEAN = catalog.Service(
    slug="clean",
    kind=SERVICE_KIND_OPERATION,
    actions=[
        catalog.ServiceAction(
            slug="run", parameters=[parameter("token", optional=True, password=True)]
        )
    ],
)
NOOP = catalog.Service(actions=[catalog.ServiceAction(slug="noop")])


@pytest.fixture
def principals(tmp_path: Path) -> Principals:
    found = Principals(tmp_path / "principals.toml")
    found.add("ada", "admin")
    found.add("bob", "submitter")
    return found


@pytest.fixture
async def world(tmp_path: Path, principals: Principals) -> AsyncIterator[World]:
    async with guarded(tmp_path / "longshore.db", principals) as running:
        await publish(running.saying(*principals.says("ada")), [CLEAN, NOOP])
        yield running


class Log:
    """What was written while a block ran."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    @contextlib.contextmanager
    def written(self) -> Any:
        with capture_logs() as self.all:
            yield

    def told(self, event: str) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self.all if entry["event"] == event]


async def ask(world: World, *metadata: tuple[str, str]) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await world.servers.GetStatus(GetStatusRequest(), metadata=metadata)


def entry(**fields: Any) -> dict[str, Any]:
    """Return an entry about a look at the server, but for what is said of it."""
    usual = {
        "event": "denied",
        "log_level": "warning",
        "method": "/longshore.v1.ServerService/GetStatus",
        "principal": None,
        "tenant": "",
        "request_id": "mine",
        "address": "127.0.0.1",
    }
    return {**usual, **fields}


async def test_who_is_not_known_is_written_down(world: World, principals: Principals) -> None:
    log, token = Log(), principals.tokens["bob"]
    password = base64.b64encode(f"bob:{SECRET}".encode()).decode()
    shown = (f"Bearer {token[:-1]}_", f"Basic {password}", f"Bearer {token}.{SECRET}.x")
    with log.written():
        await ask(world, ID)
        for one in shown:
            await ask(world, ID, ("authorization", one), ("x-tenant-id", "north"))
    missing, *wrong = log.told("denied")
    nobody = "who is calling? there is no credential"
    assert missing == entry(reason="Unauthenticated", message=nobody)
    unknown = entry(
        reason="Unauthenticated",
        message="who is calling? the credential is wrong",
        tenant="north",
    )
    assert wrong == [unknown] * 3
    written = repr(log.all)
    for secret in (token, password, SECRET, token[15:-1]):
        assert secret not in written


async def test_who_may_not_is_written_down(world: World, principals: Principals) -> None:
    log, bob = Log(), principals.says("bob")
    principals_tenant = ("x-tenant-id", "north")
    with log.written():
        await ask(world, *bob, ID, principals_tenant)
        mode = SetModeRequest(mode=SERVER_MODE_ACTIVE)
        await refused(world.servers.SetMode(mode, metadata=(*bob, ID)))
    assert log.told("denied") == [
        entry(
            principal="bob",
            tenant="north",
            reason="TenantNotPermitted",
            message="the tenant 'north' is not yours",
        ),
        entry(
            method="/longshore.v1.ServerService/SetMode",
            principal="bob",
            reason="RoleMissing",
            message="this needs the role operator",
        ),
    ]
    assert not log.told("done")


async def test_who_asks_too_often_is_written_down(
    tmp_path: Path, principals: Principals
) -> None:
    limits = AccessLimits(calls_per_principal=0.001)
    async with guarded(tmp_path / "longshore.db", principals, limits=limits) as world:
        log, bob = Log(), principals.says("bob")
        with log.written():
            await ask(world, *bob, ID)
            await ask(world, *bob, ID)
    (told,) = log.told("denied")
    message = "more than 0.001 calls a second"
    assert told == entry(principal="bob", reason="RateLimited", message=message)


async def test_whose_stream_is_ended_is_written_down(
    world: World, principals: Principals
) -> None:
    log, bob = Log(), principals.says("bob")
    stream = world.tasks.WatchTasks(WatchTasksRequest(filter=""), metadata=(*bob, ID))
    await stream.read()
    with log.written():
        principals.remove("bob")
        await refused(stream.read())
    (told,) = log.told("denied")
    assert told == entry(
        method="/longshore.v1.TaskService/WatchTasks",
        principal="bob",
        tenant="default",
        reason="Unauthenticated",
        message="the credential has been revoked",
    )


async def test_what_operators_and_admins_do_is_written_down_and_to_what(
    world: World, principals: Principals
) -> None:
    ada = world.saying(*principals.says("ada"), ID)
    spec = launches.LaunchSpec(service="clean", arguments=struct({"token": SECRET}))
    launch = (await ada.launches.SubmitLaunch(launches.SubmitLaunchRequest(spec=spec))).launch
    template = catalog.WorkflowTemplate(name="steps", actions=[call("run", {"token": SECRET})])
    action = catalog.ContractAction(name="ingest", template=template)
    contract = catalog.Contract(name="agreed", actions=[action])
    top = launches.DIRECTION_TOP
    log = Log()
    with log.written():
        await ada.servers.SetMode(
            SetModeRequest(mode=SERVER_MODE_ACTIVE, resume_on_restart=False)
        )
        await ada.queues.UpdateQueue(UpdateQueueRequest(name="fast", paused=True))
        await ada.launches.MoveLaunches(
            launches.MoveLaunchesRequest(ids=[launch.metadata.id], direction=top)
        )
        await ada.catalog.ApplyContract(catalog.ApplyContractRequest(contract=contract))
        await ada.catalog.DeleteContract(catalog.DeleteContractRequest(name="agreed"))
        kept = schedule(launch=spec)
        await ada.catalog.ApplySchedule(catalog.ApplyScheduleRequest(schedule=kept))
        await ada.catalog.DeleteSchedule(catalog.DeleteScheduleRequest(name="nightly"))
    who = {"principal": "ada", "tenant": "default", "event": "done", "log_level": "info"}
    assert log.told("done") == [
        entry(**who, method=f"/longshore.v1.{method}", asked=asked)
        for method, asked in (
            (
                "ServerService/SetMode",
                {"mode": "SERVER_MODE_ACTIVE", "resume_on_restart": False},
            ),
            ("QueueService/UpdateQueue", {"name": "fast", "paused": True}),
            (
                "LaunchService/MoveLaunches",
                {"ids": [launch.metadata.id], "direction": "DIRECTION_TOP"},
            ),
            ("CatalogService/ApplyContract", {"contract": "agreed"}),
            ("CatalogService/DeleteContract", {"name": "agreed"}),
            ("CatalogService/ApplySchedule", {"schedule": "nightly"}),
            ("CatalogService/DeleteSchedule", {"name": "nightly"}),
        )
    ]
    assert SECRET not in repr(log.all)
    assert principals.tokens["ada"] not in repr(log.all)


async def test_what_was_refused_and_what_anybody_may_do_is_not_written_down(
    world: World, principals: Principals
) -> None:
    ada = world.saying(*principals.says("ada"))
    log = Log()
    with log.written():
        await refused(ada.servers.SetMode(SetModeRequest()))
        await refused(ada.catalog.DeleteSchedule(catalog.DeleteScheduleRequest(name="none")))
        await ada.submit(submission())
        await ask(ada)
    assert not log.told("done")
    assert not log.told("denied")

"""The server itself: status, catalog, health, reflection, and what is registered."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from typing import Any

import pytest
from google.longrunning import operations_proto_pb2
from google.protobuf import descriptor_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from longshore.v1 import operation_pb2 as pb
from longshore.v1.catalog_service_pb2 import GetServiceRequest, ListServicesRequest
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    SERVER_MODE_SUSPENDED,
    SERVER_STATUS_ACTIVE,
    SERVER_STATUS_INACTIVE,
    SERVER_STATUS_SHUTDOWN_IN_PROGRESS,
    GetCallerRequest,
    GetStatusRequest,
    SetModeRequest,
)
from tests.service.harness import OFFERS, World, publish, refused, stevedore, submission

SERVED = {
    "CatalogService": {
        "ApplyContract",
        "ApplySchedule",
        "DeleteContract",
        "DeleteSchedule",
        "DeregisterAccount",
        "GetContract",
        "GetSchedule",
        "GetService",
        "ListAccounts",
        "ListContracts",
        "ListSchedules",
        "ListServices",
        "RegisterAccount",
    },
    "FileService": {"DeleteFile", "DownloadFile", "GetFile", "UploadFile"},
    "JobService": {
        "CancelJob",
        "GetJob",
        "ListJobs",
        "MoveJob",
        "ResubmitJob",
        "ResumeJob",
        "RunJob",
        "SubmitJob",
        "SuspendJob",
        "WatchJobs",
    },
    "LaunchService": {
        "CancelLaunch",
        "DownloadLaunchFiles",
        "GetLaunch",
        "GetLaunchQueue",
        "ListLaunches",
        "MoveLaunches",
        "ResubmitLaunch",
        "ResumeLaunch",
        "RunLaunch",
        "SubmitLaunch",
        "SuspendLaunch",
        "WatchLaunches",
    },
    "OperationService": {"ExplainOperation", "GetHistory", "GetOperation", "WatchOperations"},
    "QueueService": {"ListQueues", "UpdateQueue"},
    "ServerService": {"GetCaller", "GetStatus", "SetMode"},
    "TaskService": {
        "AcknowledgeResults",
        "BatchGetTasks",
        "BatchSubmitTasks",
        "CancelTask",
        "FetchTaskResult",
        "GetTask",
        "ListTasks",
        "ResubmitTask",
        "ResumeTask",
        "RunTask",
        "StreamResults",
        "SubmitTask",
        "SuspendTask",
        "WatchTasks",
    },
    "WorkerService": {"ListWorkers", "Work"},
    "google.longrunning.Operations": {
        "CancelOperation",
        "DeleteOperation",
        "GetOperation",
        "ListOperations",
        "WaitOperation",
    },
}


def full_name(service: str) -> str:
    """Return the name of a service with its package, which is left out above if it is ours."""
    return service if "." in service else f"longshore.v1.{service}"


_GENERIC = operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"]

FILES = ("catalog", "file", "job", "launch", "operation", "queue", "server", "task", "worker")


def methods() -> list[str]:
    """Return all methods of the contract, as SERVICE/METHOD."""
    modules = [importlib.import_module(f"longshore.v1.{name}_service_pb2") for name in FILES]
    services = [
        one for module in modules for one in module.DESCRIPTOR.services_by_name.values()
    ]
    return [
        *[f"{one.name}/{method.name}" for one in services for method in one.methods],
        *[f"{_GENERIC.full_name}/{method.name}" for method in _GENERIC.methods],
    ]


@pytest.mark.parametrize("method", methods())
async def test_every_method_is_served(world: World, method: str) -> None:
    service, _, name = method.partition("/")
    assert name in SERVED[service]
    channel: Any = world.channel
    stream = channel.stream_stream(f"/{full_name(service)}/{name}")()
    with contextlib.suppress(AioRpcError):
        await stream.write(b"\xff")  # which no method can read
    assert await stream.code() == StatusCode.INVALID_ARGUMENT


async def test_the_status_counts_and_tells_the_mode(world: World) -> None:
    async with stevedore(world) as worker:
        await world.submit(submission())
        await worker.run_next()
    await world.submit(submission())
    status = await world.servers.GetStatus(GetStatusRequest())
    assert (status.service, status.status) == ("longshore", SERVER_STATUS_ACTIVE)
    assert status.version == importlib.metadata.version("longshore")
    assert (status.mode, status.resume_on_restart) == (SERVER_MODE_ACTIVE, True)
    counts = {(one.kind, one.state): one.count for one in status.counts}
    assert counts == {
        (pb.KIND_TASK, pb.STATE_SUCCEEDED): 1,
        (pb.KIND_TASK, pb.STATE_QUEUED): 1,
    }


async def test_a_suspended_server_takes_work_and_starts_none(world: World) -> None:
    async with stevedore(world) as worker:
        request = SetModeRequest(mode=SERVER_MODE_SUSPENDED, resume_on_restart=False)
        response = await world.servers.SetMode(request)
        assert (response.mode, response.resume_on_restart) == (SERVER_MODE_SUSPENDED, False)
        task = await world.submit(submission())
        status = await world.servers.GetStatus(GetStatusRequest())
        assert status.status == SERVER_STATUS_INACTIVE
        assert (await world.get(task.metadata.id)).status.state == pb.STATE_QUEUED
        await world.servers.SetMode(SetModeRequest(mode=SERVER_MODE_ACTIVE))
        await worker.run_next()
    refusal = await refused(world.servers.SetMode(SetModeRequest()))
    assert refusal.fields == {"mode": "MISSING"}


async def test_a_caller_may_do_everything_where_nobody_is_configured(world: World) -> None:
    asked = world.servers.GetCaller(GetCallerRequest(), metadata=(("x-tenant-id", "north"),))
    caller = await asked
    assert (caller.principal, list(caller.tenants)) == ("anonymous", ["north"])
    assert caller.stream == "anonymous"
    assert "admin" in caller.roles


async def test_services_are_shown_after_their_workers_have_left(world: World) -> None:
    await publish(world)
    services = (await world.catalog.ListServices(ListServicesRequest())).services
    assert [one.slug for one in services] == ["", "archive"]
    one = await world.catalog.GetService(GetServiceRequest(slug="archive"))
    assert one.service == OFFERS[1]
    refusal = await refused(world.catalog.GetService(GetServiceRequest(slug="bakery")))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    none = await world.catalog.ListServices(ListServicesRequest(kind=pb.SERVICE_KIND_RULESET))
    assert not none.services


async def test_health_is_told_per_service_and_ends_with_draining(world: World) -> None:
    stub: Any = health_pb2_grpc.HealthStub(world.channel)
    for name in ("", *map(full_name, SERVED)):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    await world.server.retire()
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_a_server_that_is_about_to_stop_says_so_and_takes_what_comes(
    world: World,
) -> None:
    await world.server.retire()
    status = await world.servers.GetStatus(GetStatusRequest())
    assert status.status == SERVER_STATUS_SHUTDOWN_IN_PROGRESS
    await publish(world)
    await world.submit(submission())


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_the_contract(world: World, version: str) -> None:
    channel: Any = world.channel
    ask = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    stream = ask()
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {one.name for one in (await stream.read()).list_services_response.service}
    assert set(map(full_name, SERVED)) < listed
    assert {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    } < listed
    for service, place in {
        "TaskService": "longshore/v1/task_service.proto",
        "google.longrunning.Operations": "google/longrunning/operations.proto",
    }.items():
        symbol = full_name(service)
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        await stream.write(asked)
        described = (await stream.read()).file_descriptor_response.file_descriptor_proto
        files = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in described]
        assert place in {file.name for file in files}
    stream.cancel()

"""Strangers: who names what another tenant has is told that there is no such thing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from longshore.v1 import catalog_service_pb2 as catalog
from longshore.v1.job_service_pb2 import JobSpec, SubmitJobRequest
from longshore.v1.launch_service_pb2 import LaunchSpec, SubmitLaunchRequest
from tests.service.harness import (
    World,
    call,
    publish,
    refused,
    serving,
    submission,
    upload,
)
from tests.service.test_nothing_is_internal import BASES, CLEAN, METHODS

NORTH = (("x-tenant-id", "north"),)

#: Fields that name a single thing, whatever it is.
NAMES = frozenset({"file_id", "id", "ids", "name", "slug", "username"})
#: Methods that make what they name, or name no thing that anybody has.
MAKING = frozenset({"ListOperations", "RegisterAccount", "UpdateQueue"})


class Things(NamedTuple):
    """What the tenant `default` has, by the kind of operation and by name."""

    world: World
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def things(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Things]:
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    async with serving(store) as world:
        service = catalog.Service(slug="archive", actions=[catalog.ServiceAction(slug="noop")])
        await publish(world, [service, CLEAN])
        contract: Any = BASES["Contract"]
        await world.catalog.ApplyContract(catalog.ApplyContractRequest(contract=contract))
        schedule = catalog.Schedule(name="archive", cron="0 0 1 1 *", task=submission().spec)
        await world.catalog.ApplySchedule(catalog.ApplyScheduleRequest(schedule=schedule))
        await world.catalog.RegisterAccount(
            catalog.RegisterAccountRequest(service="archive", username="ada")
        )
        task = await world.submit(submission(call("noop")))
        job = await world.jobs.SubmitJob(
            SubmitJobRequest(spec=JobSpec(contract="archive", action="ingest"))
        )
        launch = await world.launches.SubmitLaunch(
            SubmitLaunchRequest(spec=LaunchSpec(service="clean"))
        )
        yield Things(
            world,
            {
                "Task": task.metadata.id,
                "Job": job.job.metadata.id,
                "Launch": launch.launch.metadata.id,
                "File": (await upload(world, b"a")).file_id,
            },
        )


def naming(method: MethodDescriptor) -> list[FieldDescriptor]:
    return [one for one in method.input_type.fields if one.name in NAMES]


def kind_of(path: str) -> str:
    kinds = ("File", "Job", "Launch")
    return next((kind for kind in kinds if path.startswith(kind)), "Task")


def request_for(path: str, ids: dict[str, str]) -> Message:
    """Return a request that names what the other tenant has, and is otherwise right."""
    request: Any = GetMessageClass(METHODS[path].input_type)()
    own = ids[kind_of(path)]
    fill: dict[str, Any] = {
        "id": own,
        "file_id": own,
        "name": "archive",
        "slug": "archive",
        "service": "archive",
        "username": "ada",
        "queue": "default",
        "direction": 1,
    }
    for field in request.DESCRIPTOR.fields:
        if field.name == "ids":
            request.ids.append(own)
        elif field.name in fill and field.message_type is None:
            setattr(request, field.name, fill[field.name])
    if path.startswith("google.longrunning."):
        request.name = f"operations/{own}"
    return request  # type: ignore[no-any-return]


async def ask(things: Things, path: str, request: Message) -> list[Any]:
    """Make a call as the tenant `north` and return the answers; of a watch the first."""
    method, channel = METHODS[path], things.world.channel
    read = GetMessageClass(method.output_type).FromString
    place = f"/{method.containing_service.full_name}/{method.name}"
    write = type(request).SerializeToString
    if not method.server_streaming:
        return [await channel.unary_unary(place, write, read)(request, metadata=NORTH)]
    stream: Any = channel.unary_stream(place, write, read)(request, metadata=NORTH)
    first = await stream.read()
    if first is grpc.aio.EOF or stream.done():
        assert await stream.code() == StatusCode.OK
    stream.cancel()
    return [first]


NAMED = [
    path
    for path, method in METHODS.items()
    if naming(method) and method.name not in MAKING and method.name != "BatchGetTasks"
]


@pytest.mark.parametrize("path", NAMED)
async def test_what_another_tenant_has_is_not_found(things: Things, path: str) -> None:
    before = await things.world.revision()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(things, path, request_for(path, things.ids))
    assert caught.value.code() == StatusCode.NOT_FOUND, caught.value.details()
    assert await things.world.revision() == before


async def test_a_file_of_another_tenant_cannot_be_replaced(things: Things) -> None:
    refusal = await refused(
        upload(things.world, b"b", file_id=things.ids["File"], tenant="north")
    )
    assert refusal.reason == "FILE_NOT_FOUND"
    assert refusal.fields == {"header.file_id": "UNKNOWN"}


LISTS = [
    path
    for path, method in METHODS.items()
    if method.name.startswith(("List", "Watch", "BatchGet")) or method.name == "GetLaunchQueue"
]


@pytest.mark.parametrize("path", LISTS)
async def test_lists_and_watches_show_nothing_of_another_tenant(
    things: Things, path: str
) -> None:
    request: Any = GetMessageClass(METHODS[path].input_type)()
    if path.endswith("BatchGetTasks"):
        request.ids.extend(things.ids.values())
    elif path.endswith("ListOperations"):
        request.name = "operations"
    for answer in await ask(things, path, request):
        if path.endswith("BatchGetTasks"):
            answer.ClearField("unknown_ids")  # As they were asked for.
        told = str(answer)
        assert not any(one in told for one in (*things.ids.values(), "archive", "clean", "ada"))

"""Roles: every call is let in for those whom the table names, and for nobody else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode
from grpc_reflection.v1alpha import reflection_pb2

from longshore.core.principals import IMPLIED, Role
from longshore.server.gate import Gate
from longshore.server.limits import DEFAULT
from longshore.server.methods import handlers_of
from longshore.server.reflection import Reflection
from longshore.server.roles import NEEDED, REFLECTION
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.file_service_pb2 import DownloadFileRequest
from longshore.v1.server_service_pb2 import GetCallerRequest, GetCallerResponse
from tests.service.harness import (
    Refusal,
    World,
    guarded,
    refused,
    save,
    stevedore,
    submission,
    upload,
)
from tests.tools.principals import Principals, Said

HEALTH = ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"]
GET_CALLER = "/longshore.v1.ServerService/GetCaller"

#: What somebody is told who was let in and then said nothing that can be read.
LET_IN = (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
UNKNOWN = (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
LACKING = (StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


@pytest.fixture(scope="module")
def principals(tmp_path_factory: pytest.TempPathFactory) -> Principals:
    """One principal for each role, who has its name."""
    found = Principals(tmp_path_factory.mktemp("access") / "principals.toml")
    for role in Role:
        found.add(role.value, role.value)
    return found


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, principals: Principals
) -> AsyncIterator[World]:
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    how = Reflection.KNOWN
    async with guarded(store, principals, patient=True, reflection=how) as running:
        yield running


async def said_to(world: World, path: str, metadata: Said) -> Refusal:
    """Call with what no method can read, and return what that is told."""
    channel: Any = world.channel
    try:
        # In one piece, as what is refused while it is being sent may fail on this side first.
        await channel.unary_unary(path)(b"\xff", metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return Refusal(error)
    raise AssertionError(f"{path} was answered")


async def told(world: World, path: str, metadata: Said) -> tuple[StatusCode, str]:
    refusal = await said_to(world, path, metadata)
    return refusal.code, refusal.reason


def methods_of(services: list[str]) -> set[str]:
    """Return all methods that services describe, as calls name them."""
    return {
        f"/{service}/{method.name}"
        for service in services
        for method in Default().FindServiceByName(service).methods
    }


async def served_by(world: World, metadata: Said) -> list[str]:
    """Return the names of all services that are registered."""
    channel: Any = world.channel
    stream = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )(metadata=metadata)
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = (await stream.read()).list_services_response.service
    stream.cancel()
    return [one.name for one in listed]


async def test_the_table_has_every_method_that_is_served_and_no_other(
    world: World, principals: Principals
) -> None:
    services = await served_by(world, principals.says("viewer"))
    assert len(services) == 13
    # The library that tells of health lacks one.
    (lacking,) = methods_of(services) ^ set(NEEDED)
    assert lacking == "/grpc.health.v1.Health/List"
    channel: Any = world.channel
    assert await channel.stream_stream(lacking)().code() == StatusCode.UNIMPLEMENTED


class Unlisted:
    """Serves a method that is in no table."""

    SERVICE: ClassVar[str] = "longshore.tests.Unlisted"

    async def Surprise(self, request: Empty, call: object) -> Empty:
        return request


def test_a_server_with_a_method_that_the_table_lacks_does_not_start() -> None:
    described = FileDescriptorProto(name="unlisted.proto", package="longshore.tests")
    described.dependency.append("google/protobuf/empty.proto")
    empty = ".google.protobuf.Empty"
    service = described.service.add(name="Unlisted")
    service.method.add(name="Surprise", input_type=empty, output_type=empty)
    Default().AddSerializedFile(described.SerializeToString())
    gate = Gate(None, DEFAULT, certificates=False, reflection_is_open=True)
    with pytest.raises(KeyError, match="Surprise"):
        handlers_of(Unlisted(), gate, nothing_new)


async def nothing_new() -> bool:
    return False


@pytest.mark.parametrize("path", sorted(NEEDED))
async def test_each_role_is_let_in_as_the_table_says(
    world: World, principals: Principals, path: str
) -> None:
    needed = NEEDED[path]
    for role in Role:
        expected = LET_IN if not needed or not IMPLIED[role].isdisjoint(needed) else LACKING
        assert await told(world, path, principals.says(role)) == expected, role
    wrong = principals.says("admin")[0][1]
    for shown in (
        (),
        (("authorization", f"{wrong[:-1]}_"),),
        (("authorization", wrong.removeprefix("Bearer ")),),
        (("authorization", ""),),
    ):
        assert await told(world, path, shown) == (UNKNOWN if needed else LET_IN), shown


async def test_who_lacks_a_role_is_told_which(world: World, principals: Principals) -> None:
    path = "/longshore.v1.CatalogService/ApplyContract"
    refusal = await said_to(world, path, principals.says("operator"))
    assert refusal.metadata == {"role": "admin"}
    assert refusal.message == "this needs the role admin"


def test_roles_imply_what_those_need_who_have_them() -> None:
    assert {role: set(implied) for role, implied in IMPLIED.items()} == {
        Role.VIEWER: {"viewer"},
        Role.SUBMITTER: {"submitter", "viewer"},
        Role.WORKER: {"worker"},
        Role.OPERATOR: {"operator", "submitter", "viewer"},
        Role.ADMIN: {"admin", "operator", "submitter", "viewer", "worker"},
    }


def test_reads_are_for_viewers_and_what_changes_something_is_not() -> None:
    reads = ("Get", "List", "Watch", "BatchGet", "Explain", "Download", "Fetch", "Wait")
    for path, needed in NEEDED.items():
        name = path.rpartition("/")[2]
        if path in HEALTH:
            assert not needed
        elif path in REFLECTION or path == GET_CALLER:
            assert set(needed) == set(Role)
        else:
            assert (Role.VIEWER in needed) == name.startswith(reads), path
    assert NEEDED["/longshore.v1.TaskService/AcknowledgeResults"] == (Role.SUBMITTER,)


@pytest.mark.parametrize("role", Role)
async def test_whoever_is_known_is_told_who_it_is(
    world: World, principals: Principals, role: Role
) -> None:
    ask = world.saying(*principals.says(role)).servers.GetCaller
    caller: GetCallerResponse = await ask(GetCallerRequest())
    assert caller.principal == role
    assert set(caller.roles) == IMPLIED[role]
    assert list(caller.tenants) == ["default"]
    assert caller.stream == role
    assert list(caller.actions) == ["*"]


@pytest.mark.parametrize("path", sorted(REFLECTION))
@pytest.mark.parametrize("how", Reflection)
async def test_reflection_is_for_anybody_for_the_known_or_for_nobody(
    tmp_path: Path, principals: Principals, path: str, how: Reflection
) -> None:
    async with guarded(tmp_path / "longshore.db", principals, reflection=how) as world:
        channel: Any = world.channel
        codes: list[StatusCode] = []
        for metadata in ((), principals.says("worker")):
            stream = channel.stream_stream(path)(metadata=metadata)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stream.write(b"\xff")
            codes.append(await stream.code())
    assert (
        codes
        == {
            Reflection.OPEN: [StatusCode.INVALID_ARGUMENT] * 2,
            Reflection.KNOWN: [StatusCode.UNAUTHENTICATED, StatusCode.INVALID_ARGUMENT],
            Reflection.OFF: [StatusCode.UNIMPLEMENTED] * 2,
        }[how]
    )


async def test_who_works_saves_what_work_makes_and_who_submits_brings_its_own(
    world: World, principals: Principals
) -> None:
    submitter = world.saying(*principals.says("submitter"))
    worker = world.saying(*principals.says("worker"))
    assert (await upload(submitter, b"a")).size == 1
    refusal = await refused(upload(worker, b"a"))
    assert (refusal.reason, refusal.metadata) == ("ROLE_MISSING", {"role": "submitter"})

    async with stevedore(worker) as hand:
        await submitter.submit(submission())
        assignment = await hand.assigned()
        refusal = await refused(save(submitter, assignment, "a.txt", b"a"))
        assert (refusal.reason, refusal.metadata) == ("ROLE_MISSING", {"role": "worker"})
        made = await save(worker, assignment, "a.txt", b"a")
        await hand.complete(assignment)
    for reader in (submitter, worker):
        assert await downloaded(reader, made.file_id) == b"a"


async def test_only_the_principal_that_holds_a_lease_makes_files_under_it(
    world: World, principals: Principals
) -> None:
    submitter = world.saying(*principals.says("submitter"))
    worker = world.saying(*principals.says("worker"))
    other = world.saying(*principals.says("admin"))  # Who may do a worker's work as well.
    async with stevedore(worker) as hand:
        await submitter.submit(submission())
        assignment = await hand.assigned()
        refusal = await refused(save(other, assignment, "a.txt", b"a"))
        assert (refusal.code, refusal.reason) == (StatusCode.ABORTED, "LEASE_LOST")
        assert (await save(worker, assignment, "a.txt", b"a")).path == "a.txt"
        await hand.complete(assignment)


async def test_a_session_is_taken_up_by_its_own_principal_only(
    world: World, principals: Principals
) -> None:
    worker = world.saying(*principals.says("worker"))
    other = world.saying(*principals.says("admin"))
    async with stevedore(worker) as hand:
        await world.saying(*principals.says("submitter")).submit(submission())
        assignment = await hand.assigned()
        secret = hand.welcome.session_id
        # A stranger is welcomed as with a secret that nobody has: to a session of its own.
        async with stevedore(other, session_id=secret) as stranger:
            assert (stranger.welcome.epoch, stranger.welcome.session_id) == (1, secret)
        await hand.complete(assignment)
        async with stevedore(worker, session_id=secret) as again:
            assert again.welcome.epoch == 2


async def downloaded(world: World, file_id: str) -> bytes:
    stream = world.files.DownloadFile(DownloadFileRequest(file_id=file_id))
    return b"".join([message.data async for message in stream])


async def test_a_viewer_sees_a_result_and_does_not_consume_it(
    world: World, principals: Principals
) -> None:
    task = await world.saying(*principals.says("submitter")).submit(submission())
    viewer = world.saying(*principals.says("viewer"))
    assert (await viewer.get(task.metadata.id)).metadata.submitter == "submitter"
    request = tasks.AcknowledgeResultsRequest(ids=[task.metadata.id])
    assert (await refused(viewer.tasks.AcknowledgeResults(request))).reason == "ROLE_MISSING"
    ask = viewer.tasks.CancelTask(tasks.CancelTaskRequest(id=task.metadata.id))
    assert (await refused(ask)).reason == "ROLE_MISSING"

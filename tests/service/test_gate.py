"""The gate: who may not go on is ended, who asks too much is told when to come again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_proto_pb2 as longrunning
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from longshore.access.jwts import LEEWAY
from longshore.core.limits import MIB
from longshore.server.limits import AccessLimits
from longshore.server.tls import Tls
from longshore.v1 import task_service_pb2 as tasks
from longshore.v1.file_service_pb2 import DownloadFileRequest, FileHeader, UploadFileRequest
from longshore.v1.operation_service_pb2 import WatchOperationsRequest
from longshore.v1.server_service_pb2 import GetCallerRequest, GetStatusRequest
from longshore.v1.worker_service_pb2 import Hello, WorkRequest
from tests.service.harness import (
    OFFERS,
    PATIENCE_SECONDS,
    Refusal,
    World,
    guarded,
    publish,
    refused,
    stevedore,
    submission,
)
from tests.service.harness import upload as upload_file
from tests.tools import wire
from tests.tools.certificates import Authority
from tests.tools.issuer import Signer, key_set
from tests.tools.principals import Principals
from tests.tools.wire import Kind


class Open:
    """A stream that is open, whatever it is, and how it ends."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    async def end(self) -> Refusal:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await refused(self._rest())

    async def _rest(self) -> None:
        if not hasattr(self.stream, "read"):
            await self.stream
            return
        while await self.stream.read() is not grpc.aio.EOF:
            pass


Opening = Callable[[World], Awaitable[Open]]


async def task_of(world: World) -> str:
    """Return the id of a task that waits."""
    return (await world.submit(submission())).metadata.id


async def watch(world: World) -> Open:
    stream = world.tasks.WatchTasks(tasks.WatchTasksRequest(filter=""))
    await stream.read()
    return Open(stream)


async def watch_of_one(world: World) -> Open:
    request = WatchOperationsRequest(ids=[await task_of(world)])
    stream = world.operations.WatchOperations(request)
    await stream.read()
    return Open(stream)


async def run(world: World) -> Open:
    stream = world.tasks.RunTask(tasks.RunTaskRequest(spec=submission().spec))
    await stream.read()
    return Open(stream)


async def channel(world: World) -> Open:
    name = (await world.servers.GetCaller(GetCallerRequest())).principal
    request = tasks.StreamResultsRequest(stream=name)
    revision = await world.revision()
    stream = world.tasks.StreamResults(request)
    while await world.revision() == revision:  # Taking a stream over is an event.
        await asyncio.sleep(0.01)
    return Open(stream)


async def work(world: World) -> Open:
    stream = world.workers.Work()
    await stream.write(WorkRequest(hello=Hello(worker="hand", services=OFFERS, slots=1)))
    await stream.read()
    return Open(stream)


async def upload(world: World) -> Open:
    stream = world.files.UploadFile()
    await stream.write(UploadFileRequest(header=FileHeader(path="a"), data=b"a"))
    return Open(stream)


async def wait(world: World) -> Open:
    untyped: Any = world.channel
    generic = untyped.unary_unary(
        "/google.longrunning.Operations/WaitOperation",
        longrunning.WaitOperationRequest.SerializeToString,
    )
    name = f"operations/{await task_of(world)}"
    request = longrunning.WaitOperationRequest(name=name, timeout=Duration(seconds=600))
    return Open(generic(request))


OPENINGS: tuple[Opening, ...] = (
    watch,
    watch_of_one,
    run,
    channel,
    work,
    upload,
    wait,
)


@pytest.fixture
def principals(tmp_path: Path) -> Principals:
    return Principals(tmp_path / "principals.toml")


@pytest.fixture
async def world(tmp_path: Path, principals: Principals) -> AsyncIterator[World]:
    """A server for `ada`, who may do everything, and for `bob`."""
    principals.add("ada")
    principals.add("bob")
    async with guarded(tmp_path / "longshore.db", principals) as running:
        await publish(running.saying(*principals.says("bob")))
        yield running


@pytest.mark.parametrize("opening", OPENINGS)
async def test_who_is_revoked_is_ended_and_the_others_are_not(
    world: World, principals: Principals, opening: Opening
) -> None:
    ada, bob = (world.saying(*principals.says(name)) for name in ("ada", "bob"))
    theirs = [await watch(bob), await opening(ada)]
    principals.remove("ada")
    refusal = await theirs[1].end()
    assert (refusal.code, refusal.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert (await refused(ada.servers.GetCaller(GetCallerRequest()))).code == refusal.code
    await task_of(bob)
    assert (await theirs[0].stream.read()).changes


class Wall:
    """The time by which credentials expire, which a test moves on."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def move(self, seconds: float) -> None:
        self._ahead += seconds

    def time(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    """The clock on the wall, as the gate sees it."""
    clock = Wall()
    monkeypatch.setattr("longshore.server.gate.time", clock)
    return clock


async def test_who_shows_a_token_that_expires_is_ended_then(
    tmp_path: Path, principals: Principals, wall: Wall
) -> None:
    now = datetime.now(UTC)
    bob = principals.add("bob")
    cleo, dora = (
        principals.add(name, expires=now + timedelta(hours=hours))
        for name, hours in (("cleo", 3), ("dora", 1))
    )
    async with guarded(tmp_path / "longshore.db", principals, wall=wall.time) as world:
        await publish(world.saying(*bob))
        theirs = [await opening(world.saying(*cleo)) for opening in OPENINGS]
        witness = await watch(world.saying(*dora))
        wall.move(2 * 3_600)
        assert (await witness.end()).code == StatusCode.UNAUTHENTICATED
        assert not any(one.stream.done() for one in theirs)  # All were looked at.
        wall.move(2 * 3_600)
        for one in theirs:
            assert (await one.end()).code == StatusCode.UNAUTHENTICATED
        assert await is_unknown(world.saying(*cleo))


async def is_unknown(world: World) -> bool:
    try:
        await world.servers.GetCaller(GetCallerRequest())
    except grpc.aio.AioRpcError as error:
        return error.code() == StatusCode.UNAUTHENTICATED
    return False


async def test_who_shows_a_signed_token_is_ended_when_it_expires_and_when_its_key_is_gone(
    tmp_path: Path, principals: Principals, wall: Wall
) -> None:
    signer, other = Signer(), Signer("two")
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(signer))
    principals.trust("corp", keys="keys.json", roles={"users": "submitter"})
    async with guarded(tmp_path / "longshore.db", principals, wall=wall.time) as world:

        def saying(seconds: float) -> World:
            shown = signer.sign(exp=time.time() + seconds - LEEWAY)
            return world.saying(("authorization", f"Bearer {shown}"))

        brief, long = await watch(saying(600)), await watch(saying(6_000))
        wall.move(1_200)
        assert (await brief.end()).code == StatusCode.UNAUTHENTICATED
        assert not long.stream.done()
        keys.write_bytes(key_set(other))
        assert (await long.end()).code == StatusCode.UNAUTHENTICATED


async def test_another_token_in_the_place_of_one_ends_who_shows_the_old_one(
    world: World, principals: Principals
) -> None:
    theirs = await watch(world.saying(*principals.says("ada")))
    principals.renew("ada")
    assert (await theirs.end()).code == StatusCode.UNAUTHENTICATED


NEEDED: dict[Opening, tuple[str, str]] = {
    watch: ("viewer", "worker"),
    channel: ("submitter", "viewer"),
    work: ("worker", "submitter"),
    upload: ("submitter", "worker"),
    wait: ("viewer", "worker"),
}


@pytest.mark.parametrize("opening", NEEDED)
async def test_who_loses_the_role_that_a_stream_needs_is_ended(
    world: World, principals: Principals, opening: Opening
) -> None:
    ada = world.saying(*principals.says("ada"))
    theirs = await opening(ada)
    role, other = NEEDED[opening]
    principals.change("ada", roles=[other])
    refusal = await theirs.end()
    assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert refusal.metadata == {"role": role}


async def test_a_role_that_was_lost_before_it_was_needed_is_missing(
    world: World, principals: Principals
) -> None:
    ada = world.saying(*principals.says("ada"))
    stream = ada.files.UploadFile()  # It has not said whether as a worker.
    witness = await watch(ada)
    principals.change("ada", roles=["worker"])
    await witness.end()  # Both were looked at.
    await stream.write(UploadFileRequest(header=FileHeader(path="a"), data=b"a"))
    refusal = await Open(stream).end()
    assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert refusal.metadata == {"role": "submitter"}


async def test_what_a_changed_role_still_allows_goes_on(
    world: World, principals: Principals
) -> None:
    ada, bob = (world.saying(*principals.says(name)) for name in ("ada", "bob"))
    theirs, witness = await watch(ada), await work(ada)
    principals.change("ada", roles=["viewer"])
    await witness.end()  # Both were looked at.
    await task_of(bob)
    assert (await theirs.stream.read()).changes


async def test_who_loses_the_role_of_a_worker_saves_nothing_more(
    world: World, principals: Principals
) -> None:
    ada = world.saying(*principals.says("ada"))
    async with stevedore(world.saying(*principals.says("bob"))) as hand:
        await task_of(ada)
        assignment = await hand.assigned()
        stream = ada.files.UploadFile()
        header = FileHeader(
            path="a", number=assignment.number, lease_token=assignment.lease_token
        )
        await stream.write(UploadFileRequest(header=header))
        principals.change("ada", roles=["submitter"])
        refusal = await Open(stream).end()
        assert refusal.metadata == {"role": "worker"}


async def test_who_loses_a_tenant_is_ended(world: World, principals: Principals) -> None:
    theirs = await watch(world.saying(*principals.says("ada")))
    principals.change("ada", tenants=["south"])
    refusal = await theirs.end()
    assert (refusal.code, refusal.reason) == (
        StatusCode.PERMISSION_DENIED,
        "TENANT_NOT_PERMITTED",
    )


@pytest.mark.parametrize(
    "change", [{"queues": ["fast"]}, {"actions": ["archive/*"]}, {"tenants": ["default", "*"]}]
)
async def test_a_worker_whose_grants_have_changed_has_to_come_again(
    world: World, principals: Principals, change: dict[str, Any]
) -> None:
    theirs = await work(world.saying(*principals.says("ada")))
    principals.change("ada", **change)
    refusal = await theirs.end()
    assert refusal.message == "what you may do has changed: come again"


async def test_a_listener_whose_stream_has_another_id_has_to_come_again(
    world: World, principals: Principals
) -> None:
    ada = world.saying(*principals.says("ada"))
    theirs = await channel(ada)
    principals.change("ada", stream="0f6d")
    assert (await theirs.end()).message == "what you may do has changed: come again"


async def test_a_reader_who_does_not_read_is_ended_before_it_is_told_anything_more(
    world: World, principals: Principals
) -> None:
    said, bob = principals.says("ada"), world.saying(*principals.says("bob"))
    watching = tasks.WatchTasksRequest(filter="").SerializeToString()
    hello = wire.PREFACE + wire.frame(Kind.SETTINGS, wire.NO_WINDOW)
    path = "/longshore.v1.TaskService/WatchTasks"
    before = await task_of(bob)
    async with wire.wired(
        world.server.address, hello, wire.call(path, 1, said), wire.message(watching)
    ) as [one]:
        await one.settled()
        await one.until(Kind.HEADERS, stream=1)
        witness = await watch(world.saying(*said))
        principals.remove("ada")
        await witness.end()
        after = await task_of(bob)
        one.send(wire.frame(Kind.WINDOW_UPDATE, (1_000_000).to_bytes(4), stream=1))
        await one.until(Kind.HEADERS, stream=1, flags=wire.END_STREAM)
    read = b"".join(found.payload for found in one.frames if found.kind == Kind.DATA)
    assert before.encode() in read
    assert after.encode() not in read


def limited(**limits: Any) -> dict[str, Any]:
    return {"limits": AccessLimits(**limits)}


async def status(world: World, *metadata: tuple[str, str]) -> Refusal | None:
    """Ask how the server is; return how that was refused."""
    try:
        await world.servers.GetStatus(GetStatusRequest(), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return Refusal(error)
    return None


async def retry_after(world: World) -> float:
    """Call until it is too often; return the seconds to wait, as the refusal says."""
    while True:
        try:
            await world.servers.GetStatus(GetStatusRequest())
        except grpc.aio.AioRpcError as error:
            refusal = Refusal(error)
            assert (refusal.code, refusal.reason) == (
                StatusCode.RESOURCE_EXHAUSTED,
                "RATE_LIMITED",
            )
            return seconds_in(error)


def seconds_in(error: grpc.aio.AioRpcError) -> float:
    trailing: dict[str, Any] = dict(error.trailing_metadata() or ())
    info = RetryInfo()
    details = Status.FromString(trailing["grpc-status-details-bin"]).details
    assert any(detail.Unpack(info) for detail in details)
    return float(info.retry_delay.ToNanoseconds()) / 1e9


async def test_a_principal_that_calls_too_often_is_told_when_it_may_again(
    tmp_path: Path, principals: Principals
) -> None:
    principals.add("ada")
    principals.add("bob")
    limits = limited(calls_per_principal=2)
    async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
        ada, bob = (world.saying(*principals.says(name)) for name in ("ada", "bob"))
        wait = await retry_after(ada)
        assert 0 < wait <= 0.51
        assert await status(bob) is None
        await asyncio.sleep(wait + 0.001)
        assert await status(ada) is None


async def test_an_address_that_calls_too_often_is_told_when_it_may_again(
    tmp_path: Path, principals: Principals
) -> None:
    principals.add("ada")
    limits = limited(calls_per_address=2)
    async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
        ada = world.saying(*principals.says("ada"))
        wait = await retry_after(ada)
        assert 0 < wait <= 0.51
        await asyncio.sleep(wait + 0.001)
        assert await status(ada) is None


async def test_strangers_of_an_address_that_calls_too_often_are_no_better_off(
    tmp_path: Path, principals: Principals
) -> None:
    principals.add("ada")
    limits = limited(calls_per_address=0.001)
    async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
        assert await status(world, *principals.says("ada")) is None
        stub: Any = health_pb2_grpc.HealthStub(world.channel)
        refusal = await refused(stub.Check(health_pb2.HealthCheckRequest()))
        assert refusal.reason == "RATE_LIMITED"


async def test_a_principal_has_so_many_streams_and_no_more(
    tmp_path: Path, principals: Principals
) -> None:
    principals.add("ada")
    principals.add("bob")
    limits = limited(streams_per_principal=len(OPENINGS))
    async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
        ada, bob = (world.saying(*principals.says(name)) for name in ("ada", "bob"))
        await publish(bob)
        theirs = [await opening(ada) for opening in OPENINGS]
        for one in (await unread(ada), *[await blind(ada) for _ in range(2)]):
            refusal = await one.end()
            assert (refusal.code, refusal.reason) == (
                StatusCode.RESOURCE_EXHAUSTED,
                "RATE_LIMITED",
            )
            assert refusal.metadata == {"limit": "7", "unit": "stream"}
        assert await status(ada) is None
        await watch(bob)
        theirs[0].stream.cancel()
        await comes_to_have_room(ada, 1)


async def unread(world: World) -> Open:
    return Open(world.tasks.WatchTasks(tasks.WatchTasksRequest(filter="")))


async def blind(world: World) -> Open:
    return Open(world.files.UploadFile())


async def comes_to_have_room(world: World, count: int) -> list[Open]:
    """Open so many watches, as soon as there is room for them, and see that it is no more."""
    opened: list[Open] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(opened) < count:
            with suppress(grpc.aio.AioRpcError):
                opened.append(await watch(world))
    with pytest.raises(grpc.aio.AioRpcError, match="streams at once"):
        await watch(world)
    return opened


async def test_a_certificate_says_who_calls_unless_the_call_says_it_itself(
    tmp_path: Path, principals: Principals
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("press.example.org", subject="press")
    principals.add("press", "submitter", certificates=["press.example.org"])
    principals.add("ada")
    tls = Tls(*authority.issue("localhost"), authority.ca)
    shown = grpc.ssl_channel_credentials(
        authority.ca.read_bytes(), pair.key.read_bytes(), pair.certificate.read_bytes()
    )
    async with guarded(tmp_path / "longshore.db", principals, tls=tls) as served:
        address = f"localhost:{served.server.address.rpartition(':')[2]}"
        async with grpc.aio.secure_channel(address, shown) as connection:
            world = served.over(connection)
            caller = await world.servers.GetCaller(GetCallerRequest())
            assert (caller.principal, list(caller.roles)) == ("press", ["viewer", "submitter"])
            ada = world.saying(*principals.says("ada"))
            assert (await ada.servers.GetCaller(GetCallerRequest())).principal == "ada"
            wrong = world.saying(("authorization", "Bearer lsk_x_y"))
            assert await is_unknown(wrong)
            theirs = await watch(world)
            principals.change("press", certificates=["other.example.org"])
            assert (await theirs.end()).code == StatusCode.UNAUTHENTICATED
            assert await is_unknown(world)
            assert not await is_unknown(ada)


#: A connection that is shared with no other channel.
OWN = (("grpc.use_local_subchannel_pool", 1),)

Ending = Callable[["Guest", Principals], Awaitable[None]]


class Guest:
    """Somebody with a connection of its own."""

    def __init__(self, world: World, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.world = World(world.engine, world.server, channel)
        self.streams: list[Open] = []


async def leave(guest: Guest, _principals: Principals) -> None:
    for one in guest.streams:
        one.stream.cancel()


async def hang_up(guest: Guest, _principals: Principals) -> None:
    await guest.channel.close()


async def be_revoked(guest: Guest, principals: Principals) -> None:
    principals.renew("ada")
    for one in guest.streams:
        await one.end()


@pytest.mark.parametrize("ending", [leave, hang_up, be_revoked])
@pytest.mark.parametrize("opening", OPENINGS)
async def test_streams_that_have_ended_are_not_counted(
    tmp_path: Path, principals: Principals, opening: Opening, ending: Ending
) -> None:
    principals.add("ada")
    principals.add("bob")
    limits = limited(streams_per_principal=2)
    async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
        await publish(world.saying(*principals.says("bob")))
        with capture_logs() as logs:
            async with grpc.aio.insecure_channel(world.server.address, OWN) as connection:
                guest = Guest(world, connection)
                ada = guest.world.saying(*principals.says("ada"))
                guest.streams = [await opening(ada), await opening(ada)]
                await ending(guest, principals)
            await comes_to_have_room(world.saying(*principals.says("ada")), 2)
    assert not [entry for entry in logs if entry["event"] == "internal_error"]


async def test_readers_that_die_while_they_are_written_to_are_nobodys_fault(
    tmp_path: Path, principals: Principals, caplog: pytest.LogCaptureFixture
) -> None:
    said = principals.add("ada")
    limits = limited(streams_per_principal=30)
    with capture_logs() as logs:
        async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
            ada = world.saying(*said)
            file = await upload_file(ada, *[b"x" * MIB] * 20)
            path = "/longshore.v1.FileService/DownloadFile"
            asked = DownloadFileRequest(file_id=file.file_id).SerializeToString()
            call = (wire.HELLO, wire.call(path, 1, said), wire.message(asked))
            for _ in range(30):
                async with wire.wired(world.server.address, *call) as [one]:
                    await one.until(Kind.DATA, stream=1)
                    one.cut()
            await comes_to_have_room(ada, 30)
    assert not [entry for entry in logs if entry["event"] == "internal_error"]
    assert not caplog.records


async def test_streams_that_were_refused_are_not_counted(
    tmp_path: Path, principals: Principals
) -> None:
    principals.add("ada")
    async with guarded(
        tmp_path / "longshore.db", principals, **limited(streams_per_principal=2)
    ) as world:
        ada = world.saying(*principals.says("ada"))
        for _ in range(3):
            nowhere = tasks.WatchTasksRequest(ids=["nowhere"])
            refusal = await refused(ada.tasks.WatchTasks(nowhere).read())
            assert refusal.code == StatusCode.NOT_FOUND
        await comes_to_have_room(ada, 2)
        for _ in range(3):
            assert (await (await unread(ada)).end()).reason == "RATE_LIMITED"


async def test_strangers_of_an_address_have_so_many_watches_of_health(
    tmp_path: Path, principals: Principals
) -> None:
    principals.add("ada")
    limits = limited(streams_per_principal=2)
    async with guarded(tmp_path / "longshore.db", principals, **limits) as world:
        stub: Any = health_pb2_grpc.HealthStub(world.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for one in watches:
            await one.read()
        third = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await refused(third.read())).reason == "RATE_LIMITED"
        await stub.Check(health_pb2.HealthCheckRequest())
        await watch(world.saying(*principals.says("ada")))
        watches[0].cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with suppress(grpc.aio.AioRpcError):
                    await stub.Watch(health_pb2.HealthCheckRequest()).read()
                    break


async def trailing_of(world: World, *metadata: tuple[str, str | bytes]) -> tuple[str, str]:
    """Ask how the server is; return the request id of the answer and the reason of a refusal."""
    call = world.servers.GetStatus(GetStatusRequest(), metadata=metadata)
    reason = ""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        reason = Refusal(error).reason
    trailing = dict(await call.trailing_metadata())
    return trailing["x-request-id"], reason


async def test_a_request_id_comes_back_whatever_the_answer_is(
    world: World, principals: Principals
) -> None:
    said, mine = principals.says("ada"), ("x-request-id", "mine")
    assert await trailing_of(world, *said, mine) == ("mine", "")
    assert await trailing_of(world, mine) == ("mine", "UNAUTHENTICATED")
    for tenant, reason in (("north", "TENANT_NOT_PERMITTED"), ("n" * 64, "LIMIT_EXCEEDED")):
        asked = (*said, mine, ("x-tenant-id", tenant))
        assert await trailing_of(world, *asked) == ("mine", reason)
    made, _ = await trailing_of(world, *said)
    other, _ = await trailing_of(world, *said)
    assert len(made) == 36
    assert made != other


async def test_headers_that_are_too_long_are_refused(
    world: World, principals: Principals
) -> None:
    for name, limit in (("x-tenant-id", 63), ("x-request-id", 128)):
        refusal = await status(world, *principals.says("ada"), (name, "n" * (limit + 1)))
        assert refusal is not None
        assert (refusal.reason, refusal.fields) == ("LIMIT_EXCEEDED", {name: "INVALID"})
        assert refusal.metadata == {"field": name, "limit": f"{limit}", "value": f"{limit + 1}"}
    mine = "i" * 128
    assert await trailing_of(world, *principals.says("ada"), ("x-request-id", mine)) == (
        mine,
        "",
    )


@pytest.mark.parametrize("name", ["x-tenant-id", "x-request-id", "authorization"])
async def test_headers_that_are_no_text_are_refused_and_do_no_harm(
    world: World, principals: Principals, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = "/longshore.v1.ServerService/GetStatus"
    said = tuple(pair for pair in principals.says("ada") if pair[0] != name)
    with capture_logs() as logs:
        for junk in ("\u20ac", "a\nb", "\x7f", "\x00", f"{principals.says('ada')[0][1]}\udca0"):
            asked = wire.call(path, 1, (*said, (name, junk)))
            async with wire.wired(
                world.server.address, wire.HELLO, asked, wire.message(b"")
            ) as [one]:
                await ended(one)
    assert await status(world, *principals.says("ada")) is None
    assert {entry["event"] for entry in logs} <= {
        "denied",
        "call_refused",
        "authentication_failed",
    }
    for entry in logs:
        assert entry.get("request_id", "plain").isprintable()
    assert principals.tokens["ada"] not in caplog.text


async def ended(one: wire.Wire) -> None:
    """Wait until a call has its trailers, or the server has closed the connection for it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not one.closed and not any(
            found.stream == 1
            and (found.kind == Kind.RST_STREAM or found.flags & wire.END_STREAM)
            for found in one.frames
        ):
            await asyncio.sleep(0.01)


async def test_junk_in_other_headers_is_nobodys_business(
    world: World, principals: Principals
) -> None:
    junk: tuple[tuple[str, str | bytes], ...] = (
        ("authorization-bin", b"\x00\xff"),
        ("x-tenant-id-bin", b"\xff" * 100),
        ("x-request-id-bin", b""),
        ("junk", "j" * 1_000),
        ("junk", "k"),
    )
    request_id, reason = await trailing_of(world, *principals.says("ada"), *junk)
    assert (len(request_id), reason) == (36, "")


async def test_who_shows_two_credentials_is_nobody(
    world: World, principals: Principals
) -> None:
    ada, bob = principals.says("ada"), principals.says("bob")
    for shown in ((*ada, *bob), (*ada, *ada), (*ada, ("authorization", ""))):
        refusal = await status(world, *shown)
        assert refusal is not None
        assert refusal.reason == "UNAUTHENTICATED"
        assert refusal.message == "there is more than one credential"
    twice = (("x-tenant-id", "default"), ("x-tenant-id", "default"))
    assert await status(world, *ada, *twice) is None

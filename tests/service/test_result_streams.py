"""Result streams: every result to its consumer, in order, whole, until it is acknowledged."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple, cast

import grpc
import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.core.access import Identity
from longshore.core.callers import Caller
from longshore.core.changes import Compact, Delete
from longshore.core.limits import MIB
from longshore.core.principals import ANONYMOUS
from longshore.core.store import Channel
from longshore.engine.clock import MovableClock
from longshore.engine.settings import EngineSettings
from longshore.server.directory import Directory
from longshore.server.gate import Call
from longshore.server.messages import Messages
from longshore.server.result_streams import ResultStreams
from longshore.v1 import operation_pb2 as pb
from longshore.v1.server_service_pb2 import GetCallerRequest
from longshore.v1.task_service_pb2 import (
    AcknowledgeResultsRequest,
    CancelTaskRequest,
    StreamResultsRequest,
    StreamResultsResponse,
    Task,
)
from tests.service.harness import (
    PATIENCE_SECONDS,
    Stevedore,
    World,
    call,
    options,
    publish,
    refused,
    save,
    serving,
    stevedore,
    submission,
)

CHANNEL = options(delivery=pb.DELIVERY_MODE_CHANNEL)


class Result(NamedTuple):
    """A result that has arrived whole."""

    task: Task
    revision: int
    content_type: str
    data: bytes
    chunks: int

    @property
    def id(self) -> str:
        return self.task.metadata.id


class Listening:
    """A stream of results, read result by result."""

    def __init__(
        self,
        world: World,
        stream: str = "anonymous",
        after_revision: int | None = None,
        tenant: str = "default",
    ) -> None:
        request = StreamResultsRequest(stream=stream, after_revision=after_revision)
        metadata = (("x-tenant-id", tenant),)
        self.stream = world.tasks.StreamResults(request, metadata=metadata)

    async def message(self) -> StreamResultsResponse:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self.stream.read()
        assert isinstance(message, StreamResultsResponse), "the stream ended"
        return message

    async def result(self) -> Result:
        first = message = await self.message()
        data = message.data
        if first.total_chunks:
            assert first.chunk == 1
        for chunk in range(2, first.total_chunks + 1):
            assert len(message.data) == first.chunk_size == MIB
            message = await self.message()
            said = (message.chunk, message.total_chunks, message.chunk_size, message.revision)
            assert said == (chunk, first.total_chunks, MIB, first.revision)
            assert (message.task, message.content_type) == (first.task, "")
            data += message.data
        assert not first.end
        return Result(first.task, first.revision, first.content_type, data, first.total_chunks)

    async def results(self, count: int) -> list[str]:
        """Return the ids of the next results."""
        return [(await self.result()).id for _ in range(count)]

    async def refusal(self) -> Any:
        return await refused(self._to_the_end())

    async def _to_the_end(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.stream.read() is not grpc.aio.EOF:
                pass

    async def leave(self) -> None:
        self.stream.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await self.stream.code() == StatusCode.CANCELLED


async def submitted(world: World, **fields: Any) -> str:
    task = await world.submit(submission(options=CHANNEL, **fields))
    return task.metadata.id


async def worked(world: World, worker: Stevedore, count: int = 1) -> list[str]:
    """Let a worker do tasks one after the other; return their ids."""
    ids: list[str] = []
    for index in range(count):
        ids.append(await submitted(world))
        await worker.run_next(index=index)
    return ids


async def arrived(world: World, ids: list[str]) -> None:
    """Wait until results are in their channel."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for task_id in ids:
            while not (await world.get(task_id)).status.HasField("end_time"):
                await asyncio.sleep(0)


async def acknowledge(world: World, *ids: str) -> None:
    await world.tasks.AcknowledgeResults(AcknowledgeResultsRequest(ids=ids))


async def test_results_come_as_their_tasks_end_in_that_order(world: World) -> None:
    listening = Listening(world)
    async with stevedore(world, slots=3) as worker:
        ids = [await submitted(world, name=f"task {index}") for index in range(3)]
        assignments = [await worker.assigned() for _ in ids]
        for index in (2, 0, 1):
            await worker.complete(assignments[index], index=index, text="é")
            result = await listening.result()
            assert result.id == ids[index]
            assert (result.content_type, result.chunks) == ("application/json", 1)
            assert result.data == f'{{"index":{index},"text":"é"}}'.encode()
            assert result.task.spec.name == f"task {index}"
            assert result.task.status.state == pb.STATE_SUCCEEDED
            assert result.task.status.delivery.state == pb.DELIVERY_STATE_COMPLETE
            assert result.task.status.revision == result.revision


async def test_a_task_is_shown_without_its_arguments_and_its_result(world: World) -> None:
    listening = Listening(world)
    async with stevedore(world) as worker:
        digest = call("digest", {"path": "here"})
        task = await world.submit(submission(digest, service="archive", options=CHANNEL))
        await worker.run_next(sum=7)
    result = await listening.result()
    assert result.id == task.metadata.id
    assert result.task.spec.actions == [call("digest")]
    assert not result.task.status.HasField("result")
    assert not result.task.status.actions[0].HasField("results")
    assert result.data == b'{"sum":7}'


async def test_what_has_failed_or_was_canceled_comes_without_data(world: World) -> None:
    listening = Listening(world)
    async with stevedore(world) as worker:
        failed = await submitted(world)
        await worker.fail(await worker.assigned(), "the crane is broken")
        nothing = await submitted(world)
        await worker.run_next()
    canceled = await submitted(world)
    await world.tasks.CancelTask(CancelTaskRequest(id=canceled))
    first = await listening.result()
    assert (first.id, first.chunks, first.data) == (failed, 0, b"")
    assert first.task.status.error.message == "the crane is broken"
    assert first.task.status.delivery.state == pb.DELIVERY_STATE_NONE
    # Which is not the same as nothing.
    second = await listening.result()
    assert (second.id, second.chunks, second.data) == (nothing, 1, b"{}")
    third = await listening.result()
    assert (third.id, third.chunks) == (canceled, 0)
    assert third.task.status.state == pb.STATE_CANCELED


async def test_a_large_result_comes_in_chunks_of_one_size(world: World) -> None:
    listening = Listening(world)
    numbers = [index + 1 / 3 for index in range(80_000)]
    async with stevedore(world) as worker:
        await submitted(world)
        await worker.run_next(numbers=numbers)
    result = await listening.result()
    assert (result.chunks, result.content_type) == (2, "application/json")
    assert json.loads(result.data) == {"numbers": numbers}


async def test_files_come_instead_of_a_result(world: World) -> None:
    listening = Listening(world)
    large = bytes(range(256)) * 10_000
    cases = {
        ("a.txt", b"short"): 1,
        ("empty", b""): 1,
        ("exact", bytes(2 * MIB)): 2,
        ("large", large): 3,
    }
    async with stevedore(world) as worker:
        for (path, data), chunks in cases.items():
            await submitted(world)
            assignment = await worker.assigned()
            await save(world, assignment, path, data)
            await worker.complete(assignment)
            result = await listening.result()
            assert (result.data, result.chunks) == (data, chunks)
            assert [file.path for file in result.task.status.files] == [path]
        await submitted(world)
        assignment = await worker.assigned()
        for path in ("b/large", "a"):
            await save(world, assignment, path, large)
        await worker.complete(assignment)
        result = await listening.result()
    assert (result.content_type, result.chunks) == ("application/zip", 5)
    with zipfile.ZipFile(io.BytesIO(result.data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "b/large": large,
            "a": large,
        }


@pytest.mark.parametrize("size", [MIB // 2, MIB, 2 * MIB])
async def test_a_damaged_file_never_arrives_whole_and_can_be_done_without(
    tmp_path: Path, size: int
) -> None:
    store = tmp_path / "longshore.db"
    async with serving(store) as world, stevedore(world) as worker:
        damaged = await submitted(world)
        assignment = await worker.assigned()
        await save(world, assignment, "damaged", b"a" * size)
        await worker.complete(assignment)
        ids = await worked(world, worker)
        await arrived(world, [damaged, *ids])
        (blob,) = (
            file for file in Path(f"{store}.files").rglob("*") if file.stat().st_size == size
        )
        blob.write_bytes(b"a" * (size - 1) + b"b")
        listening = Listening(world)
        for chunk in range(1, -(-size // MIB)):
            assert (await listening.message()).chunk == chunk
        refusal = await listening.refusal()
        assert (refusal.code, refusal.reason) == (StatusCode.DATA_LOSS, "FILE_DAMAGED")
        await acknowledge(world, damaged)
        assert await Listening(world).results(1) == ids


async def test_what_is_not_acknowledged_comes_again_and_nothing_else(world: World) -> None:
    async with stevedore(world) as worker:
        ids = await worked(world, worker, 4)
    first = Listening(world)
    assert await first.results(4) == ids
    await first.leave()
    await acknowledge(world, ids[1], ids[1])
    # Numbers name tasks too, and a repeat changes nothing.
    number = (await world.get(ids[1])).metadata.number
    revision = await world.revision()
    await acknowledge(world, str(number), ids[1])
    assert await world.revision() == revision
    await world.engine.writer.write(Delete(Caller(), number + 1))
    again = Listening(world)
    assert await again.results(2) == [ids[0], ids[3]]


def unsent(world: World) -> AsyncGenerator[bytes]:
    """Return the messages of a listener, as they are made before anything buffers them."""
    streams = ResultStreams(world.engine, Messages(Directory(world.engine.catalog)))
    call = Call(Caller(), Identity(ANONYMOUS, ""), cast("Any", None))
    return streams.listen(StreamResultsRequest(stream="anonymous"), call)


async def id_of(messages: AsyncGenerator[bytes]) -> str:
    """Return the id of the task of the next message."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return StreamResultsResponse.FromString(await anext(messages)).task.metadata.id


async def test_what_is_acknowledged_while_it_waits_to_be_sent_is_not_sent(
    world: World,
) -> None:
    async with stevedore(world) as worker:
        ids = await worked(world, worker, 5)
        await arrived(world, ids)
        async with aclosing(unsent(world)) as messages:
            assert await id_of(messages) == ids[0]
            await acknowledge(world, ids[1], ids[3])
            assert [await id_of(messages) for _ in range(2)] == [ids[2], ids[4]]
            ids = await worked(world, worker)
            assert await id_of(messages) == ids[0]


async def test_a_revision_says_what_is_known_already(world: World) -> None:
    async with stevedore(world) as worker:
        ids = await worked(world, worker, 4)
        listening = Listening(world)
        known = [await listening.result() for _ in ids][1]
        following = Listening(world, after_revision=known.revision)
        assert await following.results(2) == ids[2:]
        ids += await worked(world, worker)
        assert await following.results(1) == ids[4:]
    beginning = Listening(world, after_revision=0)
    assert await beginning.results(5) == ids


async def test_a_revision_that_cannot_be_is_refused_and_takes_nothing_over(
    world: World,
) -> None:
    listening = Listening(world)
    async with stevedore(world) as worker:
        ids = await worked(world, worker)
        assert await listening.results(1) == ids
        newest = await world.revision()
        future = await Listening(world, after_revision=newest + 1).refusal()
        assert (future.code, future.reason) == (StatusCode.OUT_OF_RANGE, "REVISION_IN_FUTURE")
        negative = await Listening(world, after_revision=-1).refusal()
        assert negative.fields == {"after_revision": "INVALID"}
        await world.engine.writer.write(Compact(before=2**62))
        await world.engine.catalog.refresh()
        gone = await Listening(world, after_revision=0).refusal()
        assert (gone.code, gone.reason) == (StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
        ids = await worked(world, worker)
        assert await listening.results(1) == ids


async def test_only_the_caller_s_own_stream_is_there(world: World) -> None:
    listening = Listening(world)
    for stream in ("ada", "", "\x00"):
        refusal = await Listening(world, stream=stream).refusal()
        assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "STREAM_NOT_FOUND")
        assert refusal.fields == {"stream": "UNKNOWN"}
    caller = await world.servers.GetCaller(GetCallerRequest())
    async with stevedore(world) as worker:
        north = Listening(world, tenant="north")
        ids = await worked(world, worker, 2)
        assert (await world.get(ids[0])).status.delivery.stream == caller.stream
        assert await listening.results(2) == ids
        # A stream of the same name in another tenant is another stream.
        async with stevedore(world, tenant="north", name="north") as northern:
            metadata = (("x-tenant-id", "north"),)
            request = submission(options=CHANNEL)
            answer = await world.tasks.SubmitTask(request, metadata=metadata)
            await northern.run_next()
            assert await north.results(1) == [answer.task.metadata.id]


async def test_a_new_listener_takes_over_and_the_old_one_is_told(world: World) -> None:
    old = Listening(world)
    async with stevedore(world) as worker:
        ids = await worked(world, worker)
        assert await old.results(1) == ids
        new = Listening(world)
        assert await new.results(1) == ids
        refusal = await old.refusal()
        assert (refusal.code, refusal.reason) == (StatusCode.ABORTED, "STREAM_TAKEN")
        assert refusal.metadata["stream"] == "anonymous"
        ids = await worked(world, worker)
        assert await new.results(1) == ids


async def test_an_old_listener_that_reads_slowly_is_told_between_chunks(world: World) -> None:
    async with stevedore(world) as worker:
        await submitted(world)
        assignment = await worker.assigned()
        await save(world, assignment, "large", bytes(3 * MIB))
        for index in range(7):
            await save(world, assignment, f"more/{index}", bytes(3 * MIB))
        await worker.complete(assignment)
    old = Listening(world)
    assert (await old.message()).chunk == 1
    new = Listening(world)
    assert (await new.result()).chunks == 25
    assert (await old.refusal()).reason == "STREAM_TAKEN"


async def test_silence_is_filled_with_heartbeats(tmp_path: Path) -> None:
    settings = EngineSettings(bookmark_seconds=0.02)
    async with serving(tmp_path / "longshore.db", settings) as world:
        listening = Listening(world)
        for _ in range(3):
            assert await listening.message() == StreamResultsResponse()
        async with stevedore(world) as worker:
            ids = await worked(world, worker)
        while not (message := await listening.message()).HasField("task"):
            assert message == StreamResultsResponse()
        assert message.task.metadata.id == ids[0]


async def test_an_old_stream_says_that_it_is_to_be_opened_again(tmp_path: Path) -> None:
    settings = EngineSettings(stream_age_seconds=0.05)
    async with serving(tmp_path / "longshore.db", settings) as world:
        listening = Listening(world)
        assert await listening.message() == StreamResultsResponse(end=pb.END_RECONNECT)
        assert await listening.stream.read() is grpc.aio.EOF
        assert await listening.stream.code() == StatusCode.OK


async def test_draining_says_so_too(world: World) -> None:
    listening = Listening(world)
    async with stevedore(world) as worker:
        ids = await worked(world, worker)
        assert await listening.results(1) == ids
    world.engine.drain()
    assert (await listening.message()).end == pb.END_RECONNECT
    assert await listening.stream.read() is grpc.aio.EOF
    late = Listening(world)
    assert (await late.message()).end == pb.END_RECONNECT


async def test_what_ended_long_ago_is_not_sent_again(tmp_path: Path) -> None:
    clock = MovableClock()
    settings = EngineSettings(resend_seconds=3_600)
    async with (
        serving(tmp_path / "longshore.db", settings, clock) as world,
        stevedore(world) as worker,
    ):
        old = await worked(world, worker, 2)
        await arrived(world, old)
        clock.move(3_600_000)
        young = await worked(world, worker)
        await arrived(world, young)
        listening = Listening(world)
        assert await listening.results(1) == young
        # Who says what it knows gets all of the rest.
        assert await Listening(world, after_revision=0).results(3) == old + young
        clock.move(3_600_000)
        none = Listening(world)
        last = await worked(world, worker)
        assert await none.results(1) == last


async def test_too_many_are_not_sent_again(tmp_path: Path) -> None:
    settings = EngineSettings(resend_results=2)
    async with (
        serving(tmp_path / "longshore.db", settings) as world,
        stevedore(world) as worker,
    ):
        ids = await worked(world, worker, 5)
        await arrived(world, ids)
        listening = Listening(world)
        assert await listening.results(2) == ids[3:]
        # To a listener who is there nothing is too much.
        ids = await worked(world, worker, 5)
        assert await listening.results(5) == ids
        assert len(await Listening(world, after_revision=0).results(10)) == 10


async def test_a_listener_who_is_gone_is_forgotten(world: World) -> None:
    listening = Listening(world)
    async with stevedore(world) as worker:
        await worked(world, worker)
    await listening.result()
    listeners = world.engine.streams._listeners  # pyright: ignore[reportPrivateUsage]
    assert len(listeners) == 1
    await listening.leave()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while listeners:
            await asyncio.sleep(0)


async def test_a_slow_listener_costs_no_memory(world: World) -> None:
    text = "x" * 100_000
    reads: list[tuple[Channel, int]] = []
    channel = world.engine.store.channel

    async def observed(asked: Channel) -> Any:
        found = await channel(asked)
        reads.append((asked, len(found)))
        return found

    world.engine.store.channel = observed  # type: ignore[method-assign]
    ids: list[str] = []
    async with stevedore(world) as worker:
        for _ in range(40):
            ids.append(await submitted(world))
            await worker.run_next(text=text)
    await arrived(world, ids)
    async with aclosing(unsent(world)) as messages:
        assert await id_of(messages) == ids[0]
        assert [count for _, count in reads] == [10]
        assert [await id_of(messages) for _ in ids[1:]] == ids[1:]
    assert [count for _, count in reads] == [10, 10, 10, 10]


async def test_acknowledging_is_all_or_nothing(world: World) -> None:
    async with stevedore(world) as worker:
        ids = await worked(world, worker, 2)
        await arrived(world, ids)
        plain = (await world.submit(submission())).metadata.id
        await worker.run_next()
        waiting = await submitted(world)
        await worker.assigned()
    unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
    cases = {
        unknown: (StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"),
        "nobody": (StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"),
        plain: (StatusCode.FAILED_PRECONDITION, "WRONG_STATE"),
        waiting: (StatusCode.FAILED_PRECONDITION, "WRONG_STATE"),
    }
    for guilty, expected in cases.items():
        refusal = await refused(acknowledge(world, *ids, guilty))
        assert (refusal.code, refusal.reason) == expected
        if refusal.code == StatusCode.NOT_FOUND:
            assert refusal.fields == {"ids": "UNKNOWN"}
    too_many = await refused(acknowledge(world, *[ids[0]] * 10_001))
    assert (too_many.reason, too_many.fields) == ("LIMIT_EXCEEDED", {"ids": "INVALID"})
    assert await Listening(world).results(2) == ids
    await acknowledge(world)
    await acknowledge(world, *ids)
    assert (await world.get(ids[0])).status.delivery.HasField("retrieve_time")


async def test_ten_thousand_are_acknowledged_in_one_call(world: World) -> None:
    async with stevedore(world) as worker:
        ids = await worked(world, worker)
    await arrived(world, ids)
    number = (await world.get(ids[0])).metadata.number
    await acknowledge(world, *ids * 9_999, str(number))
    assert (await world.get(ids[0])).status.delivery.HasField("retrieve_time")


@pytest.fixture(scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store: Path = tmp_path_factory.mktemp("store") / "longshore.db"
    async with serving(store) as world:
        await publish(world)
        yield world


@settings(max_examples=12, deadline=None)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=6),
    by_revision=st.booleans(),
)
async def test_wherever_a_stream_is_cut_every_result_arrives_whole(
    lasting: World, cuts: list[tuple[int, int]], by_revision: bool
) -> None:
    """After so many messages the stream is cut, and so many whole results acknowledged."""
    world = lasting
    data: dict[str, bytes] = {}
    async with stevedore(world) as worker:
        for index in range(8):
            task_id = await submitted(world)
            assignment = await worker.assigned()
            if index % 3 == 0:
                data[task_id] = bytes([index]) * (2 * MIB + index)
                await save(world, assignment, "large", data[task_id])
                await worker.complete(assignment)
            else:
                data[task_id] = json.dumps({"index": index}, separators=(",", ":")).encode()
                await worker.complete(assignment, index=index)
    await arrived(world, list(data))
    known: list[Result] = []
    acknowledged: set[str] = set()
    for messages, count in [*cuts, (100, 8)]:
        last = known[-1].revision if known and by_revision else None
        listening = Listening(world, after_revision=last)
        expected = [one for one in data if one not in acknowledged]
        if last is not None:
            expected = [one for one in expected if one not in {each.id for each in known}]
        got = await cut_after(listening, messages, len(expected))
        assert [one.id for one in got] == expected[: len(got)]
        known += got
        some = [one.id for one in known if one.id not in acknowledged][:count]
        await acknowledge(world, *some)
        acknowledged.update(some)
    assert all(one.data == data[one.id] for one in known)
    assert {one.id for one in known} == data.keys()
    await acknowledge(world, *data)


async def cut_after(listening: Listening, messages: int, most: int) -> list[Result]:
    """Return the results that were whole when a stream was cut after so many messages."""
    whole: list[Result] = []
    data = b""
    while messages > 0 and len(whole) < most:
        message = await listening.message()
        messages -= 1
        data = message.data if message.chunk == 1 else data + message.data
        if message.chunk == message.total_chunks:
            task, content_type = message.task, message.content_type
            whole.append(Result(task, message.revision, content_type, data, message.chunk))
    await listening.leave()
    return whole

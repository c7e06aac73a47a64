"""Results that come by a channel. The peer plays what a server does, also under faults."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as Failure
from grpc import StatusCode

from longshore.client import (
    Client,
    Damaged,
    NotFound,
    PermissionDenied,
    Result,
    Results,
    StreamTaken,
    Unavailable,
    WorkFailed,
)
from longshore.client.sync import SyncClient
from longshore.v1 import operation_pb2 as operation
from longshore.v1 import server_service_pb2 as server
from longshore.v1 import task_service_pb2 as v1
from tests.tools.proxy import Proxy

FOREVER = object()
RECONNECT = v1.StreamResultsResponse(end=operation.END_RECONNECT)
HEARTBEAT = v1.StreamResultsResponse()
MIB = 1024 * 1024

#: Long enough for a loaded machine; nothing waits for it unless something is broken.
PATIENCE_SECONDS = 45.0

Act = Sequence[Any]


def taken() -> Failure:
    found = Failure(code=10, message="another listens")
    found.details.add().Pack(ErrorInfo(reason="STREAM_TAKEN", domain="longshore.dev"))
    return found


@dataclass
class Peer:
    """Plays an act whenever a stream is opened: messages, then a status, or silence."""

    acts: list[Act] = field(default_factory=list[Act])
    opened: list[Any] = field(default_factory=list[Any])
    refusals: dict[str, StatusCode] = field(default_factory=dict[str, StatusCode])
    batches: list[list[str]] = field(default_factory=list[list[str]])
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""

    async def GetCaller(self, request: Any, context: Any) -> Any:
        return server.GetCallerResponse(principal="ada", stream="ada's")

    async def AcknowledgeResults(self, request: Any, context: Any) -> Any:
        for one in request.ids:
            if one in self.refusals:
                self.refused.set()
                await context.abort(self.refusals[one], "as the play has it")
        self.batches.append(list(request.ids))
        self.heard.set()
        return v1.AcknowledgeResultsResponse()

    async def StreamResults(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.opened.append(request)
        self.streaming.set()
        for step in self.acts.pop(0):
            if isinstance(step, StatusCode):
                await context.abort(step, "as the play has it")
            elif isinstance(step, Failure):
                details = (("grpc-status-details-bin", step.SerializeToString()),)
                await context.abort(StatusCode.ABORTED, step.message, details)
            elif step is FOREVER:
                await asyncio.Event().wait()
            else:
                yield step

    @property
    def acknowledged(self) -> list[str]:
        return list(itertools.chain(*self.batches))

    @property
    def resumed_after(self) -> list[int | None]:
        return [
            one.after_revision if one.HasField("after_revision") else None
            for one in self.opened
        ]


def _encode(answer: Message) -> bytes:
    return answer.SerializeToString()


def _handlers(peer: Peer) -> list[grpc.GenericRpcHandler]:
    results: dict[str, Any] = {
        "AcknowledgeResults": grpc.unary_unary_rpc_method_handler(
            peer.AcknowledgeResults, v1.AcknowledgeResultsRequest.FromString, _encode
        ),
        "StreamResults": grpc.unary_stream_rpc_method_handler(
            peer.StreamResults, v1.StreamResultsRequest.FromString, _encode
        ),
    }
    caller = grpc.unary_unary_rpc_method_handler(
        peer.GetCaller, server.GetCallerRequest.FromString, _encode
    )
    return [
        grpc.method_handlers_generic_handler("longshore.v1.TaskService", results),
        grpc.method_handlers_generic_handler(
            "longshore.v1.ServerService", {"GetCaller": caller}
        ),
    ]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    listening = grpc.aio.server()
    listening.add_generic_rpc_handlers(_handlers(peer))
    peer.address = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"
    await listening.start()
    yield peer
    await listening.stop(0)


@pytest.fixture
async def client(peer: Peer) -> AsyncIterator[Client]:
    async with Client(peer.address, timeout=PATIENCE_SECONDS) as client:
        yield client


def task(number: int, **status: Any) -> v1.Task:
    return v1.Task(
        metadata=operation.Metadata(id=f"t-{number}", number=number),
        status=operation.Status(state=operation.STATE_SUCCEEDED, **status),
    )


def whole(*numbers: int) -> list[v1.StreamResultsResponse]:
    """Return results of one chunk each, whose revisions are their numbers times ten."""
    return [one for number in numbers for one in chunks(number, b"{}")]


def chunks(
    number: int, data: bytes, size: int = MIB, content_type: str = "application/json"
) -> list[v1.StreamResultsResponse]:
    """Return a result in chunks."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    return [
        v1.StreamResultsResponse(
            revision=number * 10,
            task=task(number),
            chunk=chunk,
            total_chunks=len(pieces),
            chunk_size=size,
            data=piece,
            content_type=content_type if chunk == 1 else "",
        )
        for chunk, piece in enumerate(pieces, 1)
    ]


async def take(results: Results, count: int) -> list[Result]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await anext(results) for _ in range(count)]


def revisions(results: Sequence[Result]) -> list[int]:
    return [one.revision for one in results]


async def test_results_come_as_their_tasks_end(peer: Peer, client: Client) -> None:
    failed = v1.Task(
        metadata=operation.Metadata(id="t-2", number=2),
        status=operation.Status(
            state=operation.STATE_FAILED, error=Failure(code=13, message="no room")
        ),
    )
    peer.acts = [
        [
            HEARTBEAT,
            *chunks(1, b'{"n": 1}'),
            v1.StreamResultsResponse(revision=20, task=failed),
            HEARTBEAT,
            *chunks(3, b"", content_type="text/plain"),
            FOREVER,
        ]
    ]
    async with client.tasks.results("north") as results:
        first, second, third = await take(results, 3)
    assert (first.task, first.revision, first.data) == (task(1), 10, b'{"n": 1}')
    assert first.content_type == "application/json"
    assert first.error is None
    assert first.open().read() == b'{"n": 1}'
    assert (second.task, second.data, second.content_type) == (failed, b"", "")
    assert isinstance(second.error, WorkFailed)
    assert (third.data, third.content_type) == (b"", "text/plain")
    assert results.revision == 30
    assert peer.opened == [v1.StreamResultsRequest(stream="north")]


async def test_without_a_name_the_stream_is_the_callers_own(peer: Peer, client: Client) -> None:
    peer.acts = [[*whole(1), RECONNECT], [*whole(2), FOREVER]]
    async with client.tasks.results() as results:
        await take(results, 2)
    assert [one.stream for one in peer.opened] == ["ada's", "ada's"]


async def test_a_result_is_acknowledged_when_the_next_is_asked_for(
    peer: Peer, client: Client
) -> None:
    peer.acts = [[*whole(1, 2), FOREVER]]
    async with client.tasks.results() as results:
        await take(results, 1)
        assert peer.batches == []
        await take(results, 1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await peer.heard.wait()
        assert peer.acknowledged == ["t-1"]
    assert peer.acknowledged == ["t-1"]


async def test_many_results_are_acknowledged_at_once_and_all_before_it_is_closed(
    peer: Peer, client: Client
) -> None:
    peer.acts = [[*whole(*range(2_502)), FOREVER]]
    time = asyncio.get_running_loop().time
    start = time()
    async with client.tasks.results() as results:
        await take(results, 2_502)
    assert peer.acknowledged == [f"t-{number}" for number in range(2_501)]
    assert max(map(len, peer.batches)) <= 1_000
    # Those that are not full are a tenth of a second apart, however fast this machine is.
    assert len(peer.batches) < 10 + 10 * (time() - start)


async def test_results_that_are_not_to_be_acknowledged_are_not(
    peer: Peer, client: Client
) -> None:
    peer.acts = [[*whole(1, 2), FOREVER]]
    async with client.tasks.results(acknowledge=False) as results:
        await take(results, 2)
    assert peer.batches == []


@pytest.mark.parametrize("end", [RECONNECT, StatusCode.UNAVAILABLE, StatusCode.INTERNAL])
async def test_a_stream_is_opened_again_and_nothing_comes_twice(
    end: Any, peer: Peer, client: Client
) -> None:
    peer.acts = [[*whole(1, 2), end], [*whole(2, 3), end], [*whole(3, 4), FOREVER]]
    async with client.tasks.results() as results:
        assert revisions(await take(results, 4)) == [10, 20, 30, 40]
    assert peer.resumed_after == [None, None, None]


@pytest.mark.parametrize("after, acknowledge", [(None, False), (5, False), (5, True)])
async def test_what_follows_a_revision_is_followed(
    after: int | None, acknowledge: bool, peer: Peer, client: Client
) -> None:
    peer.acts = [[RECONNECT], [*whole(1, 2), RECONNECT], [*whole(3), FOREVER]]
    found = client.tasks.results(after_revision=after, acknowledge=acknowledge)
    async with found as results:
        assert revisions(await take(results, 3)) == [10, 20, 30]
    assert peer.resumed_after == [after, after, 20]


async def test_a_broken_connection_is_made_again(peer: Peer) -> None:
    peer.acts = [[*whole(1), FOREVER], [*whole(1, 2), FOREVER]]
    async with (
        Proxy(peer.address) as proxy,
        Client(proxy.address, timeout=PATIENCE_SECONDS) as client,
        client.tasks.results() as results,
    ):
        await take(results, 1)
        proxy.cut()
        assert revisions(await take(results, 1)) == [20]
    assert peer.acknowledged == ["t-1"]


async def test_silence_is_a_broken_stream(
    peer: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.client.reopening._SILENCE_SECONDS", 0.2)
    # Where all is slow, also one that is about to speak is taken for silent.
    peer.acts = [[*whole(1), FOREVER], *([*whole(1, 2), FOREVER] for _ in range(100))]
    async with client.tasks.results() as results:
        assert revisions(await take(results, 2)) == [10, 20]
    assert len(peer.opened) > 1


async def test_a_stream_that_another_takes_over_is_not_taken_back(
    peer: Peer, client: Client
) -> None:
    peer.acts = [[*whole(1), taken()]]
    async with client.tasks.results() as results:
        await take(results, 1)
        with pytest.raises(StreamTaken, match="another listens"):
            await anext(results)
    assert len(peer.opened) == 1


@pytest.mark.parametrize(
    "code, kind", [(StatusCode.NOT_FOUND, NotFound), (StatusCode.DATA_LOSS, Damaged)]
)
async def test_refusals_are_raised(
    code: StatusCode, kind: type[Exception], peer: Peer, client: Client
) -> None:
    peer.acts = [[code]]
    with pytest.raises(kind):
        await anext(client.tasks.results("missing"))


async def test_where_no_server_ever_was_nobody_waits_for_ever() -> None:
    async with Client("127.0.0.1:1", timeout=0.2) as client:
        with pytest.raises(Unavailable):
            await anext(client.tasks.results())


@pytest.mark.parametrize("size", [1_000, 3 * MIB, 9 * MIB])
async def test_large_results_are_put_together(size: int, peer: Peer, client: Client) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    pieces = chunks(1, data, size=max(size // 10, 1), content_type="application/zip")
    peer.acts = [[*pieces[:3], HEARTBEAT, *pieces[3:], *chunks(2, data[::-1], 777_777)]]
    peer.acts[0] = [*peer.acts[0], FOREVER]
    async with client.tasks.results() as results:
        first, second = await take(results, 2)
    assert first.data == data
    assert first.data == data
    assert first.content_type == "application/zip"
    with first.open() as one, second.open() as other:
        assert one.read(100) == data[:100]
        assert other.read() == data[::-1]


async def test_a_result_that_breaks_off_begins_anew(peer: Peer, client: Client) -> None:
    pieces = chunks(1, bytes(range(10)), size=3)
    peer.acts = [[*pieces[:3], StatusCode.UNAVAILABLE], [*pieces, FOREVER]]
    async with client.tasks.results() as results:
        (found,) = await take(results, 1)
    assert found.data == bytes(range(10))


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([1], id="the first is missing"),
        pytest.param([0, 2], id="one in the middle is missing"),
        pytest.param([0, 0], id="one comes twice"),
        pytest.param([0, 4], id="another result comes before it is whole"),
        pytest.param([5], id="one is too short"),
    ],
)
async def test_a_result_with_a_gap_is_damaged(
    order: list[int], peer: Peer, client: Client
) -> None:
    pieces = [*chunks(1, bytes(range(10)), size=3), *chunks(2, b"x", size=3)]
    short = v1.StreamResultsResponse()
    short.CopyFrom(pieces[0])
    short.data = b"x"
    said = [*pieces, short]
    peer.acts = [[said[index] for index in order] + [FOREVER], [*pieces, FOREVER]]
    async with client.tasks.results() as results:
        with pytest.raises(Damaged, match="of the result of t-"):
            await anext(results)
        assert [one.data for one in await take(results, 2)] == [bytes(range(10)), b"x"]


async def test_one_that_cannot_be_acknowledged_does_not_hold_up_the_others(
    peer: Peer, client: Client
) -> None:
    peer.refusals = {"t-2": StatusCode.NOT_FOUND, "t-4": StatusCode.FAILED_PRECONDITION}
    peer.acts = [[*whole(*range(1, 7)), FOREVER]]
    async with client.tasks.results() as results:
        await take(results, 6)
    assert sorted(peer.acknowledged) == ["t-1", "t-3", "t-5"]


async def refusal_heard(results: Results) -> None:
    """Wait until an acknowledgement that was refused is known to be."""
    within: Any = results
    await asyncio.wait({within._acknowledgements._sending})


async def test_whoever_may_not_acknowledge_is_told(peer: Peer, client: Client) -> None:
    peer.refusals = {"t-1": StatusCode.PERMISSION_DENIED}
    peer.acts = [[*whole(1, 2), FOREVER]]
    async with client.tasks.results() as results:
        await take(results, 2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await peer.refused.wait()
            await refusal_heard(results)
        with pytest.raises(PermissionDenied):
            await anext(results)


async def test_a_result_that_was_waited_for_in_vain_comes_later(
    peer: Peer, client: Client
) -> None:
    peer.acts = [[FOREVER], [*whole(1), FOREVER]]
    async with client.tasks.results() as results:
        waiting = asyncio.ensure_future(anext(results))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await peer.streaming.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.1)
        assert revisions(await take(results, 1)) == [10]


async def test_results_that_are_closed_end(peer: Peer, client: Client) -> None:
    peer.acts = [[*whole(1), FOREVER]]
    async with client.tasks.results() as results:
        await take(results, 1)
        waiting = asyncio.ensure_future(anext(results, None))
        await asyncio.sleep(0)
    assert await waiting is None
    assert [one async for one in results] == []
    assert peer.acknowledged == ["t-1"]


async def test_code_that_does_not_await_listens_as_well(peer: Peer) -> None:
    peer.acts = [[*whole(1, 2, 3), FOREVER]]

    def heard() -> list[int]:
        with (
            SyncClient(peer.address, timeout=PATIENCE_SECONDS) as client,
            client.tasks.results() as results,
        ):
            return [next(results).revision for _ in range(3)]

    assert await asyncio.to_thread(heard) == [10, 20, 30]
    assert peer.acknowledged == ["t-1", "t-2"]

"""Watches that outlive their streams. The peer plays what a server does only under faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from longshore.client import (
    AlreadyExists,
    CallError,
    Client,
    NotFound,
    OutOfRange,
    Unavailable,
    Watch,
)
from longshore.v1 import task_service_pb2 as v1
from longshore.v1.operation_pb2 import (
    END_DONE,
    END_RECONNECT,
    STATE_SUCCEEDED,
    Event,
    Metadata,
    Status,
)
from tests.tools.proxy import Proxy

FOREVER = object()

Act = Sequence[Any]


@dataclass
class Peer:
    """Plays an act whenever a stream is opened: messages, then a status, or silence."""

    watches: list[Act] = field(default_factory=list[Act])
    runs: list[Act] = field(default_factory=list[Act])
    submits: list[Any] = field(default_factory=list[Any])
    asked: list[Any] = field(default_factory=list[Any])
    address: str = ""

    async def WatchTasks(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        async for message in self._play(self.watches.pop(0), context):
            yield message

    async def RunTask(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        async for message in self._play(self.runs.pop(0), context):
            yield message

    async def SubmitTask(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        answer = self.submits.pop(0)
        if isinstance(answer, StatusCode):
            await context.abort(answer, "as the play has it")
        return answer

    async def _play(self, act: Act, context: Any) -> AsyncIterator[Any]:
        for step in act:
            if isinstance(step, StatusCode):
                await context.abort(step, "as the play has it")
            elif step is FOREVER:
                await asyncio.Event().wait()
            else:
                yield step

    @property
    def resumed_after(self) -> list[int | None]:
        return [
            one.after_revision if one.HasField("after_revision") else None
            for one in self.asked
            if isinstance(one, v1.WatchTasksRequest)
        ]


def handlers(peer: Peer) -> grpc.GenericRpcHandler:
    submit: Any = grpc.unary_unary_rpc_method_handler(
        peer.SubmitTask,
        v1.SubmitTaskRequest.FromString,
        v1.SubmitTaskResponse.SerializeToString,
    )
    run: Any = grpc.unary_stream_rpc_method_handler(
        peer.RunTask, v1.RunTaskRequest.FromString, v1.RunTaskResponse.SerializeToString
    )
    watch: Any = grpc.unary_stream_rpc_method_handler(
        peer.WatchTasks,
        v1.WatchTasksRequest.FromString,
        v1.WatchTasksResponse.SerializeToString,
    )
    methods = {"SubmitTask": submit, "RunTask": run, "WatchTasks": watch}
    return grpc.method_handlers_generic_handler("longshore.v1.TaskService", methods)


@asynccontextmanager
async def serving(peer: Peer) -> AsyncGenerator[Peer]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([handlers(peer)])
    peer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield peer
    finally:
        await server.stop(None)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serving(Peer()) as peer:
        yield peer


@pytest.fixture
async def client(peer: Peer) -> AsyncIterator[Client]:
    async with Client(peer.address, tenant="north", metadata={"x-who": "ada"}) as client:
        yield client


def happened(*revisions: int, upto: int | None = None, **more: Any) -> v1.WatchTasksResponse:
    changes = [v1.TaskChange(event=Event(revision=one)) for one in revisions]
    return v1.WatchTasksResponse(changes=changes, revision=upto, **more)


def stands(task_id: str, upto: int | None = None, **more: Any) -> v1.WatchTasksResponse:
    change = v1.TaskChange(task=v1.Task(metadata=Metadata(id=task_id)))
    return v1.WatchTasksResponse(changes=[change], revision=upto, **more)


DONE = v1.WatchTasksResponse(end=END_DONE)


async def revisions(watch: Watch[v1.TaskChange]) -> list[int]:
    return [change.event.revision async for change in watch]


@pytest.mark.parametrize(
    "end",
    [
        StatusCode.UNAVAILABLE,
        StatusCode.CANCELLED,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.ABORTED,
        StatusCode.DEADLINE_EXCEEDED,
        v1.WatchTasksResponse(end=END_RECONNECT),
        None,
    ],
    ids=str,
)
async def test_a_watch_goes_on_after_the_last_revision_whatever_ends_its_stream(
    peer: Peer, client: Client, end: object
) -> None:
    peer.watches = [
        [happened(3, 5, upto=6), *([end] if end else [])],
        [happened(7, upto=7, end=END_DONE)],
    ]
    assert await revisions(client.tasks.watch(after_revision=2)) == [3, 5, 7]
    assert peer.resumed_after == [2, 6]


@pytest.mark.parametrize(
    "code",
    [StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.INTERNAL, StatusCode.UNKNOWN],
    ids=str,
)
async def test_a_stream_that_breaks_before_its_first_message_is_opened_again(
    peer: Peer, client: Client, code: StatusCode
) -> None:
    peer.watches = [[code], [code], [happened(1, upto=1, end=END_DONE)]]
    assert await revisions(client.tasks.watch(after_revision=0)) == [1]
    assert peer.resumed_after == [0, 0, 0]


@pytest.mark.parametrize(
    "code",
    [
        StatusCode.ALREADY_EXISTS,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.OUT_OF_RANGE,
        StatusCode.PERMISSION_DENIED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.UNIMPLEMENTED,
    ],
    ids=str,
)
async def test_a_refusal_ends_a_watch(peer: Peer, client: Client, code: StatusCode) -> None:
    peer.watches = [[happened(1, upto=1), StatusCode.UNAVAILABLE], [code]]
    watch = client.tasks.watch()
    assert (await anext(watch)).event.revision == 1
    with pytest.raises(CallError) as refused:
        await anext(watch)
    assert refused.value.code is code


async def test_a_refused_resumption_names_the_kind_of_refusal(
    peer: Peer, client: Client
) -> None:
    peer.watches = [[StatusCode.OUT_OF_RANGE], [StatusCode.NOT_FOUND]]
    with pytest.raises(OutOfRange):
        await anext(client.tasks.watch(after_revision=1))
    with pytest.raises(NotFound):
        await anext(client.tasks.watch("7"))


async def test_what_a_resumed_stream_repeats_is_told_once(peer: Peer, client: Client) -> None:
    peer.watches = [
        [happened(1, 2, 3), StatusCode.UNAVAILABLE],
        [happened(2, 3, 4, upto=4, end=END_DONE)],
    ]
    assert await revisions(client.tasks.watch(after_revision=0)) == [1, 2, 3, 4]
    assert peer.resumed_after == [0, 3]


async def test_a_present_state_cut_before_its_revision_is_told_again(
    peer: Peer, client: Client
) -> None:
    peer.watches = [
        [stands("a"), StatusCode.UNAVAILABLE],
        [stands("a"), stands("b", upto=9), happened(10, upto=10, end=END_DONE)],
    ]
    changes = [change async for change in client.tasks.watch()]
    assert [change.task.metadata.id for change in changes] == ["a", "a", "b", ""]
    assert peer.resumed_after == [None, None]


async def test_a_bookmark_moves_the_revision_without_a_change(
    peer: Peer, client: Client
) -> None:
    peer.watches = [
        [stands("a", upto=4), happened(upto=8), StatusCode.UNAVAILABLE],
        [happened(9, upto=9, end=END_DONE)],
    ]
    watch = client.tasks.watch()
    assert [change.event.revision async for change in watch] == [0, 9]
    assert peer.resumed_after == [None, 8]
    assert watch.revision == 9


async def test_the_revision_never_runs_ahead_of_what_was_handed_out(
    peer: Peer, client: Client
) -> None:
    peer.watches = [[happened(3, 5, upto=8), DONE]]
    watch = client.tasks.watch(after_revision=2)
    seen = [(change.event.revision, watch.revision) async for change in watch]
    assert seen == [(3, 3), (5, 5)]
    assert watch.revision == 8


async def test_only_streams_that_come_back_are_spread_over_time(
    peer: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.client.reopening._SPREAD_SECONDS", 1e9)
    peer.submits = [v1.SubmitTaskResponse(task=stands("7").changes[0].task)]
    peer.watches = [[stands("7", 5), DONE]]
    handle = await client.tasks.submit("scan")
    async with asyncio.timeout(20):
        assert len([change async for change in handle.watch()]) == 1


async def test_a_wait_for_a_change_can_be_given_up_and_taken_up_again(
    peer: Peer, client: Client
) -> None:
    peer.watches = [[happened(1, upto=1), FOREVER], [happened(2, upto=2, end=END_DONE)]]
    watch = client.tasks.watch(after_revision=0)
    assert (await anext(watch)).event.revision == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(watch)
    assert (await anext(watch)).event.revision == 2
    assert peer.resumed_after == [0, 1]


async def test_a_task_that_is_cancelled_while_it_watches_ends(
    peer: Peer, client: Client
) -> None:
    peer.watches = [[happened(1, upto=1), FOREVER]]
    watch = client.tasks.watch(after_revision=0)
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_closed_watch_has_no_more_changes(peer: Peer, client: Client) -> None:
    peer.watches = [[happened(1, 2, upto=2), FOREVER]]
    async with client.tasks.watch(after_revision=0) as watch:
        await anext(watch)
    assert [change async for change in watch] == []


async def test_a_watch_that_is_closed_while_it_waits_ends(peer: Peer, client: Client) -> None:
    peer.watches = [[happened(1, upto=1), FOREVER]]
    watch = client.tasks.watch(after_revision=0)
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch, None))
    await asyncio.sleep(0)
    watch.close()
    assert await waiting is None
    assert len(peer.asked) == 1


async def test_a_run_is_gone_on_with_by_a_watch_of_its_task(peer: Peer, client: Client) -> None:
    first = v1.RunTaskResponse(changes=stands("7").changes, revision=4, created=True)
    peer.runs = [[StatusCode.UNAVAILABLE], [first, StatusCode.UNAVAILABLE]]
    peer.watches = [[happened(5, upto=5, end=END_DONE)]]
    run = client.tasks.run("scan", {"path": "/x"}, include_logs=True, request_id="r-1")
    changes = [change async for change in run]
    assert changes[0].task.metadata.id == "7"
    assert changes[1].event.revision == 5
    again, once_more, watched = peer.asked
    assert again == once_more
    assert again.request_id == "r-1"
    assert (list(watched.ids), watched.after_revision) == (["7"], 4)
    assert watched.include_logs


async def test_a_run_without_a_request_id_is_never_asked_for_twice(
    peer: Peer, client: Client
) -> None:
    peer.runs = [[StatusCode.UNAVAILABLE]]
    with pytest.raises(Unavailable):
        await anext(client.tasks.run("scan", request_id=""))
    assert len(peer.asked) == 1


async def test_a_run_that_is_refused_says_so(peer: Peer, client: Client) -> None:
    peer.runs = [[StatusCode.ALREADY_EXISTS]]
    with pytest.raises(AlreadyExists):
        await anext(client.tasks.run("scan"))


async def test_a_submit_is_repeated_with_its_request_id_while_nobody_is_available(
    peer: Peer, client: Client
) -> None:
    done = v1.SubmitTaskResponse(task=v1.Task(metadata=Metadata(id="7")))
    peer.submits = [StatusCode.UNAVAILABLE, StatusCode.UNAVAILABLE, done]
    handle = await client.tasks.submit("scan", {"path": "/x"})
    assert handle.id == "7"
    assert len({request.request_id for request in peer.asked}) == 1


async def test_a_submit_without_a_request_id_is_made_once(peer: Peer, client: Client) -> None:
    peer.submits = [StatusCode.UNAVAILABLE]
    with pytest.raises(Unavailable):
        await client.tasks.submit("scan", request_id="")
    assert len(peer.asked) == 1


async def test_a_client_gives_up_after_its_timeout_when_nobody_is_there(
    unused_tcp_port: int,
) -> None:
    async with Client(f"127.0.0.1:{unused_tcp_port}", timeout=0.3) as client:
        with pytest.raises(Unavailable):
            await client.tasks.submit("scan")
        with pytest.raises(Unavailable):
            await anext(client.tasks.watch())


async def test_connecting_fails_at_once_when_nobody_is_there(unused_tcp_port: int) -> None:
    async with Client(f"127.0.0.1:{unused_tcp_port}", timeout=600) as client:
        with pytest.raises(Unavailable):
            async with asyncio.timeout(45):
                await client.connect()


async def test_connecting_gives_up_on_a_server_that_never_answers(peer: Peer) -> None:
    async with Proxy(peer.address) as proxy:
        proxy.hush()
        async with Client(proxy.address, timeout=0.2) as client:
            with pytest.raises(Unavailable):
                await client.connect()


async def test_a_watch_survives_a_cut_connection_and_a_refusing_server(peer: Peer) -> None:
    peer.watches = [
        [happened(1, upto=1), FOREVER],
        [happened(2, upto=2), FOREVER],
        [happened(3, upto=3, end=END_DONE)],
    ]
    async with Proxy(peer.address) as proxy, Client(proxy.address) as client:
        watch = client.tasks.watch(after_revision=0)
        assert (await anext(watch)).event.revision == 1
        proxy.cut()
        assert (await anext(watch)).event.revision == 2
        proxy.refuse()
        waiting = asyncio.ensure_future(anext(watch))
        refused = proxy.connections
        async with asyncio.timeout(45):
            while proxy.connections == refused:
                await asyncio.sleep(0.01)
        proxy.heal()
        assert (await waiting).event.revision == 3
    assert peer.resumed_after == [0, 1, 2]


async def test_watches_and_calls_go_over_channels_of_their_own(peer: Peer) -> None:
    peer.watches = [[happened(1, upto=1, end=END_DONE)]]
    peer.submits = [v1.SubmitTaskResponse(task=v1.Task(status=Status(state=STATE_SUCCEEDED)))]
    async with Proxy(peer.address) as proxy, Client(proxy.address) as client:
        await client.tasks.submit("scan")
        assert await revisions(client.tasks.watch(after_revision=0)) == [1]
        assert proxy.connections == 2

"""Several servers: any one that can be connected is asked, the next when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from grpc import ChannelConnectivity, StatusCode

from longshore.client import Client, InvalidValue, Unavailable, callers
from longshore.client.callers import Caller, split_addresses
from longshore.v1 import operation_pb2 as operation
from longshore.v1 import task_service_pb2 as tasks
from tests.tools.ports import steady_address
from tests.tools.proxy import Proxy
from tests.tools.recorder import Recorder, recorder

DONE = operation.END_DONE


@pytest.fixture(autouse=True)
def by_chance_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chance have it that servers are asked in the order in which they are named."""
    monkeypatch.setattr(callers, "in_any_order", tuple)


@pytest.fixture
async def first() -> AsyncIterator[Recorder]:
    async with recorder() as peer:
        yield peer


@pytest.fixture
async def second() -> AsyncIterator[Recorder]:
    async with recorder() as peer:
        yield peer


async def noticed(client: Client) -> None:
    """Wait until a client knows that the server which it asked last is gone."""
    within: Any = client
    servers = within._connection._calls
    await servers._opened.now()[servers._turn].wait_for_state_change(ChannelConnectivity.READY)


def happened(
    revision: int, end: operation.End.ValueType = operation.END_UNSPECIFIED
) -> tasks.WatchTasksResponse:
    change = tasks.TaskChange(event=operation.Event(revision=revision))
    return tasks.WatchTasksResponse(changes=[change], revision=revision, end=end)


def resumed_after(peer: Recorder) -> list[int]:
    return [one.after_revision for one in peer.asked]


@pytest.mark.parametrize(
    "written",
    ["a:1,b:2", " a:1 , b:2,", ["a:1", "b:2"], ("a:1", "b:2")],
    ids=str,
)
def test_servers_are_written_with_commas_or_one_by_one(written: str | list[str]) -> None:
    assert split_addresses(written) == ("a:1", "b:2")


@pytest.mark.parametrize("written", ["", " , ", []], ids=str)
def test_a_client_needs_a_server(written: str | list[str]) -> None:
    with pytest.raises(InvalidValue):
        split_addresses(written)


async def test_many_clients_spread_over_the_servers_each_stays_with_one(
    first: Recorder, second: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    servers, clients, calls = [first, second], 40, 3
    for number in range(clients):
        async with Client([first.address, second.address]) as client:
            for _ in range(calls):
                await client.tasks.get(str(number))
    met = [{request.id for request in server.asked} for server in servers]
    assert met[0].isdisjoint(met[1])
    assert len(met[0] | met[1]) == clients
    assert min(map(len, met)) >= clients // 10


def test_when_one_of_many_servers_is_gone_its_clients_spread_over_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    turns = [Caller("a:1,b:2,c:3").turns for _ in range(200)]
    assert {one[1] for one in turns if one[0] == "a:1"} == {"b:2", "c:3"}


async def test_the_first_server_is_asked_as_long_as_it_is_there(
    first: Recorder, second: Recorder
) -> None:
    async with Client([first.address, second.address]) as client:
        for _ in range(3):
            await client.tasks.get("7")
    assert (len(first.asked), len(second.asked)) == (3, 0)


async def test_a_server_that_is_not_there_is_passed_over_by_calls_and_watches(
    unused_tcp_port: int, second: Recorder
) -> None:
    second.ready = [happened(1, DONE)]
    async with Client(f"127.0.0.1:{unused_tcp_port},{second.address}") as client:
        await client.connect()
        changes = [change async for change in client.tasks.watch(after_revision=0)]
        await client.tasks.get("7")
    assert [change.event.revision for change in changes] == [1]
    assert len(second.asked) == 2


async def test_a_server_that_accepts_and_says_nothing_is_passed_over(
    first: Recorder, second: Recorder
) -> None:
    async with Proxy(first.address) as proxy:
        proxy.hush()
        async with Client([proxy.address, second.address]) as client:
            await client.tasks.get("7")
    assert (len(first.asked), len(second.asked)) == (0, 1)


async def test_the_next_server_is_asked_when_one_stops_and_kept(second: Recorder) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(recorder(steady_address()))
        async with Client([first.address, second.address]) as client:
            await client.tasks.get("1")
            await stack.aclose()
            await noticed(client)
            for number in ("2", "3"):
                await client.tasks.get(number)
            async with recorder(first.address) as again:
                await client.tasks.get("4")
                assert again.asked == []
    assert [request.id for request in first.asked] == ["1"]
    assert [request.id for request in second.asked] == ["2", "3", "4"]


async def test_when_the_second_stops_too_the_first_has_its_turn_again(
    first: Recorder,
) -> None:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(recorder())
        async with Client([first.address, second.address]) as client:
            first.ready = [StatusCode.UNAVAILABLE]
            with pytest.raises(Unavailable):
                await client.tasks.get("1")
            await client.tasks.get("2")
            await stack.aclose()
            await noticed(client)
            await client.tasks.get("3")
    assert [request.id for request in first.asked] == ["1", "3"]
    assert [request.id for request in second.asked] == ["2"]


async def test_a_submit_that_one_server_cannot_take_is_repeated_at_the_next(
    first: Recorder, second: Recorder
) -> None:
    first.ready = [StatusCode.UNAVAILABLE]
    async with Client([first.address, second.address]) as client:
        await client.tasks.submit("scan")
    assert first.asked == second.asked


async def test_of_many_calls_that_one_server_fails_none_misses_the_other(
    first: Recorder, second: Recorder
) -> None:
    first.ready = [StatusCode.UNAVAILABLE] * 20
    async with Client([first.address, second.address]) as client:
        await asyncio.gather(*(client.tasks.submit("scan") for _ in range(20)))
    assert (len(first.asked), len(second.asked)) == (20, 20)


async def test_a_watch_goes_on_at_the_next_server_after_the_last_revision(
    second: Recorder,
) -> None:
    second.ready = [happened(2), happened(3, DONE)]
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(recorder())
        first.ready = [happened(1)]
        async with Client([first.address, second.address]) as client:
            watch = client.tasks.watch(after_revision=0)
            seen = [(await anext(watch)).event.revision]
            await stack.aclose()
            seen += [change.event.revision async for change in watch]
    assert seen == [1, 2, 3]
    assert (resumed_after(first), resumed_after(second)) == ([0], [1])


async def test_a_watch_that_is_told_to_reconnect_goes_to_the_next_server(
    first: Recorder, second: Recorder
) -> None:
    first.ready = [happened(1, operation.END_RECONNECT)]
    second.ready = [happened(2, DONE)]
    async with Client([first.address, second.address]) as client:
        seen = [change.event.revision async for change in client.tasks.watch(after_revision=0)]
    assert seen == [1, 2]


async def test_a_watch_waits_for_whichever_server_is_back_first() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(recorder())
        second = await stack.enter_async_context(recorder(steady_address()))
        first.ready = [happened(1)]
        async with Client([first.address, second.address]) as client:
            watch = client.tasks.watch(after_revision=0)
            await anext(watch)
            await stack.aclose()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(watch)
            waiting = asyncio.ensure_future(anext(watch))
            async with recorder(second.address) as again:
                again.ready = [happened(2, DONE)]
                assert (await waiting).event.revision == 2


async def test_when_no_server_is_there_all_are_named(
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    ports = [unused_tcp_port_factory() for _ in range(2)]
    names = [f"127.0.0.1:{port}" for port in ports]
    async with Client(names) as client:
        with pytest.raises(Unavailable, match=" or ".join(names)):
            await client.tasks.get("7")

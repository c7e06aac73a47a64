from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import NamedTuple

import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.client import Client, NotFound, StreamTaken, Unavailable
from longshore.v1.operation_pb2 import DeliveryMode, State
from longshore.v1.task_service_pb2 import (
    FetchTaskResultRequest,
    FetchTaskResultResponse,
)
from tests.acceptance.cargo import MIB, cargo
from tests.acceptance.checkers import check_deliveries, check_everything, ends
from tests.acceptance.consignee import Consignee
from tests.acceptance.office import Office, reason_of
from tests.acceptance.processes import Dockhand, Server
from tests.acceptance.quay import Quay, log_of, until_ended
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.tools.proxy import Proxy

CHANNEL = DeliveryMode.DELIVERY_MODE_CHANNEL
STORE = DeliveryMode.DELIVERY_MODE_STORE
SUCCEEDED = State.STATE_SUCCEEDED


def weighed(task_id: str, size: int) -> dict[str, str]:
    """Return the result of the work `weigh`."""
    return {"of": task_id, "cargo": "x" * size}


async def refusal(asking: Awaitable[object]) -> str:
    """Return the reason for which a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asking
    return reason_of(refused.value)


async def fetch(office: Office, task_id: str) -> bytes:
    """Fetch a result, all of it, by the bare contract."""
    stream = office.tasks.FetchTaskResult(FetchTaskResultRequest(id=task_id))
    pieces: list[bytes] = []
    while isinstance(message := await within(stream.read(), "more"), FetchTaskResultResponse):
        pieces.append(message.data)
    return b"".join(pieces)


class Parcel(NamedTuple):
    """Work whose result is awaited: how, and how long it is; None: it fails."""

    delivery: DeliveryMode.ValueType
    size: int | None


def parcel(number: int) -> Parcel:
    size = 900_000 if number % 50 == 1 else number
    return Parcel((CHANNEL, CHANNEL, STORE)[number % 3], size if number % 10 else None)


async def submit_steadily(
    client: Client, parcels: dict[str, Parcel], enough: asyncio.Event
) -> None:
    """Submit until it is enough, so that there always is a result to come; not too little."""
    for number in itertools.count():
        if number >= 240 and enough.is_set():
            return
        one = parcel(number)
        action = "fail" if one.size is None else "weigh"
        arguments = {} if one.size is None else {"size": one.size}
        task = await client.tasks.submit(
            action, arguments, delivery=one.delivery, max_attempts=1
        )
        parcels[task.id] = one


async def check_stored(office: Office, stored: Mapping[str, Parcel]) -> None:
    """What succeeded can be fetched until it is acknowledged, what failed cannot."""
    for task_id, one in stored.items():
        if one.size is not None:
            assert json.loads(await fetch(office, task_id)) == weighed(task_id, one.size)
        else:
            assert await refusal(fetch(office, task_id)) == "WRONG_STATE"


async def test_results_come_in_order_until_they_are_acknowledged_while_servers_are_killed(
    store: Path, journal: Path
) -> None:
    rng = random.Random(17)
    parcels: dict[str, Parcel] = {}
    async with (
        Quay(store) as quay,
        Dockhand(quay.address, journal),
        Office(quay.address) as office,
    ):
        client = quay.client()
        await office.connected()
        consignee = Consignee(office, rng)
        listening = asyncio.create_task(consignee.listen())
        enough = asyncio.Event()
        submitting = asyncio.create_task(submit_steadily(client, parcels, enough))
        for _ in range(3):
            before = len(consignee.results)
            await eventually(
                lambda: listening.done() or len(consignee.results) > before,  # noqa: B023
                "a result",
            )
            # Any moment will do: here the time is the fault, not something waited for.
            await asyncio.sleep(rng.uniform(0, 0.3))
            await quay.restart()
        enough.set()
        await within(submitting, "the end of the submits")
        await until_ended(client, parcels)
        events = await log_of(client)

        check_everything(events, most_attempts=1)
        check_deliveries(events, parcels)
        ended = ends(events)
        assert {task_id for task_id, state in ended.items() if state == SUCCEEDED} == {
            task_id for task_id, one in parcels.items() if one.size is not None
        }

        by_channel = [one for one in ended if parcels[one].delivery == CHANNEL]
        await eventually(
            lambda: listening.done() or len(consignee.results) == len(by_channel), "all results"
        )
        assert not listening.done()
        assert list(consignee.results) == by_channel
        consignee.check_order()
        for task_id, data in consignee.results.items():
            size = parcels[task_id].size
            assert data == b"" if size is None else json.loads(data) == weighed(task_id, size)
        assert consignee.streams > 3
        assert consignee.repeats > 0

        stored = {one: parcels[one] for one in ended if parcels[one].delivery == STORE}
        # All may have come before the last server was gone.
        await within(office.channel.channel_ready(), "a connection")
        await check_stored(office, stored)
        consumed = rng.sample(sorted(stored), len(stored) // 2)
        await consignee.acknowledge([*consumed, *by_channel])
        await quay.restart()
        await within(office.channel.channel_ready(), "a connection")
        await check_stored(office, {one: stored[one] for one in stored if one not in consumed})
        for task_id in consumed:
            assert await refusal(fetch(office, task_id)) == "RESULT_CONSUMED"

        heir = Consignee(office, rng)
        inheriting = asyncio.create_task(heir.listen())
        with pytest.raises(grpc.aio.AioRpcError) as replaced:
            await within(listening, "the end of the older listener")
        assert replaced.value.code() == grpc.StatusCode.ABORTED
        assert reason_of(replaced.value) == "STREAM_TAKEN"
        last = await client.tasks.submit("weigh", delivery=CHANNEL)
        await eventually(lambda: inheriting.done() or heir.results, "one more result")
        assert list(heir.results) == [last.id]
        inheriting.cancel()


class Berth(NamedTuple):
    """A server with a worker, straight and behind a proxy, which the tests below share."""

    near: Client
    proxy: Proxy


@pytest.fixture(scope="module")
async def berth(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Berth]:
    folder = tmp_path_factory.mktemp("berth")
    async with (
        Server(folder / "longshore.db") as server,
        Dockhand(server.address, folder / "journal"),
        Proxy(server.address) as proxy,
        Client(server.address) as near,
        Office(server.address) as office,
    ):
        await office.connected()
        yield Berth(near, proxy)


async def test_a_listener_that_hears_nothing_is_told_later_that_another_has_its_channel(
    berth: Berth,
) -> None:
    task = await berth.near.tasks.submit("weigh", delivery=CHANNEL)
    async with (
        Client(berth.proxy.address) as client,
        client.tasks.results() as older,
        berth.near.tasks.results() as younger,
    ):
        assert (await within(anext(older), "a result")).task.metadata.id == task.id
        berth.proxy.hush()
        assert (await within(anext(younger), "the same")).task.metadata.id == task.id
        berth.proxy.heal()
        with pytest.raises(StreamTaken):
            await within(anext(older), "the end of the older listener")
    await berth.near.tasks.acknowledge(task.id)


#: A file that a task makes in the place of a result, and more bytes than it has.
SIZES = (3 * MIB,)
CUT = st.integers(0, 3 * MIB + 4_096)


def made(seed: int) -> bytes:
    """Return what the first attempt of a `load` puts into its first file."""
    return cargo(SIZES[0], f"{seed}/1/1")


@settings(max_examples=12, deadline=None)
@given(CUT)
async def test_a_large_result_comes_whole_by_a_channel_that_breaks_anywhere(
    berth: Berth, cut: int
) -> None:
    arguments = {"sizes": SIZES, "seed": cut}
    async with (
        Client(berth.proxy.address) as client,
        client.tasks.results(acknowledge=False) as results,
    ):
        berth.proxy.cut_after(answered=cut)
        task = await berth.near.tasks.submit("load", arguments, delivery=CHANNEL)
        result = await within(anext(results), "the result")
    berth.proxy.heal()
    assert (result.task.metadata.id, result.error) == (task.id, None)
    assert result.content_type == "application/octet-stream"
    assert result.data == made(cut)
    await berth.near.tasks.acknowledge(task.id)


@settings(max_examples=12, deadline=None)
@given(CUT)
async def test_a_large_result_is_consumed_only_when_all_of_it_was_fetched(
    berth: Berth, cut: int
) -> None:
    arguments = {"sizes": SIZES, "seed": cut}
    task = await berth.near.tasks.submit("load", arguments, delivery=STORE)
    await until_ended(berth.near, [task.id])

    async def fetched() -> bytes:
        try:
            return b"".join([piece async for piece in client.tasks.fetch(task.id)])
        except Unavailable:
            return b""

    async with Client(berth.proxy.address) as client:
        await client.connect()
        berth.proxy.cut_after(answered=cut)
        assert await eventually_answered(fetched, "a result") == made(cut)
    berth.proxy.heal()
    with pytest.raises(NotFound) as consumed:
        await berth.near.tasks.fetch(task.id).begin()
    assert consumed.value.reason == "RESULT_CONSUMED"

"""Deliveries through the client, at a real server and worker."""

from __future__ import annotations

import asyncio
import io
import json
import random
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.client import (
    Client,
    FailedPrecondition,
    NotFound,
    Results,
    StreamTaken,
    WorkFailed,
    task,
)
from longshore.client.sync import SyncClient
from longshore.testing import Longshore, running
from longshore.v1.operation_pb2 import DELIVERY_MODE_CHANNEL, DELIVERY_MODE_STORE
from longshore.worker import Context, PermanentError, Worker
from tests.tools.proxy import Proxy

MODES = [DELIVERY_MODE_STORE, DELIVERY_MODE_CHANNEL]
DATA = random.Random(7).randbytes(2_500_000)
LARGE = random.Random(8).randbytes(10_000_000)


def new_worker() -> Worker:
    """Return a worker; each works for one server only."""
    worker = Worker("results", slots=50)

    @worker.action
    async def add(left: int, right: int = 2) -> dict[str, int]:
        return {"sum": left + right}

    @worker.action
    async def refuse() -> None:
        raise PermanentError("no room")

    @worker.action
    async def write(files: list[str], context: Context) -> None:
        for path in files:
            await context.save_file(path, DATA, content_type="application/x-data")

    @worker.action
    async def both(context: Context) -> dict[str, int]:
        await context.save_file("x", DATA)
        return {"size": len(DATA)}

    @worker.action
    async def make_large(context: Context) -> None:
        await context.save_file("large", LARGE)

    return worker


@pytest.fixture
async def longshore() -> AsyncIterator[Longshore]:
    async with running() as longshore:
        await longshore.work(new_worker())
        yield longshore


@pytest.fixture
def client(longshore: Longshore) -> Client:
    return longshore.client


async def sums(client: Client, *numbers: int) -> list[str]:
    """Submit additions to the caller's channel and return their ids."""
    requests = [task("add", {"left": n}, delivery=DELIVERY_MODE_CHANNEL) for n in numbers]
    handles: list[Any] = [*await client.tasks.submit_many(requests)]
    return [handle.id for handle in handles]


async def taken(results: Results, count: int) -> list[int]:
    """Return the sums of the next results."""
    async with asyncio.timeout(30):
        return [json.loads((await anext(results)).data)["sum"] for _ in range(count)]


@pytest.mark.parametrize("mode", MODES)
async def test_a_handle_has_the_result_of_a_delivery_once_and_for_all(
    mode: Any, client: Client
) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, delivery=mode)
    assert await handle.result() == {"sum": 3}
    assert await handle.result() == {"sum": 3}
    assert (await handle.status()).delivery.HasField("retrieve_time")
    other = await client.tasks.get(handle.id)
    with pytest.raises(NotFound) as raised:
        await other.result()
    assert raised.value.reason == "RESULT_CONSUMED"


@pytest.mark.parametrize("mode", MODES)
async def test_what_fails_says_so_and_has_nothing_to_fetch(mode: Any, client: Client) -> None:
    handle = await client.tasks.submit("refuse", delivery=mode)
    with pytest.raises(WorkFailed, match="no room"):
        await handle.result()
    with pytest.raises(FailedPrecondition):
        await anext(client.tasks.fetch(handle.id))


async def test_a_result_is_fetched_once_or_left_where_it_is(client: Client) -> None:
    handle = await client.tasks.submit("add", {"left": 1}, delivery=DELIVERY_MODE_STORE)
    async with handle.watch() as changes:
        async for _ in changes:
            pass
    for acknowledge in (False, True):
        fetching = client.tasks.fetch(handle.id, acknowledge=acknowledge)
        assert json.loads(b"".join([piece async for piece in fetching])) == {"sum": 3}
        assert fetching.content_type == "application/json"
    with pytest.raises(NotFound):
        await anext(client.tasks.fetch(handle.id))
    await client.tasks.acknowledge(handle.id, str(handle.number))


async def test_a_result_without_a_delivery_can_be_fetched_again_and_again(
    client: Client,
) -> None:
    handle = await client.tasks.submit("add", {"left": 1})
    await handle.result()
    for _ in range(2):
        pieces = [piece async for piece in client.tasks.fetch(str(handle.number))]
        assert json.loads(b"".join(pieces)) == {"sum": 3}


async def test_a_result_that_is_a_file_is_saved_and_that_of_several_is_a_zip(
    client: Client, tmp_path: Path
) -> None:
    one = await client.tasks.submit("write", {"files": ["x"]}, delivery=DELIVERY_MODE_STORE)
    assert await one.result() == {}
    fetching = client.tasks.fetch(one.id)
    assert (await fetching.save(tmp_path / "one")).read_bytes() == DATA
    assert fetching.content_type == "application/x-data"
    assert await one.files() == []
    two = await client.tasks.submit("write", {"files": ["a/x", "y"]})
    await two.result()
    saved = await client.tasks.fetch(two.id).save(tmp_path)
    assert saved == tmp_path / f"{two.id}.zip"
    with zipfile.ZipFile(saved) as found:
        assert {name: found.read(name) for name in found.namelist()} == {
            "a/x": DATA,
            "y": DATA,
        }
    assert len(await two.files()) == 2


async def test_files_beside_a_result_stay_until_somebody_has_them(
    client: Client, tmp_path: Path
) -> None:
    handle = await client.tasks.submit("both", delivery=DELIVERY_MODE_STORE)
    assert await handle.result() == {"size": len(DATA)}
    (saved,) = await handle.download(tmp_path)
    assert saved.read_bytes() == DATA
    await client.tasks.acknowledge(handle.id)
    assert await handle.files() == []


async def test_a_channel_has_what_ended_before_and_what_ends_now(client: Client) -> None:
    for number in (1, 2):
        await sums(client, number)
        await settled(client)
    async with client.tasks.results() as results:
        assert await taken(results, 2) == [3, 4]
        await sums(client, 3)
        assert await taken(results, 1) == [5]
        handle = await client.tasks.submit("refuse", delivery=DELIVERY_MODE_CHANNEL)
        failed = await anext(results)
    assert (failed.task.metadata.id, failed.data) == (handle.id, b"")
    assert isinstance(failed.error, WorkFailed)
    async with client.tasks.results() as results:
        assert (await anext(results)).task.metadata.id == handle.id


async def settled(client: Client) -> None:
    """Wait until all tasks have ended."""
    async for handle in client.tasks.list("NOT state = SUCCEEDED"):
        async with handle.watch() as changes:
            async for _ in changes:
                pass


async def test_what_was_not_acknowledged_comes_again(client: Client) -> None:
    await sums(client, *range(10))
    async with client.tasks.results(acknowledge=False) as results:
        first = await taken(results, 10)
        revision = results.revision
    async with client.tasks.results() as results:
        assert await taken(results, 6) == first[:6]
    async with client.tasks.results() as results:
        assert await taken(results, 5) == first[5:]
    await sums(client, 100)
    async with client.tasks.results(after_revision=revision) as results:
        assert await taken(results, 1) == [102]


async def test_a_listener_takes_over_from_another(client: Client) -> None:
    await sums(client, 1)
    # It acknowledges nothing, so that the other hears of the same.
    first = client.tasks.results(acknowledge=False)
    async with first, client.tasks.results() as second:
        assert await taken(first, 1) == [3]
        waiting = asyncio.ensure_future(anext(first))
        assert await taken(second, 1) == [3]
        with pytest.raises(StreamTaken):
            await waiting


async def test_a_large_result_comes_by_a_channel(client: Client) -> None:
    await client.tasks.submit("make_large", delivery=DELIVERY_MODE_CHANNEL)
    await client.tasks.submit("write", {"files": ["x", "y"]}, delivery=DELIVERY_MODE_CHANNEL)
    async with client.tasks.results() as results:
        found = [await anext(results), await anext(results)]
    by_type = {one.content_type: one.data for one in found}
    zipped = by_type.pop("application/zip")
    assert [*by_type.values()] == [LARGE]
    with zipfile.ZipFile(io.BytesIO(zipped)) as zip_:
        assert zip_.read("x") == zip_.read("y") == DATA


async def test_many_results_are_heard_and_removed(client: Client) -> None:
    await sums(client, *range(2_000))
    async with client.tasks.results() as results:
        assert sorted(await taken(results, 2_000)) == list(range(2, 2_002))
    async with client.tasks.results() as results:
        await taken(results, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(results), 0.5)


@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
async def test_however_a_channel_is_cut_everything_comes_once(cuts: list[int]) -> None:
    async with running() as longshore:
        await longshore.work(new_worker())
        async with Proxy(longshore.address) as proxy, Client(proxy.address) as client:
            await sums(longshore.client, *range(100))
            heard: list[int] = []
            async with client.tasks.results() as results:
                for count in range(100):
                    heard += await taken(results, 1)
                    if count in cuts:
                        proxy.cut()
            assert sorted(heard) == list(range(2, 102))


async def test_code_that_does_not_await_hears_and_fetches(longshore: Longshore) -> None:
    await sums(longshore.client, 1, 2, 3)
    await settled(longshore.client)

    def run() -> list[bytes]:
        with SyncClient(longshore.address) as client:
            with client.tasks.results() as results:
                heard = [next(results) for _ in range(3)]
            last = heard[-1].task.metadata.id
            with client.tasks.fetch(last) as fetching:
                assert b"".join(fetching) == heard[-1].data
            handle = client.tasks.submit("add", {"left": 1}, delivery=DELIVERY_MODE_STORE)
            assert handle.result() == {"sum": 3}
            return [one.data for one in heard]

    assert len(await asyncio.to_thread(run)) == 3

"""Whole sessions of the client of ricloud: unchanged, it works over store and channel."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.gateway.icloud import SUBMITTER, Entry, GatewaySettings, Icloud, icloud
from tests.tools.ricloud_client import ClientError, Pending, Ricloud

MIB = 1024 * 1024
WHO = ["stan", "carol"]


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Icloud]:
    others = {
        name: Entry(name=name, roles=SUBMITTER, delivery="channel")
        for name in ("network", "restart", "twins")
    }
    folder = tmp_path_factory.mktemp("sessions")
    settings = GatewaySettings(asapi_error=True, asapi_register_again=True)
    async with icloud(folder, settings, way="inside", **others) as found:
        yield found


async def session(cloud: Icloud, who: str, use: Callable[[Ricloud], None]) -> Ricloud:
    """Let a client be used as it is: with threads of its own, beside the loop."""

    def run() -> Ricloud:
        with client_of(cloud, who) as client:
            use(client)
        return client

    return await asyncio.to_thread(run)


def client_of(cloud: Icloud, who: str) -> Ricloud:
    return Ricloud(f"{cloud.world.url}/asapi", cloud.tokens[who], poll_seconds=0.1)


def echoed(client: Ricloud, text: str) -> Pending:
    return client.submit("iCloud", "Echo", "me@x.org", text=text)


@pytest.mark.parametrize("who", WHO)
async def test_a_client_registers_submits_and_gets_results(cloud: Icloud, who: str) -> None:
    def use(client: Ricloud) -> None:
        for _ in range(2):  # The command line registers with every run.
            client.register("iCloud", "me@x.org")
        data = client.submit(
            "iCloud", "Fetch Data", "me@x.org", device="d1", data=["sms", "photos"]
        )
        assert json.loads(data.wait()) == {
            "device": "d1",
            "data": ["sms", "photos"],
            "since": None,
        }
        pending = [echoed(client, str(index)) for index in range(120)]
        texts = [json.loads(one.wait())["text"] for one in pending]
        assert texts == [str(index) for index in range(120)]
        entries = client.status(*(one.id for one in pending))
        assert {entry["status"] for key, entry in entries.items() if key != "success"} == {
            "Publish complete"
        }
        client.deregister("iCloud", "me@x.org")
        with pytest.raises(ClientError, match="No such account"):
            client.deregister("iCloud", "me@x.org")

    client = await session(cloud, who, use)
    assert client.died == []
    assert client.dropped == []
    assert len(client.fetched) == (121 if who == "stan" else 0)


@pytest.mark.parametrize("who", WHO)
async def test_results_are_consumed_when_a_client_has_them(cloud: Icloud, who: str) -> None:
    ids: list[str] = []

    def use(client: Ricloud) -> None:
        client.register("iCloud", "me@x.org")
        pending = [echoed(client, "a"), echoed(client, "b")]
        for one in pending:
            one.wait()
        ids.extend(one.id for one in pending)
        entries = client.status(*ids)
        assert all(entries[one]["result_retrieved"] for one in ids)

    await session(cloud, who, use)
    assert ids


@pytest.mark.parametrize("who", WHO)
async def test_nobody_waits_for_ever_for_what_failed(cloud: Icloud, who: str) -> None:
    def use(client: Ricloud) -> None:
        client.register("iCloud", "me@x.org")
        failed = client.submit("iCloud", "Fail", "me@x.org", why="the phone is off")
        told = json.loads(failed.wait())
        assert (told["success"], told["message"]) == (False, "the phone is off")
        assert told["error"] == "task-failed"
        assert json.loads(echoed(client, "and on").wait()) == {"text": "and on"}

    assert (await session(cloud, who, use)).died == []


@pytest.mark.parametrize("who", WHO)
async def test_large_results_arrive_whole(cloud: Icloud, who: str) -> None:
    def use(client: Ricloud) -> None:
        client.register("iCloud", "me@x.org")
        saved = client.submit("iCloud", "Save", "me@x.org", mebibytes=9)
        assert saved.wait() == b"".join(bytes([index]) * MIB for index in range(9))
        if client.protocol == "aschannel":
            assert [one["chunk"] for one in saved.frames] == [*range(1, 10)]

    assert (await session(cloud, who, use)).died == []


async def test_a_client_is_told_in_words_what_is_wrong(cloud: Icloud) -> None:
    def use(client: Ricloud) -> None:
        with pytest.raises(ClientError, match="No such account"):
            client.submit("iCloud", "Echo", "stranger@x.org")
        client.register("iCloud", "me@x.org")
        with pytest.raises(ClientError, match="Parameter device is missing"):
            client.submit("iCloud", "Fetch Data", "me@x.org", data=["sms"])

    await session(cloud, "stan", use)


async def test_without_the_opt_in_a_client_finds_no_words(tmp_path: Path) -> None:
    async with icloud(tmp_path) as cloud:

        def use(client: Ricloud) -> None:
            client.register("iCloud", "me@x.org")
            with pytest.raises(KeyError, match="error"):
                client.register("iCloud", "me@x.org")

        await session(cloud, "stan", use)


async def test_a_client_whose_network_breaks_is_back_and_misses_nothing(cloud: Icloud) -> None:
    def use(client: Ricloud) -> None:
        client.register("iCloud", "me@x.org")
        pending: list[Pending] = []
        for round_ in range(4):
            pending += [echoed(client, f"{round_}-{index}") for index in range(10)]
            pending[-1].wait()
            client.cut()
            pending += [echoed(client, f"{round_}+{index}") for index in range(10)]
        for one in pending:
            assert "text" in json.loads(one.wait())
        assert 2 <= len(client.connects) <= 8
        assert [one["code"] for one in client.said] == ["stream-started"] * len(client.connects)

    client = await session(cloud, "network", use)
    assert client.died == []


async def test_a_client_that_starts_again_gets_what_the_one_before_did_not(
    cloud: Icloud,
) -> None:
    known: list[Pending] = []

    def before(client: Ricloud) -> None:
        client.register("iCloud", "me@x.org")
        known.append(client.submit("iCloud", "Wait", "me@x.org", name="restart"))

    def after(client: Ricloud) -> None:
        again = client.expect(Pending(known[0].id, "restart"))
        assert json.loads(again.wait()) == {"name": "restart"}

    await session(cloud, "restart", before)
    cloud.gate("restart").set()
    await cloud.ended(known[0].id, "restart")
    client = await session(cloud, "restart", after)
    assert client.dropped == []


async def test_two_listeners_do_not_chase_each_other(cloud: Icloud) -> None:
    both, over = threading.Barrier(2, timeout=60), threading.Event()
    ends: list[float] = []

    def first(client: Ricloud) -> None:
        client.listen("twins")
        client.await_connection()
        both.wait()
        assert over.wait(60)

    def second(client: Ricloud) -> None:
        try:
            client.register("iCloud", "me@x.org")
            client.listen("twins")
            client.await_connection()
            both.wait()
            threading.Event().wait(2)
            ends.append(time.monotonic())
        finally:
            over.set()

    clients = await asyncio.gather(
        session(cloud, "twins", first), session(cloud, "twins", second)
    )
    connects = [sum(at < ends[0] for at in one.connects) for one in clients]
    assert 2 <= sum(connects) < 15, connects
    assert all(one.died == [] for one in clients)


async def test_a_wrong_token_ends_listening_without_a_word(cloud: Icloud) -> None:
    def use(client: Ricloud) -> None:
        client.register("iCloud", "me@x.org")
        client.token = "none"
        client.listen("carol-9").join(20)
        assert client.listening == 0
        assert len(client.connects) == 1

    assert (await session(cloud, "carol", use)).died == []

"""What comes between gateway and server is no matter to who listens, and costs nobody a result."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from longshore.client import Relay
from longshore.gateway.asapi import channel
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.gateway.settings import GatewaySettings, Mount
from tests.gateway.icloud import Icloud, icloud
from tests.gateway.test_asapi_channel import consume, listening
from tests.tools.proxy import Proxy


@asynccontextmanager
async def apart(
    cloud: Icloud, settings: GatewaySettings | None = None
) -> AsyncGenerator[tuple[Icloud, Proxy]]:
    """Run a second gateway, between which and the server there is a proxy."""
    settings = settings or GatewaySettings(mounts={"asapi": Mount("/asapi")})
    settings = replace(settings, listen="127.0.0.1:0")
    async with Proxy(cloud.world.server_address) as proxy, Relay(proxy.address) as relay:
        parts = Gateway(settings, Way(relay, dict), Links(settings))
        async with (
            serving(parts, grace_seconds=1) as address,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as client,
        ):
            url = f"http://{address}"
            yield replace(cloud, world=replace(cloud.world, url=url, http=client)), proxy


async def test_a_channel_outlives_its_connections_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.1)
    async with (
        icloud(tmp_path) as cloud,
        apart(cloud) as (behind, proxy),
        listening(behind) as listener,
    ):
        first = await cloud.submit("carol")
        assert (await listener.frame()).header["task_id"] == first
        proxy.refuse()
        second = await cloud.submit("carol")
        await cloud.ended(second, "carol")
        for _ in range(5):
            await listener.heartbeat()
        proxy.heal()
        # The first is not consumed, and still does not come twice over one connection.
        assert (await listener.frame()).header["task_id"] == second
        proxy.cut()
        third = await cloud.submit("carol")
        assert (await listener.frame()).header["task_id"] == third


async def test_a_result_that_breaks_off_within_the_gateway_is_begun_anew(
    tmp_path: Path,
) -> None:
    async with icloud(tmp_path) as cloud, apart(cloud) as (behind, proxy):
        task_id = await cloud.submit("carol", action="save", mebibytes="20")
        await cloud.ended(task_id, "carol")
        proxy.cut_after(answered=12 * 1024 * 1024)
        content = bytearray(20 * 1024 * 1024)
        chunks: list[int] = []
        async with listening(behind) as listener:
            while not chunks or chunks[-1] < 20:
                frame = await listener.frame()
                chunk, size = frame.header["chunk"], frame.header["chunk_size"]
                if chunk == 9 and 9 not in chunks:
                    proxy.cut_after()
                    proxy.cut()
                chunks.append(chunk)
                content[size * (chunk - 1) : size * chunk] = frame.payload
        assert chunks.count(1) >= 2
        assert chunks.count(20) == 1
        assert content == b"".join(bytes([index]) * 1024 * 1024 for index in range(20))
        await consume(cloud, "carol", task_id)


async def test_a_fetch_that_breaks_off_within_the_gateway_is_no_fetch(tmp_path: Path) -> None:
    async with icloud(tmp_path) as cloud, apart(cloud) as (behind, proxy):
        task_id = await cloud.submit(action="save", mebibytes="20")
        await cloud.ended(task_id)
        proxy.cut_after(answered=10 * 1024 * 1024)
        with pytest.raises(httpx.RemoteProtocolError):
            await behind.get(f"/fetch/{task_id}/")
        proxy.cut_after()
        assert (await cloud.entry(task_id))["result_retrieved"] is False
        # Who asks at once may be the one by whom it is noticed that the connection is gone.
        while (answer := await behind.get(f"/fetch/{task_id}/")).status_code == 503:
            pass
        assert len(answer.content) == 20 * 1024 * 1024
        assert (await cloud.entry(task_id))["result_retrieved"] is True


async def test_a_mount_at_the_root_has_the_paths_of_the_original(tmp_path: Path) -> None:
    settings = GatewaySettings(
        mounts={"asapi": Mount("")}, public_url="https://asapi.example.org"
    )
    async with icloud(tmp_path) as cloud, apart(cloud, settings) as (root, _):
        shown = root.shown("carol")
        told = (await root.world.http.get("/account/", headers=shown)).json()
        where = {"host": "asapi.example.org", "protocol": "https"}
        assert told["task_submission_endpoint"] == {**where, "uri": "/submit-task/"}
        assert told["stream_endpoints"] == [{**where, "uri": "/stream/"}]
        task_id = await cloud.submit()
        await cloud.ended(task_id)
        form = {"task_ids": task_id}
        answer = await root.world.http.post(
            "/task-status/", headers=root.shown("stan"), data=form
        )
        endpoint = answer.json()[task_id]["retrieval_endpoint"]
        assert endpoint == f"https://asapi.example.org/fetch/{task_id}/"

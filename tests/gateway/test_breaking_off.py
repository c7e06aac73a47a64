"""Answers that are broken off on purpose: who reads them can tell, and nobody is told of an error."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from longshore.gateway.settings import MOUNTS, GatewaySettings, Mount
from tests.gateway.harness import Entry, gateway
from tests.gateway.icloud import icloud
from tests.gateway.test_asapi_channel import listening
from tests.gateway.test_asapi_faults import apart


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


async def test_a_channel_that_is_taken_over_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with icloud(tmp_path) as cloud:
        async with listening(cloud) as old, listening(cloud):
            assert (await old.frame()).json["code"] == "stream-taken"
            with pytest.raises(httpx.RemoteProtocolError):
                await old.frame()
        assert errors(caplog) == []


async def test_a_gateway_that_leaves_its_channels_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        async with icloud(tmp_path) as cloud:
            listener = await stack.enter_async_context(listening(cloud))
        with pytest.raises(httpx.RemoteProtocolError):
            await listener.frame()
    assert errors(caplog) == []


@pytest.mark.parametrize("dialect", ["asapi", "vitam"])
async def test_a_result_that_breaks_off_on_its_way_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dialect: str
) -> None:
    mounts = {"asapi": Mount("/asapi"), "vitam": Mount("/vitam/v1")}
    async with (
        icloud(tmp_path) as cloud,
        apart(cloud, GatewaySettings(mounts=mounts)) as (behind, proxy),
    ):
        task_id = await cloud.submit(action="save", mebibytes="20")
        await cloud.ended(task_id)
        path = {
            "asapi": f"/asapi/fetch/{task_id}/",
            "vitam": f"/vitam/v1/tasks/{task_id}/result",
        }
        token = cloud.tokens["stan"]
        headers = {"authorization": f"Token {token}", "x-vitam-key": token}
        proxy.cut_after(answered=10 * 1024 * 1024)
        with capture_logs() as logs, pytest.raises(httpx.RemoteProtocolError):
            await behind.world.http.get(path[dialect], headers=headers)
    assert [one["log_level"] for one in logs if one["event"] == "broken_off"] == ["info"]
    assert errors(caplog) == []


@pytest.mark.parametrize(
    "path, scheme",
    [
        ("/vitam/v1/tasks", "Bearer"),
        ("/asapi/submit-task/", "Token"),
        ("/ghibli-rest/v2/job-manager/jobs", "Bearer"),
        ("/mdworkbench/storage", "Bearer"),
        ("/ehealth/patients/composition/job/x", "Bearer"),
    ],
)
async def test_who_leaves_in_the_midst_of_a_body_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, scheme: str
) -> None:
    ada = Entry(name="ada", roles=("admin",))
    async with gateway(tmp_path, None, *MOUNTS, ada=ada) as (world, tokens):
        token = tokens["ada"]
        head = [
            *(f"POST {path} HTTP/1.1", "host: x", "content-length: 99"),
            *(f"authorization: {scheme} {token}", f"x-vitam-key: {token}"),
        ]
        with capture_logs() as logs:
            await leave(world.url, "\r\n".join([*head, "", "{"]))
            async with asyncio.timeout(30):
                while not logs:
                    await asyncio.sleep(0.01)
    assert [one["event"] for one in logs] == ["request"]
    assert errors(caplog) == []


async def leave(url: str, words: str) -> None:
    place = urlsplit(url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(words.encode())
    await writer.drain()
    writer.close()

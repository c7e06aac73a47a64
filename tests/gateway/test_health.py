"""Health: a gateway lives by itself, and is ready as long as a server answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from structlog.testing import capture_logs

from longshore.access.keeper import Keeper
from longshore.client import Relay
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.gateway.settings import GatewaySettings
from longshore.server.limits import AccessLimits
from tests.gateway.harness import Entry, gateway
from tests.service import harness as service


@asynccontextmanager
async def alone(
    server: str, token: str, timeout: float = 30.0
) -> AsyncGenerator[httpx.AsyncClient]:
    """Run a gateway in front of a server as it is, with such a token of its own."""
    settings = GatewaySettings(listen="127.0.0.1:0", mounts={})
    async with Relay(server, timeout=timeout) as relay:
        way = Way(relay, lambda: {"authorization": f"Bearer {token}"})
        async with (
            serving(Gateway(settings, way, Links(settings)), grace_seconds=1) as address,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as http,
        ):
            yield http


async def test_a_gateway_says_that_it_lives_and_is_ready(tmp_path: Path) -> None:
    async with gateway(tmp_path, None, "none", ada=Entry(name="ada", roles=("viewer",))) as (
        world,
        tokens,
    ):
        assert tokens["ada"].startswith("lsk_")
        alive = await world.http.get("/healthz")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        ready = await world.http.get("/readyz", headers={"x-request-id": "r 1"})
        assert ready.status_code == 200
        assert len(ready.headers["x-request-id"]) == 36


async def test_without_a_server_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    async with alone("127.0.0.1:1", "x", timeout=1) as http:
        assert (await http.get("/healthz")).status_code == 200
        with capture_logs() as logs:
            answer = await http.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"status": "unavailable", "message": "no server can be asked"}
    assert any(one["event"] == "not_ready" and "127.0.0.1:1" in one["message"] for one in logs)


async def test_a_server_that_does_not_know_the_gateway_makes_it_not_ready(
    tmp_path: Path,
) -> None:
    principals = tmp_path / "principals.toml"
    principals.touch()
    async with (
        Keeper(principals) as keeper,
        service.serving(tmp_path / "longshore.db", access=keeper) as world,
        alone(world.server.address, "lsk_x") as http,
    ):
        answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["message"] == "the gateway's own credential is refused"


async def test_a_server_that_is_asked_too_often_is_there(tmp_path: Path) -> None:
    limits = AccessLimits(calls_per_address=0.01)  # One, while this test lasts.
    async with (
        service.serving(tmp_path / "longshore.db", limits=limits) as world,
        alone(world.server.address, "x") as http,
    ):
        assert {(await http.get("/readyz")).status_code for _ in range(3)} == {200}
        assert (await http.get("/v1/tasks")).status_code == 429

"""Who sends a request: found in one place, told to servers, and nothing that the sender decides."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from longshore.client import Client
from longshore.gateway.clients import address_of, comes_by_proxy
from longshore.gateway.settings import GatewaySettings
from tests.gateway.canonical import Site, site
from tests.gateway.workbench import Workbench, workbench

HERE = "127.0.0.1"
PROXIES = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48")))
BEHIND = GatewaySettings(trusted_proxies=PROXIES)
CLIENT = "203.0.113.9"


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    return {
        "type": "http",
        "client": peer and (peer, 4711),
        "headers": [(b"x-forwarded-for", one.encode("latin-1")) for one in forwarded],
    }


@pytest.mark.parametrize(
    "peer, forwarded, address",
    [
        (HERE, (), HERE),
        (HERE, (CLIENT,), CLIENT),
        (HERE, (f"6.6.6.6, {CLIENT}",), CLIENT),
        (HERE, (f"6.6.6.6, {CLIENT}, 10.0.0.7",), CLIENT),
        (HERE, ("6.6.6.6", CLIENT, "10.0.0.7, 10.0.0.8"), CLIENT),
        (HERE, ("10.0.0.7, 10.0.0.8",), "10.0.0.7"),
        (HERE, (f"{CLIENT}, unknown, 10.0.0.7",), "10.0.0.7"),
        (HERE, (f"{CLIENT}, ,",), HERE),
        (HERE, ("",), HERE),
        (HERE, ("unknown",), HERE),
        (HERE, ('"}\x85evil',), HERE),
        (HERE, ("1" * 60_000,), HERE),
        (HERE, (f"{CLIENT}:4711",), CLIENT),
        (HERE, ("[2001:DB8::0:1]:4711",), "2001:db8::1"),
        (HERE, ("[2001:db8::1]",), "2001:db8::1"),
        (HERE, ("fe80::1%eth0",), "fe80::1"),
        (HERE, (f"::ffff:{CLIENT}",), CLIENT),
        (f"::ffff:{HERE}", (CLIENT,), CLIENT),
        ("2001:db8:1::5", ("2001:db8::1, 2001:db8:1::6",), "2001:db8::1"),
        ("198.51.100.1", (CLIENT,), "198.51.100.1"),
        ("fe80::1%eth0", (CLIENT,), "fe80::1"),
        (None, (CLIENT,), ""),
    ],
)
def test_an_address_is_believed_as_far_as_trusted_proxies_say_so(
    peer: str | None, forwarded: tuple[str, ...], address: str
) -> None:
    assert address_of(scope(peer, *forwarded), PROXIES) == address


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert address_of(scope(HERE, CLIENT), ()) == HERE
    assert not comes_by_proxy(scope(HERE), ())
    assert comes_by_proxy(scope(HERE), PROXIES)
    assert not comes_by_proxy(scope("198.51.100.1"), PROXIES)


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path, BEHIND) as running:
        yield running


async def origins(client: Client, kind_id: str) -> set[tuple[str, str]]:
    """Return who brought about what happened first, and from where."""
    async for event in client.operations.history(kind_id, "submitted", "state_changed"):
        return {(event.origin.principal, event.origin.address)}
    raise AssertionError("nothing has happened")


async def test_servers_and_the_access_log_are_told_of_the_client(behind: Site) -> None:
    spec = {"actions": [{"action": "greet"}]}
    with capture_logs() as logs:
        answer = await behind.good(
            "POST",
            "/v1/tasks",
            {"spec": spec},
            headers={"x-forwarded-for": f"6.6.6.6, {CLIENT}, 10.0.0.1"},
        )
    task_id = answer["task"]["metadata"]["id"]
    assert await origins(behind.ada, task_id) == {("ada", CLIENT)}
    assert [one["address"] for one in logs if one["event"] == "request"] == [CLIENT]


async def test_clients_cannot_say_themselves_from_where_they_call(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        here.world.http.headers.update(
            {
                "x-forwarded-for": CLIENT,
                "forwarded": f"for={CLIENT}",
                "x-real-ip": CLIENT,
                "x-caller-address": CLIENT,
                "x-go-between": f"Bearer {here.token}",
            }
        )
        assert await origins(here.ada, await here.submit()) == {("ada", HERE)}


async def test_wrong_credentials_keep_those_waiting_who_call_from_the_same_address(
    behind: Site,
) -> None:
    """Not those who come through the same gateway."""
    wrong = f"Bearer lsk_{'a' * 10}_{'x' * 43}"

    async def ask(address: str, authorization: str) -> int:
        headers = {"x-forwarded-for": address, "authorization": authorization}
        return (await behind.ask("GET", "/v1/tasks", headers=headers)).status_code

    assert [await ask(CLIENT, wrong) for _ in range(3)] == [401] * 3
    guesses = [ask(CLIENT, wrong) for _ in range(12)]
    statuses = await asyncio.gather(*guesses, ask("198.51.100.1", wrong))
    assert set(statuses[:-1]) == {401, 429}
    assert statuses[-1] == 401


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, BEHIND) as running:
        yield running


async def test_the_tenant_of_what_strangers_ask_is_not_theirs_to_choose(
    bench: Workbench,
) -> None:
    bench.open.set()
    chosen = {"x-tenant-id": "north", "api-key": "k", "x-forwarded-for": CLIENT}
    bench.world.http.headers.update(chosen)
    location = await bench.launch("naming")
    launch_id = location.rpartition("/")[2]
    launch = (await bench.root.launches.get(launch_id)).message
    assert launch.metadata.tenant == "default"
    assert await origins(bench.root, launch_id) == {("longshore.gateway", CLIENT)}
    for tenant in ("north", "*", b"\xe9", "x" * 300):
        answer = await bench.ask("GET", f"/launch/{launch_id}", headers={"x-tenant-id": tenant})
        assert answer.status_code == 200, answer.text
        said = {b"x-tenant-id": tenant, b"traceparent": b"\xe9"}
        answer = await bench.ask("GET", "/service", headers=said)
        assert {one["id"] for one in answer.json()} >= {"naming", "counting"}


async def test_readiness_is_of_the_gateway_whatever_the_request_says(bench: Workbench) -> None:
    http: httpx.AsyncClient = bench.world.http
    for header in ({"x-tenant-id": "x" * 300}, {"api-key": "?"}, {"authorization": "Bearer x"}):
        assert (await http.get("/readyz", headers=header)).status_code == 200

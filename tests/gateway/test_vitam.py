from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from longshore.client import Relay
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    SERVER_MODE_MAINTENANCE,
    SERVER_MODE_SUSPENDED,
)
from tests.gateway.harness import WAYS, Entry, GatewaySettings, Mount, gateway
from tests.gateway.vitam import (
    MILLISECONDS,
    NOBODY,
    Vitam,
    new_worker,
    speaking,
    unauthorized,
    unmet,
)

#: Of each operation: the method, the path, and a body that is in order.
OPERATIONS = [
    ("GET", "/tasks", None),
    ("POST", "/tasks", {"Step": "s", "item": 1, "actions": [{"action": "add"}]}),
    ("PUT", "/tasks", {"id": NOBODY, "task_status": "cancel"}),
    ("GET", f"/tasks/{NOBODY}", None),
    ("PUT", f"/tasks/{NOBODY}", {"task_status": "cancel"}),
    ("GET", f"/tasks/{NOBODY}/result", None),
]
STATUS = ("GET", "/status", None)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=WAYS)
async def vitams(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Vitam]]:
    async with speaking(tmp_path_factory.mktemp("vitam"), request.param) as vitams:
        yield vitams


@pytest.fixture
def vitam(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["ada"]


async def test_every_answer_has_the_documented_headers(vitam: Vitam) -> None:
    sent = {
        "X-Request-Id": "AbDUh67jj",
        "X-Application-Id": "SESSION-ID-00001",
        "X-Tenant-Id": "0",
    }
    answers = [await vitam.ask(*operation, headers=sent) for operation in (*OPERATIONS, STATUS)]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 404, 404, 404, 200]
    for answer in answers:
        headers = dict(answer.headers)
        assert int(headers.pop("content-length")) == len(answer.content)
        assert headers.pop("date").endswith("GMT")
        assert headers == {
            "content-type": "application/json",
            "x-request-id": "AbDUh67jj",
            "fullapiversion": "V1.0",
            "x-application-id": "SESSION-ID-00001",
            "x-tenant-id": "0",
        }


@pytest.mark.parametrize("method, path, body", [*OPERATIONS, STATUS])
async def test_every_operation_needs_the_platform_key_before_all_else(
    vitam: Vitam, method: str, path: str, body: object
) -> None:
    for key in ("", "wrong", "wr\xf6ng"):
        answer = await vitam.world.http.request(
            method,
            f"/vitam/v1{path}",
            headers=[
                (b"x-vitam-key", key.encode("latin-1")),
                (b"x-tenant-id", b"none"),
                (b"x-application-id", b"SESSION-ID-00001"),
            ],
            content=b"no JSON" if body else b"",
        )
        assert (answer.status_code, answer.json()["state"]) == (401, "Unauthorized")
        assert answer.json()["http_code"] == 401
        assert answer.headers["x-application-id"] == "SESSION-ID-00001"
        assert answer.headers["fullapiversion"] == "V1.0"
        assert len(answer.headers["x-request-id"]) == 36
    answer = await vitam.world.http.request(method, f"/vitam/v1{path}")
    expected = unauthorized("the header X-Vitam-Key is needed")
    assert (answer.status_code, answer.json()) == (401, expected)


@pytest.mark.parametrize("method, path, body", OPERATIONS)
async def test_a_tenant_is_an_integer_and_one_of_the_callers(
    vitam: Vitam, method: str, path: str, body: object
) -> None:
    answer = await vitam.ask(method, path, body, {"X-Tenant-Id": "zero"})
    expected = unmet("X-Tenant-Id: the header X-Tenant-Id is no integer")
    assert (answer.status_code, answer.json()) == (412, expected)
    assert "x-tenant-id" not in answer.headers
    answer = await vitam.ask(method, path, body, {"X-Tenant-Id": "7"})
    expected = unauthorized("the tenant '7' is not yours")
    assert (answer.status_code, answer.json()) == (401, expected)
    assert answer.headers["x-tenant-id"] == "7"


async def test_of_a_repeated_header_the_first_value_counts(vitam: Vitam) -> None:
    for tenant in ("0, 7", "0,nothing", "00 , 7"):
        answer = await vitam.ask("GET", "/tasks", headers={"X-Tenant-Id": tenant})
        assert (answer.status_code, answer.headers["x-tenant-id"]) == (200, "0")


async def test_the_status_needs_the_key_and_no_tenant(vitam: Vitam) -> None:
    for tenant in ("zero", "7", "0"):
        answer = await vitam.ask("GET", "/status", headers={"X-Tenant-Id": tenant})
        assert answer.status_code == 200
        told = answer.json()
        assert MILLISECONDS.fullmatch(told.pop("startDate"))
        assert len(told.pop("id")) == 36
        assert told == {"service": "longshore", "status": "Active"}
        assert answer.headers["fullapiversion"] == "V1.0"


async def test_what_is_no_path_or_no_method_is_refused_in_the_contracts_shape(
    vitam: Vitam,
) -> None:
    for path in ("/", "/task", "/tasks/", "/status/", f"/tasks/{NOBODY}/results", "/docs"):
        answer = await vitam.ask("GET", path)
        assert (answer.status_code, answer.json()["state"]) == (404, "Item_Not_Found")
        assert answer.headers["fullapiversion"] == "V1.0"
    for method, path, allowed in (
        ("PATCH", "/tasks", "GET, POST, PUT"),
        ("PATCH", f"/tasks/{NOBODY}", "GET, PUT"),
        ("DELETE", f"/tasks/{NOBODY}", "GET, PUT"),
        ("POST", "/status", "GET"),
    ):
        answer = await vitam.ask(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["state"] == "Method_Not_Allowed"


async def test_the_status_follows_the_service(tmp_path: Path) -> None:
    ada = Entry(name="ada", roles=("submitter", "operator"))
    async with gateway(tmp_path, None, "vitam", ada=ada) as (world, tokens):
        await world.work(new_worker())
        vitam = Vitam(world, tokens["ada"])
        async with world.client(vitam.token) as client:
            for mode, status in (
                (SERVER_MODE_SUSPENDED, "Inactive"),
                (SERVER_MODE_MAINTENANCE, "Inactive"),
                (SERVER_MODE_ACTIVE, "Active"),
            ):
                await client.server.set_mode(mode)
                answer = await vitam.ask("GET", "/status")
                assert (answer.status_code, answer.json()["status"]) == (200, status)
            await client.server.set_mode(SERVER_MODE_MAINTENANCE)
        step = {"actions": [{"action": "add", "arguments": {"left": "'1'"}}]}
        answer = await vitam.ask("POST", "/tasks", step)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["state"] == "Service_Unavailable"


async def test_a_service_that_cannot_be_reached_is_503() -> None:
    mounts = {"vitam": Mount.parse("/vitam/v1")}
    settings = GatewaySettings(listen="127.0.0.1:0", mounts=mounts)
    async with Relay("127.0.0.1:1", timeout=2) as relay:
        parts = Gateway(settings, Way(relay, dict), Links(settings))
        async with (
            serving(parts, grace_seconds=1) as address,
            httpx.AsyncClient(base_url=f"http://{address}/vitam/v1", timeout=30) as http,
        ):
            for path in ("/status", "/tasks"):
                answer = await http.get(path, headers={"X-Vitam-Key": "any"})
                assert (answer.status_code, answer.headers["fullapiversion"]) == (503, "V1.0")
                assert answer.json()["state"] == "Service_Unavailable"

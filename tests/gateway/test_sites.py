"""Pages of other sites, which browsers send with what they have of us, change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.gateway.settings import GatewaySettings
from tests.gateway.harness import Entry, World, gateway

ADA = Entry(name="ada", roles=("admin",), tenants=("default", "0"))
OTHER = {"sec-fetch-site": "cross-site"}
WHY = "pages of other sites may not change anything here"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    dialects = ("vitam", "asapi", "dataone", "mdworkbench", "ehealth")
    async with gateway(tmp_path, None, *dialects, ada=ADA) as (running, tokens):
        bearer, key = f"Bearer {tokens['ada']}", tokens["ada"]
        running.http.headers.update({"authorization": bearer, "x-vitam-key": key})
        yield running


async def refused(world: World, method: str, path: str, **more: Any) -> Any:
    answer = await world.http.request(method, path, headers=OTHER, **more)
    assert answer.status_code == 403, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return answer.json()


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("POST", "/v1/tasks", {}),
        ("POST", "/v1/tasks/1:cancel", None),
        ("POST", "/v1/nothing", None),
        ("PATCH", "/v1/queues/default", {}),
        ("DELETE", "/v1/schedules/one", None),
    ],
)
async def test_canonical_json_refuses_them(
    world: World, method: str, path: str, body: Any
) -> None:
    told = await refused(world, method, path, json=body)
    assert told == {"code": 7, "message": WHY, "details": []}


async def test_vitam_refuses_them(world: World) -> None:
    for method, path in (("POST", "/vitam/v1/tasks"), ("PUT", "/vitam/v1/tasks/x")):
        assert await refused(world, method, path, json={}) == {
            "http_code": 403,
            "code": "ingest",
            "state": "Forbidden",
            "message": "Forbidden",
            "description": WHY,
        }
    headers = {**OTHER, "x-vitam-key": "none"}
    answer = await world.http.post("/vitam/v1/tasks", headers=headers)
    assert answer.status_code == 401


async def test_ricloud_refuses_them(world: World) -> None:
    told = {"message": WHY, "success": False, "error": "not-permitted"}
    for path in ("/asapi/submit-task/", "/asapi/register-account/", "/asapi/nothing"):
        assert await refused(world, "POST", path, data={"service": "x"}) == told


async def test_data_one_refuses_them(world: World) -> None:
    told = await refused(world, "POST", "/ghibli-rest/v2/job-manager/jobs", json={})
    assert told.pop("timestamp")
    assert told == {"result": "failed", "message": WHY, "errorType": "authorization"}


async def test_mdworkbench_refuses_them(world: World) -> None:
    told = {"status": 403, "message": WHY}
    stored = await world.http.post("/mdworkbench/storage", content=b"a")
    location = stored.headers["content-location"]
    assert await refused(world, "POST", "/mdworkbench/launch?id=x") == told
    assert await refused(world, "POST", "/mdworkbench/storage", content=b"a") == told
    assert await refused(world, "PUT", location, content=b"b") == told
    assert await refused(world, "DELETE", location) == told
    answer = await world.http.delete(
        location, headers={**OTHER, "accept": "application/xml", "authorization": ""}
    )
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("application/xml")
    assert WHY in answer.text
    assert (await world.http.get(location, headers=OTHER)).content == b"a"


async def test_ehealth_refuses_them(world: World) -> None:
    told = await refused(world, "POST", "/ehealth/patients/composition/job/x")
    assert told["error"] == {"type": "forbidden", "message": "Access denied"}


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://127.0.0.1", "http://127.0.0.1:1", "null", "file://"],
)
async def test_where_no_site_is_told_the_origin_tells(world: World, origin: str) -> None:
    headers = {"origin": origin}
    answer = await world.http.post("/v1/tasks/1:cancel", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (403, WHY)
    answer = await world.http.post("/mdworkbench/storage", content=b"a", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (403, WHY)
    assert (await world.http.get("/v1/tasks", headers=headers)).status_code == 200


@pytest.mark.parametrize("public_url", ["", "https://longshore.example/here"])
async def test_its_own_pages_are_those_of_any_name_of_the_gateway(
    tmp_path: Path, public_url: str
) -> None:
    settings = GatewaySettings(public_url=public_url)
    async with gateway(tmp_path, settings, ada=ADA) as (world, tokens):
        world.http.headers["authorization"] = f"Bearer {tokens['ada']}"
        for origin in (world.url, world.url.upper(), "https://longshore.example"):
            headers = {"origin": origin}
            answer = await world.http.post("/v1/tasks/1:cancel", headers=headers)
            known = public_url or origin != "https://longshore.example"
            assert answer.status_code == (404 if known else 403), origin
        headers = {"origin": "http://evil.example", "sec-fetch-site": "same-origin"}
        answer = await world.http.post("/v1/tasks/1:cancel", headers=headers)
        assert answer.status_code == 404


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", "", None])
async def test_others_may_do_what_they_may(world: World, site: str | None) -> None:
    headers = {} if site is None else {"sec-fetch-site": site}
    answer = await world.http.post("/v1/tasks/1:cancel", headers=headers)
    assert answer.status_code == 404
    answer = await world.http.post("/mdworkbench/storage", content=b"a", headers=headers)
    assert answer.status_code == 200


async def test_what_changes_nothing_may_be_linked_to(world: World) -> None:
    for path in (
        *("/v1/tasks", "/mdworkbench/service", "/vitam/v1/tasks", "/asapi/account/"),
        *("/ghibli-rest/v2/job-manager/jobs", "/docs", "/healthz"),
    ):
        headers = OTHER
        if path.startswith("/asapi"):
            token = world.http.headers["x-vitam-key"]
            headers = {**OTHER, "authorization": f"Token {token}"}
        answer = await world.http.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
    answer = await world.http.options("/v1/tasks", headers=OTHER)
    assert answer.status_code == 204

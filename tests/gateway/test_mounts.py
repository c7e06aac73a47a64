"""Where dialects stand: below a path, on a host name, on a port; and what belongs to them there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.harness import Entry, GatewaySettings, Mount, World, gateway, kept_port

ADA = Entry(name="ada", roles=("submitter",))

#: Members of the answer to a path that there is not, by the mount that it is below.
ABSENT: dict[str, dict[str, Any]] = {
    "": {"code": 5, "details": []},
    "/vitam/v1": {"http_code": 404, "code": "ingest", "state": "Item_Not_Found"},
    "/asapi": {"success": False, "error": "not-found"},
    "/ghibli-rest/v2": {"result": "failed", "errorType": "not_found"},
    "/mdworkbench": {"status": 404},
    "/ehealth": {"error": {"type": "not_found", "message": "Task not found"}},
}


async def get(
    world: World, token: str, path: str, host: str = "", port: int | None = None
) -> httpx.Response:
    headers = {"x-vitam-key": token, "authorization": f"Token {token}"}
    if host:
        headers["host"] = host
    base = world.url if port is None else f"http://127.0.0.1:{port}"
    return await world.http.get(base + path, headers=headers)


async def test_all_below_a_mount_is_answered_there_whatever_characters_are_in_it(
    tmp_path: Path,
) -> None:
    async with gateway(tmp_path, None, ada=ADA) as (world, tokens):
        for mount, expected in ABSENT.items():
            for path in ("a%0Ab", "%0A", "x%0A%0Ay/", "%0D%0A", "%00", "%E2%80%A8/", "%0A/"):
                answer = await get(world, tokens["ada"], f"{mount}/{path}")
                assert (answer.status_code, path) == (404, path)
                assert answer.headers["content-type"] == "application/json"
                told = answer.json()
                assert {name: told[name] for name in expected} == expected


@pytest.mark.parametrize("path", ["/tasks", "/status"])
async def test_a_host_name_of_its_own_has_the_dialect_at_its_root(
    tmp_path: Path, path: str
) -> None:
    mounts = {"vitam": Mount("", host="worker.example"), "asapi": Mount("/asapi")}
    async with gateway(tmp_path, GatewaySettings(mounts=mounts), ada=ADA) as (world, tokens):
        for host in ("worker.example", "Worker.Example:8080"):
            answer = await get(world, tokens["ada"], path, host)
            assert (answer.status_code, answer.headers["fullapiversion"]) == (200, "V1.0")
        missed = await get(world, tokens["ada"], "/a%0Ab", "worker.example")
        assert missed.json()["state"] == "Item_Not_Found"
        assert (await get(world, tokens["ada"], path)).status_code == 404
        assert (await get(world, tokens["ada"], "/asapi/account/")).status_code == 200
        assert (await get(world, tokens["ada"], "/v1/tasks")).status_code == 401


async def test_a_port_of_its_own_has_the_dialect_and_nothing_else(tmp_path: Path) -> None:
    with kept_port() as one, kept_port() as two:
        mounts = {"vitam": Mount("", port=one), "asapi": Mount("/as", port=two)}
        settings = replace(GatewaySettings(), mounts=mounts)
        async with gateway(tmp_path, settings, ada=ADA) as (world, tokens):
            token = tokens["ada"]
            assert (await get(world, token, "/status", port=one)).status_code == 200
            assert (await get(world, token, "/healthz", port=one)).json()["http_code"] == 404
            assert (await get(world, token, "/status")).status_code == 404
            told = (await get(world, token, "/as/account/", port=two)).json()
            submit = told["task_submission_endpoint"]
            assert (submit["host"], submit["uri"]) == (f"127.0.0.1:{two}", "/as/submit-task/")
            for path in ("/as", "/as//", "/"):
                answer = await get(world, token, path, port=two)
                assert (answer.status_code, answer.headers.get("location")) == (404, None)

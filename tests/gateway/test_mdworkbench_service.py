from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from longshore.gateway.settings import GatewaySettings, Mount
from longshore.v1.server_service_pb2 import SERVER_MODE_SUSPENDED
from tests.gateway.harness import gateway
from tests.gateway.test_mdworkbench_launch import refused
from tests.gateway.workbench import ADMIN, Entry, workbench

STORAGE = "com.sodius.mdw.server.storage.Storage"
OPTIONAL = {"name": "optional", "value": "true"}


async def test_a_service_says_what_it_takes_and_where_it_is_launched(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        answer = await here.ask("GET", "/service/naming")
        assert answer.headers["content-type"] == "application/json"
        naming = answer.json()
        assert naming == {
            "id": "naming",
            "uri": f"{here.base}/service/naming",
            "name": "Naming rules",
            "version": "1.2",
            "description": "Names things.",
            "launchFactory": f"{here.base}/launch?id=naming",
            "kind": "RULESET",
            "rule": "check",
            "parameters": [
                {"name": "folder", "type": "String", "properties": []},
                {"name": "depth", "type": "int", "properties": [OPTIONAL]},
                {
                    "name": "pin",
                    "type": "String",
                    "properties": [{"name": "password", "value": "true"}, OPTIONAL],
                },
            ],
            "properties": [],
        }
        counting = (await here.ask("GET", "/service/counting")).json()
        assert "rule" not in counting
        assert counting["kind"] == "OPERATION"
        assert [(one["name"], one["type"]) for one in counting["parameters"]] == [
            ("table", STORAGE),
            ("whole", "int"),
            ("number", "double"),
            ("truth", "boolean"),
            ("day", "String"),
            ("several", "String"),
            ("thing", "String"),
        ]
        assert counting["parameters"][0]["properties"] == [{"name": "direction", "value": "in"}]


async def test_services_that_can_be_launched_are_listed_by_kind(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:

        async def listed(query: str = "") -> list[str]:
            return [one["id"] for one in (await here.ask("GET", f"/service{query}")).json()]

        assert await listed() == ["counting", "naming", "resting & more", "stubborn"]
        assert await listed("?kind=RULESET") == ["naming"]
        assert await listed("?kind=OPERATION") == ["counting", "resting & more", "stubborn"]
        refused(await here.ask("GET", "/service?kind=x"), 400, "kind is RULESET or OPERATION")


async def test_links_of_services_lead_where_they_say(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        (rest,) = [
            one
            for one in (await here.ask("GET", "/service")).json()
            if one["id"] == "resting & more"
        ]
        assert (await here.ask("GET", rest["uri"])).json() == rest
        assert (await here.ask("POST", rest["launchFactory"])).status_code == 200


async def test_services_are_shown_in_xml(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        answer = await here.ask("GET", "/service", headers={"accept": "application/xml"})
        services = ET.fromstring(answer.content)
        assert services.tag == "services"
        (naming,) = services.findall("service[@id='naming']")
        assert naming.attrib["rule"] == "check"
        assert [one.attrib for one in naming.findall("parameters/parameter")] == [
            {"name": "folder", "type": "String"},
            {"name": "depth", "type": "int"},
            {"name": "pin", "type": "String"},
        ]
        properties = naming.findall("parameters/parameter[3]/properties/property")
        assert [one.attrib["name"] for one in properties] == ["password", "optional"]


async def test_what_cannot_be_launched_is_no_service(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        refused(
            await here.ask("GET", "/service/stevedore"), 404, "no service matches 'stevedore'"
        )
        assert (await here.ask("GET", "/service/nobody")).status_code == 404
        html = {"accept": "text/html"}
        for path in ("/service", "/service/naming"):
            assert (await here.ask("GET", path, headers=html)).status_code == 406


async def test_the_server_is_active_suspended_or_in_maintenance(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:

        async def state(**query: str) -> object:
            if query:
                answer = await here.ask("PUT", "/server/state", params=query, auth=ADMIN)
                assert (answer.status_code, answer.content) == (200, b"")
            return (await here.ask("GET", "/server/state", auth=ADMIN)).json()["state"]

        assert await state() == {"value": "active", "resumeOnRestart": True}
        assert await state(value="suspended") == {"value": "suspended", "resumeOnRestart": True}
        assert await state(value="maintenance", resumeOnRestart="false") == {
            "value": "maintenance",
            "resumeOnRestart": False,
        }
        assert (await state(value="active", resumeOnRestart="true")) == {
            "value": "active",
            "resumeOnRestart": True,
        }


async def test_the_state_counts_launches(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        running = await here.launch()
        await here.running(running)
        await here.launch()
        await here.suspend()
        await here.launch()
        answer = await here.ask("GET", "/server/state", auth=ADMIN)
        assert answer.json() == {
            "state": {"value": "suspended", "resumeOnRestart": True},
            "launch": {"running": 1, "waiting": 2},
        }
        xml = await here.ask(
            "GET", "/server/state", auth=ADMIN, headers={"accept": "application/xml"}
        )
        assert xml.content == (
            b"<?xml version='1.0' encoding='utf-8'?>\n"
            b'<server><state value="suspended" resumeOnRestart="true" />'
            b'<launch running="1" waiting="2" /></server>'
        )
        html = {"accept": "text/html"}
        unacceptable = await here.ask("GET", "/server/state", auth=ADMIN, headers=html)
        assert unacceptable.status_code == 406


async def test_a_state_that_there_is_not_is_400(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        values = "value is one of active, suspended, maintenance"
        for query, message in (
            ({}, values),
            ({"value": "ACTIVE"}, values),
            (
                {"value": "active", "resumeOnRestart": "yes"},
                "resumeOnRestart is true or false",
            ),
        ):
            answer = await here.ask("PUT", "/server/state", params=query, auth=ADMIN)
            refused(answer, 400, message)


async def test_what_is_suspended_is_accepted_and_starts_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        await here.suspend()
        assert (await here.root.server.status()).mode == SERVER_MODE_SUSPENDED
        location = await here.launch()
        assert (await here.ask("GET", location)).json()["state"] == "waiting"
        here.open.set()
        active = {"value": "active"}
        assert (await here.ask("PUT", "/server/state", params=active, auth=ADMIN)).is_success
        assert (await here.ended(location))["state"] == "completed"


async def test_links_are_those_of_the_public_url(tmp_path: Path) -> None:
    settings = GatewaySettings(public_url="https://work.example.org")
    async with workbench(tmp_path, settings) as here:
        naming = (await here.ask("GET", "/service/naming")).json()
        assert naming["uri"] == "https://work.example.org/mdworkbench/service/naming"
        stored = await here.ask("POST", "/storage", content=b"1,2")
        location = stored.headers["content-location"]
        assert location.startswith("https://work.example.org/mdworkbench/storage/")
        launched = await here.ask(
            "POST", "/launch?id=counting", files={"table": (None, location)}
        )
        path = launched.headers["content-location"].removeprefix(
            "https://work.example.org/mdworkbench"
        )
        await here.ended(path)
        assert here.seen[0]["bytes"] == b"1,2"


@pytest.mark.parametrize("mount", ["/", "/elsewhere/mdw"])
async def test_the_dialect_can_stand_anywhere(tmp_path: Path, mount: str) -> None:
    settings = replace(GatewaySettings(), mounts={"mdworkbench": Mount.parse(mount)})
    ada = Entry(name="ada", roles=("viewer",))
    async with gateway(tmp_path, settings, "mdworkbench", ada=ada) as (world, _):
        base = f"{world.url}{mount}".rstrip("/")
        stored = await world.http.post(f"{base}/storage", content=b"a")
        location = stored.headers["content-location"]
        assert location.startswith(f"{base}/storage/")
        assert (await world.http.get(location)).content == b"a"


async def test_headers_that_cannot_be_passed_on_are_400(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        for value in ("nörth".encode("latin-1"), b"x" * 200):
            answer = await here.ask(
                "GET", "/launch", auth=ADMIN, headers={b"x-tenant-id": value}
            )
            assert answer.status_code == 400, answer.text

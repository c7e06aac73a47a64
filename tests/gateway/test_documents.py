from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncGenerator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from longshore.gateway.canonical.bindings import bindings
from longshore.gateway.documents.dialects import merge
from longshore.gateway.documents.openapi import document
from longshore.gateway.links import Links
from longshore.gateway.settings import MOUNTS, GatewaySettings, Mount, TlsFiles
from tests.gateway.canonical import ADA
from tests.gateway.harness import World, gateway

VERBS = {"get", "put", "post", "delete", "patch", "head", "options"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    folder = tmp_path_factory.mktemp("documents")
    async with gateway(folder, GatewaySettings(), *MOUNTS, ada=ADA) as (made, _):
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def spec(world: World) -> dict[str, Any]:
    answer = await world.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    made: dict[str, Any] = answer.json()
    return made


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in spec["paths"].items():
        for verb in VERBS & set(item):
            yield verb, path, item[verb]


def references(value: Any) -> Iterator[str]:
    plain: Any = value
    if isinstance(value, list):
        for one in plain:
            yield from references(one)
    elif isinstance(value, dict):
        for name, one in plain.items():
            if name == "$ref" and isinstance(one, str):
                yield one
            yield from references(one)


async def test_the_document_has_every_method_and_every_dialect(spec: dict[str, Any]) -> None:
    assert spec["openapi"] == "3.1.0"
    described = [one for _, path, one in operations(spec) if path.startswith("/v1/")]
    methods = {one.method.full_name for one in bindings()}
    found = {f"{one['tags'][0]}.{one['operationId'].rpartition('_')[2]}" for one in described}
    assert found == methods
    for name, mount in MOUNTS.items():
        of_dialect = [one for _, path, one in operations(spec) if path.startswith(f"{mount}/")]
        assert of_dialect, name
        assert {one["tags"][0] for one in of_dialect} == {name}


async def test_the_document_is_whole(spec: dict[str, Any]) -> None:
    for reference in references(spec):
        place: Any = spec
        for name in reference.removeprefix("#/").split("/"):
            assert name in place, reference
            place = place[name]
    names = [one["operationId"] for _, _, one in operations(spec)]
    assert len(names) == len(set(names))
    tags = [tag["name"] for tag in spec["tags"]]
    assert {one["tags"][0] for _, _, one in operations(spec)} <= set(tags)
    alike = [re.sub(r"\{[^}]*\}", "{}", path) for path in spec["paths"]]
    assert len(alike) == len(set(alike))
    schemes = spec["components"]["securitySchemes"]
    for _, _, one in operations(spec):
        assert all(name in schemes for need in one.get("security", []) for name in need)


async def test_variables_of_paths_are_described(spec: dict[str, Any]) -> None:
    for verb, path, one in operations(spec):
        shared = spec["paths"][path].get("parameters", [])
        told = {
            given["name"]
            for given in [*one.get("parameters", []), *shared]
            if given.get("in") == "path"
        }
        assert told == set(re.findall(r"\{([^}]*)\}", path)), f"{verb} {path}"


async def test_descriptions_are_the_comments_of_the_contract(spec: dict[str, Any]) -> None:
    watch = spec["paths"]["/v1/tasks:watch"]["get"]
    assert watch["summary"].startswith("Streams what happens to tasks")
    assert "REVISION_COMPACTED" in watch["description"]
    (ids,) = (one for one in watch["parameters"] if one.get("name") == "ids")
    assert ids["schema"] == {"type": "array", "items": {"type": "string"}}
    assert ids["description"].startswith("The ids or numbers of the tasks")
    schemas = spec["components"]["schemas"]
    state = schemas["longshore.v1.State"]
    assert "STATE_SUSPENDED" in state["enum"]
    assert "* `STATE_RUNNING`: " in state["description"]
    spec_of_task = schemas["longshore.v1.TaskSpec"]
    assert spec_of_task["required"] == ["actions"]
    assert schemas["longshore.v1.ActionCall"]["properties"]["argumentPaths"] == {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": schemas["longshore.v1.ActionCall"]["properties"]["argumentPaths"][
            "description"
        ],
    }


@pytest.mark.parametrize(
    "verb, path, statuses",
    [
        ("post", "/ghibli-rest/v2/job-manager/jobs", "201 409 400 401 403 404 503"),
        ("get", "/ghibli-rest/v2/job-manager/jobs", "200 400 401 403 503"),
        ("get", "/mdworkbench/launch", "200 401 403"),
        ("post", "/mdworkbench/launch", "200 400 404 415 503"),
        ("put", "/mdworkbench/launch", "200 400 401 403"),
        ("get", "/mdworkbench/launch/{launch_id}", "200 404"),
        ("delete", "/mdworkbench/launch/{launch_id}", "200 404"),
        ("get", "/ehealth/patients/composition/job/{asyncJobId}", "200 400 401 403 404"),
    ],
)
async def test_statuses_of_dialects_are_described_one_by_one(
    spec: dict[str, Any], verb: str, path: str, statuses: str
) -> None:
    answers = spec["paths"][path][verb]["responses"]
    assert set(statuses.split()) <= set(answers)
    assert all(one["description"] for one in answers.values())


async def test_what_is_in_the_path_is_not_in_the_body(spec: dict[str, Any]) -> None:
    cancel = spec["paths"]["/v1/tasks/{id}:cancel"]["post"]
    body = cancel["requestBody"]
    assert set(body["content"]["application/json"]["schema"]["properties"]) == {
        "message",
        "force",
    }
    assert body["required"] is False
    apply = spec["paths"]["/v1/contracts/{name}"]["put"]
    assert apply["requestBody"]["required"] is True
    assert [one["name"] for one in apply["parameters"] if one.get("in") == "path"] == ["name"]


def test_dialects_that_were_moved_are_described_where_they_are() -> None:
    made = FastAPI(title="Odd", description="An API.", openapi_url=None)

    @made.get("/", operation_id="root", responses={404: {"model": None}})
    async def root() -> None: ...  # pyright: ignore[reportUnusedFunction]

    mounts = {
        "one": Mount(""),
        "two": Mount("", port=8001),
        "three": Mount("/x", host="old.example.org"),
    }
    settings = GatewaySettings(mounts=mounts, public_url="https://work.example.org/")
    spec = document(bindings(), dict.fromkeys(mounts, made), settings)
    assert spec["servers"] == [{"url": "https://work.example.org"}]
    assert spec["paths"]["/"]["get"]["operationId"] == "one_root"
    assert spec["paths"]["/#two"]["servers"] == [{"url": "https://work.example.org:8001"}]
    assert spec["paths"]["/x/"]["servers"] == [{"url": "https://old.example.org"}]
    assert spec["paths"]["/"]["get"]["security"] == [{}]
    assert spec["tags"][-1] == {"name": "three", "description": "Odd\n\nAn API."}
    tls = TlsFiles(Path("cert.pem"), Path("key.pem"))
    for files, scheme in (None, "http"), (tls, "https"):
        spec = document(
            bindings(), dict.fromkeys(mounts, made), GatewaySettings(mounts=mounts, tls=files)
        )
        assert spec["paths"]["/#two"]["servers"][0]["url"] == f"{scheme}://{{host}}:8001"
        assert spec["paths"]["/x/"]["servers"] == [{"url": "//old.example.org"}]


def test_components_of_a_dialect_have_names_of_their_own() -> None:
    into: dict[str, Any] = {"paths": {}, "components": {"schemas": {"A": {}}}, "tags": []}
    own: dict[str, Any] = {
        "info": {"title": "Odd"},
        "security": [{"key": []}],
        "paths": {"/a": {"get": {"x": {"$ref": "#/components/schemas/A"}}}},
        "components": {"schemas": {"A": {"type": "string"}}, "securitySchemes": {"key": {}}},
    }
    settings = GatewaySettings(mounts={"odd": Mount("/odd")})
    merge(into, "odd", own, Links(settings, "odd"))
    assert into["components"] == {
        "schemas": {"A": {}, "odd.A": {"type": "string"}},
        "securitySchemes": {"odd.key": {}},
    }
    assert into["paths"]["/odd/a"]["get"] == {
        "x": {"$ref": "#/components/schemas/odd.A"},
        "tags": ["odd"],
        "security": [{"odd.key": []}],
    }


class Loaded(HTMLParser):
    """Notes what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.inside: dict[str, str] = {}
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "action")
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style"):
            self.inside[self._tag] = self.inside.get(self._tag, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""


async def test_the_page_needs_nothing_from_elsewhere(world: World) -> None:
    answer = await world.http.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self'" in policy
    page = Loaded()
    page.feed(answer.text)
    assert page.links == ["openapi.json"]
    assert page.handlers == []
    assert "http" not in answer.text.replace("https://", "http://").split("<script>")[0]
    for kind, text in page.inside.items():
        assert f"{kind}-src 'sha256-" in policy, kind
        assert _hash(text) in policy
        assert "://" not in text
    assert "innerHTML" not in page.inside["script"]
    assert "eval" not in page.inside["script"]


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


async def test_documents_answer_head_and_nothing_else(world: World) -> None:
    for path in ("/docs", "/openapi.json"):
        answer = await world.http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await world.http.post(path)).status_code in (404, 405)


async def test_the_document_does_not_need_a_credential(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.url, timeout=30) as stranger:
        assert (await stranger.get("/openapi.json")).status_code == 200


def test_a_gateway_without_dialects_describes_the_contract_alone() -> None:
    spec = document(bindings(), {}, GatewaySettings())
    assert spec["servers"] == [{"url": "/"}]
    assert all(path.startswith("/v1/") for path in spec["paths"])

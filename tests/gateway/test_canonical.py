from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status
from structlog.testing import capture_logs

from longshore.gateway.canonical import streams
from longshore.gateway.canonical.bindings import Routes, bindings
from longshore.gateway.canonical.printing import printed
from longshore.gateway.settings import GatewaySettings, Limits
from tests.gateway.canonical import Site, lines, site
from tests.gateway.harness import WAYS

pytestmark = pytest.mark.timeout(120)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=WAYS)
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Site]:
    settings = GatewaySettings(limits=Limits(body_bytes=64 * 1024))
    async with site(tmp_path_factory.mktemp("canonical"), settings, request.param) as made:
        yield made


class Asked:
    """Asks, and notes which methods were."""

    def __init__(self, here: Site) -> None:
        self.here = here
        self.methods: set[str] = set()
        self._routes = Routes(bindings())

    async def __call__(
        self, verb: str, path: str, body: Any = None, **more: Any
    ) -> dict[str, Any]:
        self._note(verb, path)
        return await self.here.good(verb, path, body, **more)

    async def lines(self, verb: str, path: str, body: Any = None) -> list[Any]:
        """Return the messages of a stream that ends."""
        self._note(verb, path)
        answer = await self.here.ask(verb, path, body)
        assert answer.status_code == 200, answer.text
        return [line["result"] for line in lines(answer)]

    async def first(self, path: str) -> Any:
        """Return the first message of a stream that does not end."""
        self._note("GET", path)
        async with self.here.world.http.stream("GET", path) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                return httpx.Response(200, text=line).json()["result"]
        raise AssertionError("the stream has ended")

    def _note(self, verb: str, path: str) -> None:
        found = self._routes.find(path.partition("?")[0])
        assert found, path
        self.methods.add(found[verb].method.full_name)


async def test_every_method_of_the_contract_that_has_an_annotation_is_served(
    here: Site,
) -> None:
    ask = Asked(here)
    await _server(ask)
    await _catalog(ask)
    await _tasks(ask)
    await _results(ask)
    await _jobs(ask)
    await _launches(ask)
    await _files(ask, here)
    await _operations(ask)
    annotated = {one.method.full_name for one in bindings()}
    assert annotated - ask.methods == set()
    assert len(annotated) == 66


async def _server(ask: Asked) -> None:
    status = await ask("GET", "/v1/server")
    assert (status["status"], status["mode"]) == (
        "SERVER_STATUS_ACTIVE",
        "SERVER_MODE_ACTIVE",
    )
    mode = await ask("POST", "/v1/server:setMode", {"mode": "SERVER_MODE_ACTIVE"})
    assert mode == {"mode": "SERVER_MODE_ACTIVE", "resumeOnRestart": True}
    caller = await ask("GET", "/v1/caller")
    assert (caller["principal"], caller["tenants"]) == ("ada", ["default"])
    workers = await ask("GET", "/v1/workers?page_size=3")
    assert workers["workers"]


async def _catalog(ask: Asked) -> None:
    services = await ask("GET", "/v1/services?kind=SERVICE_KIND_OPERATION")
    assert [one["slug"] for one in services["services"]] == ["letter"]
    service = await ask("GET", "/v1/services/office")
    assert service["service"]["actions"][0]["description"] == "Greet somebody."
    template = {"name": "hello", "actions": [{"action": "greet"}]}
    contract = {"name": "ignored", "actions": [{"name": "hello", "template": template}]}
    applied = await ask("PUT", "/v1/contracts/post%3Aoffice", contract)
    assert applied["contract"]["name"] == "post:office"
    assert isinstance(applied["contract"]["actions"][0]["template"]["revision"], str)
    assert await ask("GET", "/v1/contracts/post:office") == {"contract": applied["contract"]}
    assert len((await ask("GET", "/v1/contracts"))["contracts"]) == 1
    task = {"actions": [{"action": "greet"}]}
    schedule = {"interval": "3600s", "task": task, "paused": True}
    applied = await ask("PUT", "/v1/schedules/hourly", schedule)
    assert applied["schedule"]["interval"] == "3600s"
    assert await ask("GET", "/v1/schedules/hourly") == {"schedule": applied["schedule"]}
    assert len((await ask("GET", "/v1/schedules"))["schedules"]) == 1
    assert await ask("DELETE", "/v1/schedules/hourly") == {}
    account = {"service": "office", "username": "ada@example.org"}
    assert (await ask("POST", "/v1/accounts", account))["account"]["service"] == "office"
    assert len((await ask("GET", "/v1/accounts"))["accounts"]) == 1
    assert await ask("POST", "/v1/accounts:deregister", account) == {}
    queue = await ask("PATCH", "/v1/queues/other", {"concurrencyLimit": 3})
    assert queue["queue"]["concurrencyLimit"] == 3
    assert "other" in [one["name"] for one in (await ask("GET", "/v1/queues"))["queues"]]


async def _tasks(ask: Asked) -> None:
    spec = {"actions": [{"action": "greet", "arguments": {"name": "Ada"}}]}
    submitted = await ask("POST", "/v1/tasks", {"spec": spec, "options": {"suspended": True}})
    assert submitted["created"] is True
    one = f"/v1/tasks/{submitted['task']['metadata']['id']}"
    assert (await ask("GET", f"{one}?view=VIEW_BASIC"))["task"]["status"][
        "state"
    ] == "STATE_SUSPENDED"
    assert (await ask("POST", f"{one}:resume", {}))["task"]["metadata"]["number"]
    changes = await ask.lines("GET", f"/v1/tasks:watch?ids={one.rpartition('/')[2]}")
    assert changes[-1]["end"] == "END_DONE"
    assert await ask.lines("GET", f"{one}/result") == [
        {"contentType": "application/json", "data": "eyJncmVldGluZyI6IkhlbGxvLCBBZGEhIn0="}
    ]
    again = await ask("POST", f"{one}:resubmit")
    assert again["task"]["metadata"]["id"] not in one
    assert (await ask.lines("POST", "/v1/tasks:run", {"spec": spec}))[0]["created"] is True
    held = await ask("POST", "/v1/tasks:batchSubmit", {"requests": [{"spec": spec}, {}]})
    assert [list(item) for item in held["results"]] == [["submitted"], ["error"]]
    got = await ask("POST", "/v1/tasks:batchGet", {"ids": [one.rpartition("/")[2], "no"]})
    assert len(got["tasks"]) == 1
    later = {"startTime": "2100-01-01T00:00:00Z"}
    waiting = await ask("POST", "/v1/tasks", {"spec": spec, "options": later})
    one = f"/v1/tasks/{waiting['task']['metadata']['id']}"
    suspended = await ask("POST", f"{one}:suspend")
    assert suspended["task"]["options"]["startTime"] == "2100-01-01T00:00:00Z"
    canceled = await ask("POST", f"{one}:cancel", {"message": "no need"})
    assert canceled["task"]["status"]["state"] == "STATE_CANCELED"
    listed = await ask(
        "GET", "/v1/tasks", params={"filter": "state=CANCELED", "withTotal": "true"}
    )
    assert (listed["totalSize"], len(listed["tasks"])) == ("1", 1)


async def _results(ask: Asked) -> None:
    task_id = await ask.here.submit(delivery="DELIVERY_MODE_CHANNEL")
    stream = (await ask("GET", "/v1/caller"))["stream"]
    message = await ask.first(f"/v1/tasks:streamResults?stream={stream}&after_revision=0")
    assert message["task"]["metadata"]["id"] == task_id
    assert message["data"] == "eyJncmVldGluZyI6IkhlbGxvLCBBZGEhIn0="
    assert await ask("POST", "/v1/tasks:acknowledgeResults", {"ids": [task_id]}) == {}


async def _jobs(ask: Asked) -> None:
    spec = {"contract": "post:office", "action": "hello"}
    held = {"spec": spec, "options": {"suspended": True}}
    job = (await ask("POST", "/v1/jobs", held))["job"]
    one = f"/v1/jobs/{job['metadata']['id']}"
    assert (await ask("GET", one))["job"]["workflow"]["templateName"] == "hello"
    moved = await ask("POST", f"{one}:move", {"queue": "other"})
    assert moved["job"]["options"]["queue"] == "other"
    await ask("POST", f"{one}:resume")
    changes = await ask.lines("GET", f"/v1/jobs:watch?ids={job['metadata']['id']}")
    assert changes[-1]["end"] == "END_DONE"
    assert (await ask("POST", f"{one}:resubmit", {"fromFailed": False}))["job"]
    assert (await ask.lines("POST", "/v1/jobs:run", {"spec": spec}))[-1]["end"] == "END_DONE"
    job = (await ask("POST", "/v1/jobs", {"spec": spec, "options": _later()}))["job"]
    one = f"/v1/jobs/{job['metadata']['id']}"
    assert (await ask("POST", f"{one}:suspend"))["job"]
    assert (await ask("POST", f"{one}:cancel"))["job"]["status"]["state"] == "STATE_CANCELED"
    assert len((await ask("GET", "/v1/jobs"))["jobs"]) == 4
    await ask("DELETE", "/v1/contracts/post:office")


async def _launches(ask: Asked) -> None:
    held = {"spec": {"service": "letter"}, "options": {"suspended": True}}
    launch = (await ask("POST", "/v1/launches", held))["launch"]
    launch_id = launch["metadata"]["id"]
    one = f"/v1/launches/{launch_id}"
    assert (await ask("GET", one))["launch"]["spec"]["service"] == "letter"
    queue = await ask("GET", "/v1/launches:queue?kind=SERVICE_KIND_OPERATION")
    assert [one["metadata"]["id"] for one in queue["launches"]] == [launch_id]
    moved = await ask(
        "POST", "/v1/launches:move", {"ids": [launch_id], "direction": "DIRECTION_TOP"}
    )
    assert len(moved["launches"]) == 1
    await ask("POST", f"{one}:resume")
    assert (await ask.lines("GET", f"/v1/launches:watch?ids={launch_id}"))[-1]["end"]
    pieces = await ask.lines("GET", f"{one}/files")
    assert pieces[0]["data"].startswith("UEs")
    zipped = await ask.here.ask(
        "GET", f"{one}/files", headers={"accept": "application/zip, */*;q=0.1"}
    )
    assert zipped.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as files:
        assert files.read("letter.txt") == b"Dear Ada"
    await ask("POST", f"{one}:resubmit")
    assert await ask.lines("POST", "/v1/launches:run", {"spec": {"service": "letter"}})
    later = {"spec": {"service": "letter"}, "options": _later()}
    one = (
        f"/v1/launches/{(await ask('POST', '/v1/launches', later))['launch']['metadata']['id']}"
    )
    await ask("POST", f"{one}:suspend")
    await ask("POST", f"{one}:cancel")
    assert len((await ask("GET", "/v1/launches"))["launches"]) == 4


async def _files(ask: Asked, here: Site) -> None:
    file = await here.ada.files.upload(b"\x00\x01", path="a/b.bin", content_type="image/png")
    one = f"/v1/files/{file.file_id}"
    assert (await ask("GET", one))["file"]["size"] == "2"
    first, *_ = await ask.lines("GET", f"{one}:download")
    assert (first["file"]["path"], first["data"]) == ("a/b.bin", "AAE=")
    assert await ask("DELETE", one) == {}


async def _operations(ask: Asked) -> None:
    task_id = await ask.here.submit("wait")
    explained = await ask("GET", f"/v1/any/{task_id}:explain")
    assert set(explained) == {"reasons", "state"} or explained
    assert (await ask("GET", f"/v1/any/{task_id}"))["task"]["metadata"]["kind"] == "KIND_TASK"
    history = await ask("GET", f"/v1/any/{task_id}/history?details=submitted&page_size=1")
    assert "submitted" in history["events"][0]
    assert (await ask.first("/v1/any:watch?filter=submitter=nobody"))["revision"]
    generic = await ask("GET", f"/v1/operations/{task_id}")
    assert (generic["name"], generic["done"]) == (f"operations/{task_id}", False)
    assert generic["metadata"]["@type"] == "type.googleapis.com/longshore.v1.Task"
    assert (await ask("GET", "/v1/operations?page_size=1"))["nextPageToken"]
    assert await ask("POST", f"/v1/operations/{task_id}:cancel", {}) == {}
    ask.here.open.set()
    await ask.here.ended(task_id)
    assert await ask("DELETE", f"/v1/operations/{task_id}") == {}
    ask.here.open.clear()


def _later() -> dict[str, str]:
    return {"startTime": "2100-01-01T00:00:00Z"}


async def test_answers_are_proto3_json_with_all_fields_but_unset_messages(here: Site) -> None:
    task_id = await here.submit(labels={"a": "b"}, suspended=True)
    answer = await here.ask("GET", f"/v1/tasks/{task_id}")
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    task = answer.json()["task"]
    assert task["metadata"] == {
        "id": task_id,
        "number": task["metadata"]["number"],
        "kind": "KIND_TASK",
        "tenant": "default",
        "submitter": "ada",
        "createTime": task["metadata"]["createTime"],
        "requestId": task["metadata"]["requestId"],
        "labels": {"a": "b"},
    }
    assert task["metadata"]["number"].isdecimal()
    assert task["spec"]["actions"][0]["arguments"] == {"name": "Ada"}
    assert "startTime" not in task["status"]
    assert task["status"]["cancelRequested"] is False


async def test_what_is_wrong_with_a_body_is_told_by_field(here: Site) -> None:
    body = {"spek": {}, "spec": {"actions": [{"acton": "greet"}, {"action": "a", "x": 1}]}}
    answer = await here.ask("POST", "/v1/tasks", body)
    assert answer.status_code == 400
    status = answer.json()
    assert status["code"] == 3
    info, request = status["details"]
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "INVALID_FIELD",
        "domain": "longshore.dev",
        "metadata": {},
    }
    assert request["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    found = [(one["field"], one["reason"]) for one in request["fieldViolations"]]
    assert found == [
        ("spek", "UNKNOWN"),
        ("spec.actions[0].acton", "UNKNOWN"),
        ("spec.actions[1].x", "UNKNOWN"),
    ]
    assert "spec.actions[0].acton" in status["message"]


@pytest.mark.parametrize(
    "body, field",
    [
        ({"spec": {"actions": 1}}, "spec.actions"),
        ({"spec": {"name": 1}}, "spec.name"),
        ({"spec": {"actions": [None]}}, "spec.actions[0]"),
        ({"spec": {"context": 3}}, "spec.context"),
        ({"spec": {"context": {"a": 10**400}}}, "SubmitTaskRequest"),
        ({"options": {"startTime": "tomorrow"}}, "options.startTime"),
        ({"options": {"runTimeout": "1"}}, "options.runTimeout"),
        ({"options": {"delivery": "X"}}, "options.delivery"),
        (
            {"options": {"retry": {"backoffMultiplier": "much"}}},
            "options.retry.backoffMultiplier",
        ),
        ({"options": {"labels": {"a": 1}}}, "options.labels"),
        ({"options": {"priority": 2**40}}, "options.priority"),
    ],
)
async def test_values_that_a_field_cannot_have_are_refused_where_they_stand(
    here: Site, body: dict[str, Any], field: str
) -> None:
    answer = await here.ask("POST", "/v1/tasks", body)
    assert answer.status_code == 400, answer.text
    (violation,) = answer.json()["details"][1]["fieldViolations"]
    assert (violation["field"], violation["reason"]) == (field, "INVALID")


@pytest.mark.parametrize(
    "content, kind, status",
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"spec":{},"spec":{}}', "application/json", 400),
        (b'{"spec":{"context":{"a":NaN}}}', "application/json", 400),
        (b'{"a":"\xff"}', "application/json", 400),
        (b'{"spec":{"name":"\\ud800"}}', "application/json", 400),
        (b'{"spec":{"context":{"\\ud800":1}}}', "application/json", 400),
        (b"[" * 30_000, "application/json", 400),
        (b" " * 65_537, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
async def test_bodies_that_are_no_json_are_refused(
    here: Site, content: bytes, kind: str, status: int
) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await here.world.http.post("/v1/tasks", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, 3), answer.text
    reason = answer.json()["details"][0]["reason"]
    assert reason == ("PAYLOAD_TOO_LARGE" if status == 413 else "INVALID_FIELD")


async def test_who_leaves_in_the_midst_of_a_body_is_no_fault(here: Site) -> None:
    place = urlsplit(here.world.url)
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(b"POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
        await writer.drain()
        writer.close()
        async with asyncio.timeout(30):
            while not logs:
                await asyncio.sleep(0.01)
    assert [(one["event"], one["status"]) for one in logs] == [("request", 0)]


async def test_a_body_that_is_empty_and_other_kinds_of_json_are_fine(here: Site) -> None:
    task_id = await here.submit(startTime="2100-01-01T00:00:00Z")
    answer = await here.world.http.post(f"/v1/tasks/{task_id}:suspend")
    assert answer.status_code == 200
    answer = await here.world.http.post(
        f"/v1/tasks/{task_id}:resume",
        content=b"{}",
        headers={"content-type": "application/vnd.longshore+json; charset=utf-8"},
    )
    assert answer.status_code == 200


async def test_a_path_counts_more_than_the_body(here: Site) -> None:
    task_id = await here.submit(suspended=True)
    answer = await here.good("POST", f"/v1/tasks/{task_id}:cancel", {"id": "another"})
    assert answer["task"]["metadata"]["id"] == task_id


@pytest.mark.parametrize(
    "query, fields",
    [
        ("nonsense=1&spec.name=x", {"nonsense": "UNKNOWN", "spec.name": "UNKNOWN"}),
        ("page_size=many", {"page_size": "INVALID"}),
        ("page_size=1&page_size=2", {"page_size": "INVALID"}),
        ("view=VIEW_ODD", {"view": "INVALID"}),
        ("with_total=yes", {"with_total": "INVALID"}),
        ("filter.x=1", {"filter.x": "UNKNOWN"}),
    ],
)
async def test_what_is_wrong_with_a_query_is_told_by_field(
    here: Site, query: str, fields: dict[str, str]
) -> None:
    answer = await here.ask("GET", f"/v1/tasks?{query}")
    assert answer.status_code == 400
    violations = answer.json()["details"][1]["fieldViolations"]
    assert {one["field"]: one["reason"] for one in violations} == fields


@pytest.mark.parametrize("query", ["page_size", "filter=%ff", "a=1&&b=2"])
async def test_a_query_that_cannot_be_read_is_refused(here: Site, query: str) -> None:
    answer = await here.ask("GET", f"/v1/tasks?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


async def test_a_method_whose_fields_are_in_its_body_has_no_query(here: Site) -> None:
    answer = await here.ask("POST", "/v1/tasks?request_id=1", {})
    assert answer.status_code == 400
    assert "no query" in answer.json()["message"]


async def test_refusals_of_the_server_come_with_their_details(here: Site) -> None:
    task_id = await here.submit(suspended=True)
    answer = await here.ask("POST", f"/v1/tasks/{task_id}:suspend")
    assert answer.status_code == 400
    status = answer.json()
    assert status["code"] == 9
    assert status["details"][0]["reason"] == "WRONG_STATE"
    assert status["details"][0]["metadata"]["state"] == "SUSPENDED"
    assert status["details"][1]["@type"].endswith("PreconditionFailure")


@pytest.mark.parametrize(
    "verb, path, body, status, reason",
    [
        ("GET", "/v1/tasks/nobody", None, 404, "OPERATION_NOT_FOUND"),
        ("GET", "/v1/tasks/%2e%2e%2fx", None, 404, "OPERATION_NOT_FOUND"),
        ("GET", "/v1/tasks?page_token=x", None, 400, "INVALID_PAGE_TOKEN"),
        ("GET", "/v1/tasks:watch?after_revision=99999999", None, 400, "REVISION_IN_FUTURE"),
        (
            "POST",
            "/v1/tasks",
            {"spec": {"actions": [{"action": "no"}]}},
            404,
            "ACTION_NOT_FOUND",
        ),
    ],
)
async def test_codes_of_grpc_become_statuses_of_http(
    here: Site,
    verb: str,
    path: str,
    body: Any,
    status: int,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_FIRST_SECONDS", 30.0)  # However busy the machine is.
    answer = await here.ask(verb, path, body)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (status, reason)


async def test_a_request_id_that_is_used_again_is_a_conflict(here: Site) -> None:
    body = {"spec": {"actions": [{"action": "greet"}]}, "requestId": "r-1"}
    first = await here.good("POST", "/v1/tasks", body)
    again = await here.good("POST", "/v1/tasks", body)
    assert (first["created"], again["created"]) == (True, False)
    other = {**body, "options": {"priority": 9}}
    answer = await here.ask("POST", "/v1/tasks", other)
    assert (answer.status_code, answer.json()["code"]) == (409, 6)


async def test_strangers_are_told_how_to_show_who_they_are(here: Site) -> None:
    for shown in ("", "Bearer wrong", "Bearer \xe9"):
        headers = [(b"authorization", shown.encode("latin-1"))] if shown else []
        async with httpx.AsyncClient(base_url=here.world.url, timeout=30) as stranger:
            answer = await stranger.get("/v1/caller", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="longshore"'
        assert answer.json()["details"][0]["reason"] == "UNAUTHENTICATED"


async def test_a_tenant_that_is_not_the_callers_is_forbidden(here: Site) -> None:
    answer = await here.ask("GET", "/v1/tasks", headers={"x-tenant-id": "elsewhere"})
    assert answer.status_code == 403
    assert answer.json()["details"][0]["reason"] == "TENANT_NOT_PERMITTED"
    answer = await here.ask("GET", "/v1/tasks", headers=[("x-tenant-id", b"\xe9")])
    assert answer.status_code == 400


async def test_maintenance_is_unavailable_and_says_when_to_come_again(here: Site) -> None:
    await here.good("POST", "/v1/server:setMode", {"mode": "SERVER_MODE_MAINTENANCE"})
    try:
        answer = await here.ask(
            "POST", "/v1/tasks", {"spec": {"actions": [{"action": "greet"}]}}
        )
    finally:
        await here.good("POST", "/v1/server:setMode", {"mode": "SERVER_MODE_ACTIVE"})
    assert (answer.status_code, answer.json()["code"]) == (503, 14)
    assert int(answer.headers["retry-after"]) > 0


async def test_ids_of_requests_go_all_the_way(here: Site) -> None:
    body = {"spec": {"actions": [{"action": "greet"}]}}
    answer = await here.ask("POST", "/v1/tasks", body, headers={"x-request-id": "abc"})
    assert answer.headers["x-request-id"] == "abc"
    assert answer.json()["task"]["metadata"]["requestId"] == "abc"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/task",
        "/v1/tasks/",
        "/v1/tasks/a/b",
        "/v2/tasks",
        "/v1/tasks:no",
    ],
)
async def test_where_nothing_is_a_status_says_so(here: Site, path: str) -> None:
    answer = await here.ask("GET", path)
    assert answer.status_code == 404
    assert answer.json() == {
        "code": 5,
        "message": f"there is nothing at {path}",
        "details": [],
    }


async def test_verbs_that_a_path_does_not_have_are_told_which_it_has(here: Site) -> None:
    answer = await here.ask("DELETE", "/v1/tasks")
    assert (answer.status_code, answer.json()["code"]) == (405, 12)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    answer = await here.ask("GET", "/v1/tasks/1:cancel")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    answer = await here.ask("OPTIONS", "/v1/contracts/x")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"


async def test_head_is_get_without_the_body(here: Site) -> None:
    got = await here.ask("GET", "/v1/caller")
    answer = await here.ask("HEAD", "/v1/caller")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == got.headers["content-length"]
    answer = await asyncio.wait_for(here.ask("HEAD", "/v1/any:watch"), 30)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_unknown_details_of_failures_are_shown_as_bytes() -> None:
    odd = AnyMessage(type_url="type.googleapis.com/odd.Thing", value=b"\x01")
    shown = httpx.Response(200, content=printed(Status(code=2, details=[odd]))).json()
    assert shown["details"] == [{"@type": "type.googleapis.com/odd.Thing", "value": "AQ=="}]

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from longshore.client import Relay, from_struct
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.v1.operation_pb2 import CallbackFormat, DeliveryMode
from longshore.v1.server_service_pb2 import (
    SERVER_MODE_ACTIVE,
    SERVER_MODE_MAINTENANCE,
    SERVER_MODE_SUSPENDED,
)
from tests.gateway.harness import Entry, GatewaySettings, Mount, gateway
from tests.gateway.vitam import MUCH, Vitam, gate, new_worker

#: As the page of the contract has it.
SAMPLE: dict[str, Any] = {
    "Step": "name",
    "otherInfo": "other info",
    "actions": [
        {
            "action": "id_action",
            "arguments": {"nom_champ_1": "jxpath1", "nom_champ_2": "jxpath2"},
            "results": {"nom_champ_3": None, "nom_champ_4": None},
            "status": "Running",
            "post_assign": [{"target": "jxpath3", "result": "construction1"}],
            "start_time": "1990-12-31T23:59:60Z",
            "end_time": "1990-12-31T23:59:60Z",
        }
    ],
}

GENERIC = {
    "X-RequestId": "id",
    "code": 201,
    "vitamCode": 123456,
    "timestamp": "2015-07-14T17:07:14Z",
    "message": "message informatif retour",
}

NOBODY = "01a2078d-833a-702f-a60e-f89f7d383b17"

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

MILLISECONDS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vitams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Vitam]]:
    entries = {
        "ada": Entry(name="ada", roles=("submitter",), tenants=("default", "0")),
        "bob": Entry(name="bob", roles=("submitter", "operator"), tenants=("7",)),
        "eve": Entry(name="eve", roles=("viewer",)),
        "hand": Entry(name="hand", roles=("worker",), tenants=("0",)),
    }
    folder = tmp_path_factory.mktemp("vitam")
    async with gateway(folder, None, "vitam", **entries) as (world, tokens):
        await world.work(new_worker())
        yield {name: Vitam(world, token) for name, token in tokens.items()}


@pytest.fixture
def vitam(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["ada"]


def refusal(http_code: int, description: str, state: str, message: str) -> dict[str, Any]:
    return {
        "http_code": http_code,
        "code": "ingest",
        "state": state,
        "message": message,
        "description": description,
    }


def unauthorized(description: str) -> dict[str, Any]:
    return refusal(401, description, "Unauthorized", "Unauthorized, authentication in error")


def absent(description: str) -> dict[str, Any]:
    message = "Not Found, requested resource does not exist"
    return refusal(404, description, "Item_Not_Found", message)


def conflict(description: str) -> dict[str, Any]:
    message = "Conflict, operation requested is in conflict with existing data"
    return refusal(409, description, "Conflict", message)


def unmet(description: str) -> dict[str, Any]:
    message = (
        "Precondition Failed, some predicates are incorrect, therefore the operation is not"
        " possible"
    )
    return refusal(412, description, "Precondition_Failed", message)


# What every answer has


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


# Submitting


async def test_the_sample_of_the_contract_runs_once_its_paths_lead_somewhere(
    vitam: Vitam,
) -> None:
    leading = {"jxpath1": "un", "jxpath2": "deux", "construction1": ["built"]}
    answer = await vitam.ask("POST", "/tasks", {**SAMPLE, **leading})
    told = answer.json()
    base = f"{vitam.world.url}/vitam/v1/tasks/{told['id']}"
    assert answer.status_code == 201
    assert answer.headers["location"] == base
    assert told == {
        "id": told["id"],
        "type": "ingest",
        "state": "pending",
        "task_status": "commit",
    }
    done = await vitam.ended(told["id"])
    for date in ("start_date", "end_date", "expiration_date"):
        assert MILLISECONDS.fullmatch(done.pop(date))
    assert done == {
        "id": told["id"],
        "type": "ingest",
        "state": "done",
        "task_status": "commit",
        "result_link": f"{base}/result",
    }
    result = await vitam.ask("GET", done["result_link"])
    assert result.status_code == 200
    assert result.headers["content-type"] == "application/json"
    assert result.headers["fullapiversion"] == "V1.0"
    assert result.json() == {"nom_champ_3": "un", "nom_champ_4": "deux", "other": "dropped"}
    async with vitam.world.client(vitam.token) as client:
        task = (await client.tasks.get(told["id"])).message
        assert task.spec.name == "name"
        kept = from_struct(task.spec.context)
        assert kept == {**SAMPLE, **leading}  # Leap seconds and all.
        results = from_struct(task.status.actions[0].results)
        assert results == {"nom_champ_3": "un", "nom_champ_4": "deux"}


async def test_the_sample_as_it_stands_fails_where_its_path_leads_nowhere(
    vitam: Vitam,
) -> None:
    task_id = (await vitam.ask("POST", "/tasks", SAMPLE)).json()["id"]
    failed = await vitam.ended(task_id)
    assert (failed["state"], failed["task_status"]) == ("failed", "commit")
    assert "result_link" not in failed
    message = failed["error"].pop("message")
    assert "'id_action'" in message
    assert "jxpath1" in message
    assert failed["error"] == {
        "http_code": 404,
        "code": "ingest",
        "state": "Path_Not_Found",
        "description": message,
    }


async def test_a_plan_hands_on_by_paths_results_and_assignments(vitam: Vitam) -> None:
    step = {
        "Step": "chain",
        "item": {"sizes": [3, 4]},
        "actions": [
            {
                "action": "add",
                "arguments": {"left": "item/sizes[1]", "right": "item/sizes[2]"},
                "results": {"sum": None},
                "post_assign": [
                    {"target": "item/total", "result": "sum"},
                    {"target": "item/name", "result": "concat(Step, '-', sum)"},
                ],
            },
            {
                "action": "echo",
                "arguments": {"value": "item"},
            },
        ],
    }
    task_id = (await vitam.ask("POST", "/tasks", step)).json()["id"]
    done = await vitam.ended(task_id)
    result = (await vitam.ask("GET", done["result_link"])).json()
    assert result == {"value": {"sizes": [3, 4], "total": 7, "name": "chain-7"}}


async def test_actions_can_be_named_with_their_service(vitam: Vitam) -> None:
    task = await vitam.submit("quay/add")
    assert (await vitam.ended(task["id"]))["state"] == "done"
    two = [{"action": "quay/add"}, {"action": "add"}]
    answer = await vitam.ask("POST", "/tasks", {"actions": two})
    expected = unmet("actions: all of them belong to one service")
    assert (answer.status_code, answer.json()) == (412, expected)
    answer = await vitam.ask("POST", "/tasks", {"actions": [{"action": "nowhere/add"}]})
    assert answer.status_code == 404


async def test_an_action_that_nobody_offers_is_404(vitam: Vitam) -> None:
    answer = await vitam.ask("POST", "/tasks", {"actions": [{"action": "unknown"}]})
    assert (answer.status_code, answer.json()) == (404, absent("no action 'unknown'"))


async def test_a_request_id_submits_once_and_is_409_for_another_step(vitam: Vitam) -> None:
    first = await vitam.submit(request_id="once")
    again = await vitam.submit(request_id="once")
    assert again["id"] == first["id"]
    actions = [{"action": "add", "arguments": {"left": "Step"}}]
    step = {"Step": "another", "X-RequestId": "once", "actions": actions}
    answer = await vitam.ask("POST", "/tasks", step)
    assert (answer.status_code, answer.json()["state"]) == (409, "Conflict")


#: Steps that cannot be, and where.
WRONG_STEPS: list[tuple[dict[str, Any], str]] = [
    ({}, "actions: "),
    ({"actions": {}}, "actions: expected a list"),
    ({"actions": ["add"]}, "actions[0]: expected an object"),
    ({"actions": [{}]}, "actions[0].action: "),
    ({"Step": 1, "actions": []}, "Step: expected a string"),
    ({"Step": "s" * 300, "actions": [{"action": "add"}]}, "Step: "),
    (
        {"actions": [{"action": "add", "arguments": {"left": 1}}]},
        "actions[0].arguments.left",
    ),
    ({"actions": [{"action": "add", "arguments": {"up": "a"}}]}, "actions[0].arguments.up"),
    ({"actions": [{"action": "add", "arguments": {"left": "a["}}]}, "actions[0].arguments"),
    ({"actions": [{"action": "add", "results": ["sum"]}]}, "actions[0].results: "),
    ({"actions": [{"action": "add", "post_assign": [1]}]}, "actions[0].post_assign[0]: "),
    (
        {"actions": [{"action": "add", "post_assign": [{"target": "/", "result": "sum"}]}]},
        "actions[0].post_assign[0].target: ",
    ),
    (
        {"actions": [{"action": "add", "post_assign": [{"target": "a", "result": "("}]}]},
        "actions[0].post_assign[0].result: ",
    ),
    ({"actions": [{"action": "add"}], "task_status": "cancel"}, "task_status: "),
    ({"actions": [{"action": "add"}], "callback": {}}, "callback.uri: "),
    ({"actions": [{"action": "add"}], "callback": {"uri": "ftp://a"}}, "callback.uri: "),
    (
        {"actions": [{"action": "add"}], "callback": {"uri": "http://a", "method": "LINK"}},
        "callback.method: ",
    ),
    ({"actions": [{"action": "add"}], "X-RequestId": "r" * 65}, "X-RequestId: "),
    ({"actions": [{"action": "add"}], "item": 2**60}, "item: "),
]


@pytest.mark.parametrize("step, where", WRONG_STEPS)
async def test_a_step_that_cannot_be_is_412_and_says_where(
    vitam: Vitam, step: dict[str, Any], where: str
) -> None:
    answer = await vitam.ask("POST", "/tasks", step)
    told = answer.json()
    assert (answer.status_code, told["state"]) == (412, "Precondition_Failed")
    assert where in told["description"]
    assert "spec." not in answer.text
    assert "options." not in answer.text


async def test_every_fault_of_a_step_is_told(vitam: Vitam) -> None:
    actions = [{"action": "add", "arguments": {"left": "a[0]", "up": "a"}}]
    told = (await vitam.ask("POST", "/tasks", {"actions": actions})).json()
    shown = {error["description"].partition(":")[0]: error["state"] for error in told["errors"]}
    assert shown == {
        "actions[0].arguments.left": "Invalid",
        "actions[0].arguments.up": "Unknown",
    }
    assert all(error["http_code"] == 412 for error in told["errors"])


@pytest.mark.parametrize(
    "content, kind, status",
    [
        (b"<a/>", "text/xml", 415),
        (b"<a/>", "application/json", 412),
        (b"[]", "application/json", 412),
        (b'{"Step": "\\ud800"}', "application/json", 412),
        (b'{"Step": "a", "Step": "b"}', "application/json", 412),
        (b"[" * 100_000, "application/json", 412),
        (b'{"Step": "' + b"a" * 5_000_000 + b'"}', "application/json", 412),
    ],
)
async def test_a_body_that_is_no_object_or_too_large_is_refused(
    vitam: Vitam, content: bytes, kind: str, status: int
) -> None:
    for method in ("POST", "PUT", "GET"):
        headers = {"content-type": kind}
        answer = await vitam.ask(method, "/tasks", headers=headers, content=content)
        assert (answer.status_code, answer.json()["http_code"]) == (status, status)


async def test_json_is_read_whatever_it_is_called(vitam: Vitam) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    content = b'{"item": 1, "actions": [{"action": "add", "arguments": {"left": "item"}}]}'
    answer = await vitam.ask("POST", "/tasks", headers=headers, content=content)
    assert answer.status_code == 201


async def test_a_callback_is_kept_in_the_contracts_own_format(vitam: Vitam) -> None:
    callback = {"uri": "https://example.org/{id}?s={status}", "method": "get"}
    task = await vitam.submit(callback=callback, task_status="pending")
    async with vitam.world.client(vitam.token) as client:
        kept = (await client.tasks.get(task["id"])).message.options.callback
    assert (kept.url, kept.method) == ("https://example.org/{id}?s={status}", "GET")
    assert kept.format == CallbackFormat.CALLBACK_FORMAT_VITAM


async def test_who_may_only_look_may_not_submit(vitams: dict[str, Vitam]) -> None:
    step = {"actions": [{"action": "add", "arguments": {"left": "'1'"}}]}
    answer = await vitams["eve"].ask("POST", "/tasks", step)
    assert (answer.status_code, answer.json()["state"]) == (401, "Unauthorized")
    assert (await vitams["eve"].ask("GET", "/tasks")).status_code == 200


# Telling a task what to do


async def test_a_task_is_held_released_and_canceled(vitam: Vitam) -> None:
    held = await vitam.submit(task_status="pending")
    assert (held["state"], held["task_status"]) == ("pending", "pending")
    path = f"/tasks/{held['id']}"
    again = await vitam.ask("PUT", path, {"task_status": "pending"})
    assert (again.status_code, again.json()) == (200, held)
    released = await vitam.ask("PUT", path, {"task_status": "commit"})
    assert (released.status_code, released.json()["task_status"]) == (200, "commit")
    assert (await vitam.ended(held["id"]))["state"] == "done"
    other = await vitam.submit(task_status="pending")
    canceled = await vitam.ask("PUT", f"/tasks/{other['id']}", {"task_status": "cancel"})
    told = canceled.json()
    assert canceled.status_code == 200
    assert (told["state"], told["task_status"]) == ("canceled", "cancel")
    assert "error" not in told
    assert "result_link" not in told
    assert "start_date" not in told


async def test_what_waits_can_be_held(vitam: Vitam) -> None:
    async with vitam.world.client(vitam.token) as client:
        handle = await client.tasks.submit("add", {"left": 1}, start_time=timedelta(hours=1))
    for status in ("commit", "pending", "pending", "commit", "commit"):
        answer = await vitam.ask("PUT", f"/tasks/{handle.id}", {"task_status": status})
        assert (answer.status_code, answer.json()["task_status"]) == (200, status)


async def test_a_running_task_goes_on_or_is_given_up_but_not_held(vitam: Vitam) -> None:
    task_id = await vitam.waiting("running")
    path = f"/tasks/{task_id}"
    going = await vitam.ask("PUT", path, {"task_status": "commit"})
    assert (going.status_code, going.json()["state"]) == (200, "running")
    held = await vitam.ask("PUT", path, {"task_status": "pending"})
    assert (held.status_code, held.json()["state"]) == (409, "Conflict")
    canceled = await vitam.ask("PUT", path, {"task_status": "cancel"})
    assert (canceled.status_code, canceled.json()["task_status"]) == (200, "cancel")
    taken_back = await vitam.ask("PUT", path, {"task_status": "commit"})
    assert taken_back.status_code in (200, 409)
    if (await vitam.ended(task_id))["state"] == "canceled":
        assert taken_back.status_code == 409


@pytest.mark.parametrize("status", ["cancel", "commit", "pending"])
async def test_a_finished_task_takes_no_instruction(vitam: Vitam, status: str) -> None:
    task = await vitam.submit()
    await vitam.ended(task["id"])
    for path in (f"/tasks/{task['id']}", "/tasks"):
        body = {"id": task["id"], "task_status": status}
        answer = await vitam.ask("PUT", path, body)
        assert (answer.status_code, answer.json()["state"]) == (409, "Conflict")
    assert (await vitam.ask("GET", f"/tasks/{task['id']}")).json()["state"] == "done"


async def test_the_generic_object_cancels(vitam: Vitam) -> None:
    one = await vitam.submit(task_status="pending")
    answer = await vitam.ask("PUT", f"/tasks/{one['id']}", GENERIC)
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    two = await vitam.submit(task_status="pending")
    answer = await vitam.ask("PUT", "/tasks", {**GENERIC, "X-RequestId": two["id"]})
    assert (answer.status_code, answer.json()["id"]) == (200, two["id"])
    assert answer.json()["state"] == "canceled"
    async with vitam.world.client(vitam.token) as client:
        task = (await client.tasks.get(two["id"])).message
    assert task.status.message == "message informatif retour"


async def test_the_collection_finds_a_task_by_any_of_its_ids(vitam: Vitam) -> None:
    headers = {"X-Request-Id": "shown-in-the-header"}
    step = {"item": 1, "actions": [{"action": "add", "arguments": {"left": "item"}}]}
    held = {**step, "task_status": "pending"}
    one = (await vitam.ask("POST", "/tasks", held, headers)).json()["id"]
    two = (await vitam.submit(task_status="pending", request_id='in*the"body\\'))["id"]
    commit = {"task_status": "commit"}
    for task_id, which in (
        (one, {"id": one}),
        (one, {"id_async": one}),
        (one, {"id": one, "id_async": one, "X-RequestId": "of nobody"}),
        (one, {"X-RequestId": one}),
        (one, {"X-RequestId": "shown-in-the-header"}),
        (two, {"X-RequestId": 'in*the"body\\'}),
    ):
        answer = await vitam.ask("PUT", "/tasks", {"task_status": "pending", **which})
        assert (answer.status_code, answer.json()["id"]) == (200, task_id)
    again = await vitam.ask("POST", "/tasks", {**held, "Step": "2"}, headers)
    assert again.status_code == 201
    answer = await vitam.ask(
        "PUT", "/tasks", {**commit, "X-RequestId": headers["X-Request-Id"]}
    )
    expected = conflict("X-RequestId: several tasks were submitted by this request")
    assert (answer.status_code, answer.json()) == (409, expected)


async def test_nothing_is_told_to_nobody(vitam: Vitam) -> None:
    commit = {"task_status": "commit"}
    number = "1"  # Tasks have numbers, but not here.
    for method, path, body, expected in (
        ("PUT", "/tasks", commit, unmet("id: one of id, id_async and X-RequestId is needed")),
        ("PUT", "/tasks", {**commit, "id": 1}, unmet("id: expected a string")),
        (
            "PUT",
            "/tasks",
            {**commit, "id": NOBODY, "id_async": "a"},
            unmet("id: id and id_async name different tasks"),
        ),
        ("PUT", "/tasks", {**commit, "id": number}, absent("no task '1'")),
        (
            "PUT",
            "/tasks",
            {**commit, "X-RequestId": "in*"},
            absent("X-RequestId: no task was submitted by this request"),
        ),
        (
            "PUT",
            "/tasks",
            GENERIC,
            absent("X-RequestId: no task was submitted by this request"),
        ),
        ("PUT", "/tasks/1", commit, absent("no task '1'")),
        ("PUT", f"/tasks/{NOBODY}", commit, absent(f"no operation '{NOBODY}'")),
        ("GET", "/tasks/1", None, absent("no task '1'")),
        ("GET", "/tasks/1/result", None, absent("no task '1'")),
        ("GET", f"/tasks/{NOBODY}", None, absent(f"no operation '{NOBODY}'")),
        ("GET", f"/tasks/{NOBODY}/result", None, absent(f"no operation '{NOBODY}'")),
    ):
        answer = await vitam.ask(method, path, body)
        assert (answer.status_code, answer.json()) == (expected["http_code"], expected)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"task_status": "Cancel"},
        {"task_status": None},
        {"task_status": "commit", "callback": {"uri": "https://example.org"}},
        {"message": "cancel"},
        {**GENERIC, "code": "201"},
        {**GENERIC, "code": True},
        {name: GENERIC[name] for name in GENERIC if name != "code"},
    ],
)
async def test_what_is_no_instruction_changes_nothing(
    vitam: Vitam, body: dict[str, Any]
) -> None:
    held = await vitam.submit(task_status="pending")
    for path in (f"/tasks/{held['id']}", "/tasks"):
        answer = await vitam.ask("PUT", path, {"id": held["id"], **body})
        assert (answer.status_code, answer.json()["state"]) == (412, "Precondition_Failed")
    assert (await vitam.ask("GET", f"/tasks/{held['id']}")).json() == held


async def test_a_task_of_another_tenant_is_not_there(vitams: dict[str, Vitam]) -> None:
    held = await vitams["ada"].submit(task_status="pending")
    for method, path, body in (
        ("GET", f"/tasks/{held['id']}", None),
        ("GET", f"/tasks/{held['id']}/result", None),
        ("PUT", f"/tasks/{held['id']}", {"task_status": "cancel"}),
        ("PUT", "/tasks", {"task_status": "cancel", "id": held["id"]}),
        ("PUT", "/tasks", {"task_status": "cancel", "X-RequestId": held["id"]}),
    ):
        assert (await vitams["bob"].ask(method, path, body)).status_code == 404
    listed = (await vitams["bob"].ask("GET", "/tasks")).json()
    assert listed["results"] == []


async def test_a_post_stands_for_other_methods_and_then_never_submits(vitam: Vitam) -> None:
    held = await vitam.submit(task_status="pending")
    step = {"item": 1, "actions": [{"action": "add", "arguments": {"left": "item"}}]}

    async def total() -> int:
        return int((await vitam.ask("GET", "/tasks")).json()["hits"]["total"])

    before = await total()
    instead = {"X-Http-Method-Override": "PUT"}
    for path in (f"/tasks/{held['id']}", "/tasks"):
        body = {"id": held["id"], "task_status": "pending"}
        answer = await vitam.ask("POST", path, body, instead)
        assert (answer.status_code, answer.json()) == (200, held)
    for method, status in (
        ("GET", 200),
        ("get", 200),
        ("GET , POST", 200),
        ("DELETE", 405),
        ("", 405),
        ("PATCH", 405),
        ("PUT", 412),
    ):
        headers = {"X-Http-Method-Override": method}
        answer = await vitam.ask("POST", "/tasks", step, headers)
        assert answer.status_code == status
    answer = await vitam.ask("GET", "/tasks", headers={"X-Http-Method-Override": "PUT"})
    assert answer.status_code == 200
    assert await total() == before


# Results


async def test_a_result_is_not_there_before_the_end_nor_after_a_failure(vitam: Vitam) -> None:
    held = await vitam.submit(task_status="pending")
    answer = await vitam.ask("GET", f"/tasks/{held['id']}/result")
    assert (answer.status_code, answer.json()["state"]) == (409, "Conflict")
    failed = await vitam.submit("fail", {})
    await vitam.ended(failed["id"])
    answer = await vitam.ask("GET", f"/tasks/{failed['id']}/result")
    assert (answer.status_code, answer.json()["state"]) == (409, "Conflict")


async def test_failed_work_shows_its_error_with_the_causes(vitam: Vitam) -> None:
    task = await vitam.submit("fail", {})
    failed = await vitam.ended(task["id"])
    assert failed["state"] == "failed"
    error = failed["error"]
    assert {name: error[name] for name in error if name != "errors"} == {
        "http_code": 404,
        "code": "ingest",
        "state": "Item_Not_Found",
        "message": "File is not found",
        "description": "Operation on file xxx cannot be done",
    }
    assert {
        "http_code": 415,
        "code": "ingest",
        "state": "Unsupported_Media_Type",
        "message": "Unsupported media type detected",
        "description": "File xxx has a media type yyy",
    } in error["errors"][0]["errors"]


async def test_a_file_is_a_result_as_its_worker_named_it(vitam: Vitam) -> None:
    task = await vitam.submit("save", {})
    done = await vitam.ended(task["id"])
    answer = await vitam.ask("GET", done["result_link"])
    assert answer.headers["content-type"] == "text/html"
    assert answer.content == b"<p>\xe9t\xe9</p>"


async def test_a_result_can_be_fetched_again_after_it_was_cut(vitam: Vitam) -> None:
    task = await vitam.submit("save_much", {})
    link = (await vitam.ended(task["id"]))["result_link"]
    for _ in range(3):
        headers = {"X-Vitam-Key": vitam.token}
        async with vitam.world.http.stream("GET", link, headers=headers) as cut:
            async for piece in cut.aiter_raw():
                assert MUCH.startswith(piece)
                break
    whole = await vitam.ask("GET", link)
    assert whole.headers["content-type"] == "application/x-data"
    assert whole.content == MUCH


async def test_a_tenant_by_its_number_has_work_and_workers_of_its_own(
    vitams: dict[str, Vitam], vitam: Vitam
) -> None:
    stopping, welcomed = asyncio.Event(), asyncio.Event()
    run = new_worker().run(
        vitam.world.server_address,
        token=vitams["hand"].token,
        tenant="0",
        stopping=stopping,
        welcomed=welcomed,
    )
    working = asyncio.create_task(run)
    await asyncio.wait_for(welcomed.wait(), 30)
    begun, going_on = gate("tenant")
    zero = {"X-Tenant-Id": "0"}
    actions = [{"action": "wait", "arguments": {"name": "'tenant'"}}]
    task_id = (await vitam.ask("POST", "/tasks", {"actions": actions}, zero)).json()["id"]
    await asyncio.wait_for(begun.wait(), 30)
    assert (await vitam.ask("GET", f"/tasks/{task_id}")).status_code == 404
    running = (await vitam.ask("GET", f"/tasks/{task_id}", headers=zero)).json()
    assert running["state"] == "running"
    going_on.set()
    stopping.set()
    await working
    done = (await vitam.ask("GET", f"/tasks/{task_id}", headers=zero)).json()
    assert done["state"] == "done"


async def test_a_result_that_somebody_acknowledged_has_no_link_any_more(vitam: Vitam) -> None:
    async with vitam.world.client(vitam.token) as client:
        mode = DeliveryMode.DELIVERY_MODE_STORE
        handle = await client.tasks.submit("add", {"left": 1}, delivery=mode)
        done = await vitam.ended(handle.id)
        assert (await vitam.ask("GET", done["result_link"])).json() == {"sum": 3}
        await client.tasks.acknowledge(handle.id)
    consumed = (await vitam.ask("GET", f"/tasks/{handle.id}")).json()
    assert (consumed["state"], "result_link" in consumed) == ("done", False)
    assert (await vitam.ask("GET", done["result_link"])).status_code == 404


async def test_a_result_link_works_until_the_expiration_date(tmp_path: Path) -> None:
    ada = Entry(name="ada", roles=("submitter",))
    async with gateway(tmp_path, None, "vitam", ada=ada) as (world, tokens):
        await world.work(new_worker())
        vitam = Vitam(world, tokens["ada"])
        done = await vitam.ended((await vitam.submit())["id"])
        world.clock.move(30 * 24 * 3_600_000 - 60_000)
        assert (await vitam.ask("GET", done["result_link"])).status_code == 200
        world.clock.move(61_000)
        async with world.client(vitam.token) as client:
            await client.tasks.submit("add", {"left": 1})  # Lets the writer see the time.
        for path in (done["result_link"], f"/tasks/{done['id']}"):
            assert (await vitam.ask("GET", path)).status_code == 404


async def test_links_are_those_of_the_public_url(tmp_path: Path) -> None:
    ada = Entry(name="ada", roles=("submitter",))
    settings = GatewaySettings(public_url="https://work.example.org/front/")
    async with gateway(tmp_path, settings, "vitam", ada=ada) as (world, tokens):
        await world.work(new_worker())
        vitam = Vitam(world, tokens["ada"])
        step = {"actions": [{"action": "add", "arguments": {"left": "'1'"}}]}
        submitted = await vitam.ask("POST", "/tasks", {**step, "task_status": "pending"})
        task_id = submitted.json()["id"]
        link = f"https://work.example.org/front/vitam/v1/tasks/{task_id}"
        assert submitted.headers["location"] == link


# The service


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
            httpx.AsyncClient(base_url=f"http://{address}/vitam/v1") as http,
        ):
            for path in ("/status", "/tasks"):
                answer = await http.get(path, headers={"X-Vitam-Key": "any"})
                assert (answer.status_code, answer.headers["fullapiversion"]) == (503, "V1.0")
                assert answer.json()["state"] == "Service_Unavailable"

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from longshore.client import from_struct
from longshore.v1.operation_pb2 import CallbackFormat
from tests.gateway.vitam import (
    MILLISECONDS,
    Vitam,
    absent,
    speaking,
    unmet,
)

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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vitams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Vitam]]:
    async with speaking(tmp_path_factory.mktemp("vitam")) as vitams:
        yield vitams


@pytest.fixture
def vitam(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["ada"]


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

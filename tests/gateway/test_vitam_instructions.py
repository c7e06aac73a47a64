from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.gateway.vitam import (
    NOBODY,
    Vitam,
    absent,
    conflict,
    speaking,
    unmet,
)

GENERIC = {
    "X-RequestId": "id",
    "code": 201,
    "vitamCode": 123456,
    "timestamp": "2015-07-14T17:07:14Z",
    "message": "message informatif retour",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vitams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Vitam]]:
    async with speaking(tmp_path_factory.mktemp("vitam")) as vitams:
        yield vitams


@pytest.fixture
def vitam(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["ada"]


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
        (
            "PUT",
            "/tasks",
            {**commit, "X-RequestId": "a" * 5_000},
            absent("X-RequestId: no task was submitted by this request"),
        ),
        ("PUT", "/tasks/1", commit, absent("no task '1'")),
        (
            "PUT",
            f"/tasks/{NOBODY}",
            {**commit, "id": NOBODY.replace("0", "1")},
            unmet("id: the path names another task"),
        ),
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
        ("POST", 405),
        ("PUT", 412),
    ):
        headers = {"X-Http-Method-Override": method}
        answer = await vitam.ask("POST", "/tasks", step, headers)
        assert answer.status_code == status
    answer = await vitam.ask("GET", "/tasks", headers={"X-Http-Method-Override": "PUT"})
    assert answer.status_code == 200
    assert await total() == before

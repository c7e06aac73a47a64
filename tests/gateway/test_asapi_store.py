"""asstore: a result is handed out once, whole, and stays as long as it has not been."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uuid_utils

from longshore.gateway.asapi import store
from tests.gateway.harness import WAYS
from tests.gateway.icloud import Entry, Icloud, icloud

MIB = 1024 * 1024
NOT_FOUND = {
    "message": "No results were found for this task id.",
    "success": False,
    "error": "task-result-not-found",
}


@pytest.fixture(scope="module", params=WAYS)
async def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Icloud]:
    viewer = Entry(name="viewer", roles=("viewer",))
    folder = tmp_path_factory.mktemp("store")
    async with icloud(folder, None, way=request.param, viewer=viewer) as found:
        yield found


async def done(cloud: Icloud, who: str = "stan", /, **fields: Any) -> str:
    """Submit, and return the id of the task that has ended."""
    task_id = await cloud.submit(who, **fields)
    await cloud.ended(task_id, who)
    return task_id


async def test_a_result_is_handed_out_once(cloud: Icloud) -> None:
    task_id = await done(cloud, text="hello")
    answer = await cloud.get(f"/fetch/{task_id}/")
    assert answer.status_code == 200
    assert answer.content == b'{"text":"hello"}'
    headers = dict(answer.headers)
    assert headers.pop("date")
    assert headers.pop("x-request-id")
    assert headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "transfer-encoding": "chunked",
    }
    again = await cloud.get(f"/fetch/{task_id}/")
    assert (again.status_code, again.json()) == (404, NOT_FOUND)
    entry = await cloud.entry(task_id)
    assert entry == {
        "status": "Publish complete",
        "retrieval_protocol": "asstore",
        "retrieval_endpoint": f"{cloud.world.url}/asapi/fetch/{task_id}/",
        "result_retrieved": True,
        "success": True,
    }


async def test_the_endpoint_counts_as_it_is_told(cloud: Icloud) -> None:
    task_id = await done(cloud)
    endpoint = (await cloud.entry(task_id))["retrieval_endpoint"]
    async with httpx.AsyncClient(headers=cloud.shown("stan"), timeout=30) as client:
        assert (await client.get(endpoint)).status_code == 200
        assert (await client.get(endpoint.rstrip("/"))).status_code == 404


async def test_files_are_handed_out_as_they_are(cloud: Icloud) -> None:
    task_id = await done(cloud, action="save", mebibytes="3")
    answer = await cloud.get(f"/fetch/{task_id}/")
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.content == b"".join(bytes([index]) * 1024 * 1024 for index in range(3))
    assert (await cloud.get(f"/fetch/{task_id}/")).status_code == 404


async def read_some(cloud: Icloud, task_id: str, count: int) -> None:
    """Ask for a result, read a few bytes, and go."""
    async with cloud.fetching(task_id) as reader:
        assert await reader.readexactly(17) == b"HTTP/1.1 200 OK\r\n"
        await reader.readexactly(count)


@pytest.mark.parametrize(
    "fields",
    [{"action": "large", "characters": "1000000"}, {"action": "save", "mebibytes": "12"}],
)
@pytest.mark.parametrize("count", [0, 100_000])
async def test_what_is_cut_off_can_be_fetched_again(
    cloud: Icloud, fields: dict[str, str], count: int
) -> None:
    task_id = await done(cloud, **fields)
    for _ in range(3):
        await read_some(cloud, task_id, count)
    entry = await cloud.entry(task_id)
    assert entry["result_retrieved"] is False
    answer = await cloud.get(f"/fetch/{task_id}/")
    assert answer.status_code == 200
    assert len(answer.content) >= 1_000_000
    assert (await cloud.entry(task_id))["result_retrieved"] is True


async def test_what_was_not_consumed_yet_is_not_found(cloud: Icloud) -> None:
    task_id = await cloud.submit(action="wait", name="early")
    for path in (task_id, str(uuid_utils.uuid7())):
        answer = await cloud.get(f"/fetch/{path}/")
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    cloud.gate("early").set()
    await cloud.ended(task_id)
    assert (await cloud.get(f"/fetch/{task_id}/")).json() == {"name": "early"}


@pytest.mark.parametrize("wrong", ["x", "12", "success", "a%2Fb"])
async def test_what_can_be_no_id_is_invalid(cloud: Icloud, wrong: str) -> None:
    answer = await cloud.get(f"/fetch/{wrong}/")
    if "%" in wrong:
        assert answer.status_code == 404
        return
    assert answer.status_code == 400
    assert answer.json() == {
        "message": f"Invalid task_id value: {wrong}",
        "success": False,
        "error": "invalid",
    }


async def test_numbers_of_tasks_are_no_ids_here(cloud: Icloud) -> None:
    await done(cloud)
    assert (await cloud.get("/fetch/1/")).status_code == 400


async def test_what_failed_says_so_and_consumes_nothing(cloud: Icloud) -> None:
    task_id = await done(cloud, action="fail", why="the phone is off")
    for _ in range(2):
        answer = await cloud.get(f"/fetch/{task_id}/")
        assert answer.status_code == 404
        assert answer.json() == {
            "message": "the phone is off",
            "success": False,
            "error": "task-failed",
        }
    assert (await cloud.entry(task_id))["result_retrieved"] is False
    consumed = await cloud.post("/results-consumed/", task_ids=task_id)
    assert consumed.json() == {"success": True}
    assert (await cloud.entry(task_id))["result_retrieved"] is True


async def test_what_was_canceled_says_so(cloud: Icloud) -> None:
    task_id = await cloud.submit(action="wait", name="canceled")
    async with cloud.world.client(cloud.tokens["stan"]) as client:
        await client.tasks.cancel(task_id, "not needed", force=True)
    assert (await cloud.ended(task_id))["success"] is False
    answer = await cloud.get(f"/fetch/{task_id}/")
    assert answer.status_code == 404
    assert answer.json()["error"] == "task-canceled"


async def test_results_are_consumed_by_saying_so_as_often_as_one_likes(cloud: Icloud) -> None:
    first, second = await done(cloud), await done(cloud)
    for _ in range(2):
        answer = await cloud.post("/results-consumed/", task_ids=f"{first},{second}")
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert (await cloud.entry(first))["result_retrieved"] is True
        assert (await cloud.get(f"/fetch/{second}/")).status_code == 404


async def test_results_that_are_not_there_are_consumed_already(cloud: Icloud) -> None:
    there, unknown = await done(cloud), str(uuid_utils.uuid7())
    for ids in ([unknown, there], [unknown]):
        answer = await cloud.post("/results-consumed/", task_ids=ids)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert (await cloud.entry(there))["result_retrieved"] is True


async def test_of_results_that_are_consumed_only_those_that_are_none_yet_are_refused(
    cloud: Icloud,
) -> None:
    there, unknown = await done(cloud), str(uuid_utils.uuid7())
    waiting = await cloud.submit(action="wait", name="later")
    answer = await cloud.post("/results-consumed/", task_ids=[unknown, there, waiting])
    assert answer.status_code == 200
    assert answer.json() == {
        "errors": {"task_ids": [[f"Invalid task_id value: {waiting}", "invalid"]]},
        "success": False,
    }
    assert (await cloud.entry(there))["result_retrieved"] is True
    cloud.gate("later").set()


async def test_what_was_asked_for_without_a_delivery_stays(cloud: Icloud) -> None:
    async with cloud.world.client(cloud.tokens["stan"]) as client:
        task = await client.tasks.submit("echo", {"text": "stays"}, service="icloud")
        await task.result()
        for _ in range(2):
            assert (await cloud.get(f"/fetch/{task.id}/")).json() == {"text": "stays"}
        answer = await cloud.post("/results-consumed/", task_ids=task.id)
        assert answer.json() == {"success": True}
        entry = await cloud.entry(task.id)
        assert (entry["retrieval_protocol"], entry["result_retrieved"]) == ("asstore", False)


async def test_who_may_not_consume_a_result_is_told_so_and_it_stays(cloud: Icloud) -> None:
    task_id = await done(cloud)
    answer = await cloud.get(f"/fetch/{task_id}/", "viewer")
    refused = await cloud.post("/results-consumed/", "viewer", task_ids=task_id)
    assert (answer.status_code, answer.json()) == (refused.status_code, refused.json())
    assert (answer.status_code, answer.json()["error"]) == (403, "not-permitted")
    assert (await cloud.entry(task_id))["result_retrieved"] is False


async def test_many_results_are_fetched_at_once(cloud: Icloud) -> None:
    ids = [await cloud.submit(text=str(index)) for index in range(50)]
    for one in ids:
        await cloud.ended(one)
    answers = await asyncio.gather(*(cloud.get(f"/fetch/{one}/") for one in ids))
    assert [one.json()["text"] for one in answers] == [str(index) for index in range(50)]


async def test_of_those_who_fetch_at_once_one_gets_a_result(
    cloud: Icloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE_SECONDS", 60.0)  # Longer than any of them takes.
    for fields in ({"text": "once"}, {"action": "save", "mebibytes": "4"}):
        task_id = await done(cloud, **fields)
        answers = await asyncio.gather(*(cloud.get(f"/fetch/{task_id}/") for _ in range(5)))
        assert sorted(one.status_code for one in answers) == [200, 404, 404, 404, 404]
        assert {one.text for one in answers if one.status_code == 404} == {
            json.dumps(NOT_FOUND, separators=(",", ":"))
        }


async def test_who_waits_gets_what_another_did_not_get_to_its_end(
    cloud: Icloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE_SECONDS", 300.0)
    task_id = await done(cloud, action="save", mebibytes="12")
    async with cloud.fetching(task_id) as first:
        await first.readexactly(100_000)
        second = asyncio.create_task(cloud.get(f"/fetch/{task_id}/"))
        assert await asyncio.wait({second}, timeout=0.3) == (set(), {second})
    answer = await asyncio.wait_for(second, 60)  # Far sooner than its patience ends.
    assert (answer.status_code, len(answer.content)) == (200, 12 * MIB)
    assert (await cloud.get(f"/fetch/{task_id}/")).status_code == 404


async def test_nobody_waits_long_for_another_and_still_only_one_has_a_result_whole(
    cloud: Icloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE_SECONDS", 0.1)
    task_id = await done(cloud, action="save", mebibytes="12")
    async with cloud.fetching(task_id) as first:
        await first.readexactly(100_000)
        answer = await cloud.get(f"/fetch/{task_id}/")
        assert (answer.status_code, len(answer.content)) == (200, 12 * MIB)
        assert not (await first.read()).endswith(b"\r\n0\r\n\r\n")
    assert (await cloud.entry(task_id))["result_retrieved"] is True

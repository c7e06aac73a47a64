from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from longshore.v1.operation_pb2 import DeliveryMode
from tests.gateway.harness import Entry, GatewaySettings, gateway
from tests.gateway.vitam import (
    MUCH,
    Vitam,
    gate,
    new_worker,
    speaking,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vitams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Vitam]]:
    async with speaking(tmp_path_factory.mktemp("vitam")) as vitams:
        yield vitams


@pytest.fixture
def vitam(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["ada"]


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

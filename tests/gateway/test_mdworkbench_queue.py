from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from longshore.gateway.mdworkbench import launch
from tests.gateway.workbench import ADMIN, PASSWORD, Entry, Workbench, workbench

SAM = Entry(name="sam", roles=("submitter",))
UNA = Entry(name="una", roles=("worker",))
NORA = Entry(name="nora", roles=("admin",), tenants=("north",))

CHALLENGE = 'Basic realm="MDWorkbench", charset="UTF-8"'
UNKNOWN = "0198c2d4-0000-7000-8000-000000000000"


def basic(name: str, password: str = PASSWORD) -> httpx.BasicAuth:
    return httpx.BasicAuth(name, password)


async def waiting(here: Workbench, count: int) -> list[str]:
    """Launch something that runs, and others that wait behind it; return the ids of all."""
    first = await here.launch(folder="0")
    await here.running(first)
    places = [first, *[await here.launch(folder=str(n + 1)) for n in range(count)]]
    return [place.rpartition("/")[2] for place in places]


async def order(here: Workbench) -> list[str]:
    return [one["id"] for one in await here.queue()]


async def move(here: Workbench, direction: str, *ids: str) -> None:
    params = [("direction", direction), *(("id", one) for one in ids)]
    answer = await here.ask("PUT", "/launch", params=params, auth=ADMIN)
    assert (answer.status_code, answer.content) == (200, b""), answer.text


async def test_the_queue_lists_what_runs_then_what_waits(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        runs, waits = await waiting(here, 1)
        answer = await here.ask("GET", "/launch", auth=ADMIN)
        assert answer.headers["content-type"] == "application/json"
        shown = answer.json()
        assert shown == [
            {
                "id": runs,
                "uri": f"{here.base}/launch/{runs}",
                "service": "naming",
                "state": "running",
                "requestNumber": 1,
                "requestTime": shown[0]["requestTime"],
                "startTime": shown[0]["startTime"],
            },
            {
                "id": waits,
                "uri": f"{here.base}/launch/{waits}",
                "service": "naming",
                "state": "waiting",
                "requestNumber": 2,
                "requestTime": shown[1]["requestTime"],
            },
        ]
        xml = await here.ask(
            "GET", "/launch", auth=ADMIN, headers={"accept": "application/xml"}
        )
        assert xml.headers["content-type"] == "application/xml"
        launches = ET.fromstring(xml.content)
        assert launches.tag == "launches"
        assert [one.tag for one in launches] == ["launch", "launch"]
        assert [one.attrib for one in launches] == [
            {name: str(value) for name, value in one.items()} for one in shown
        ]


async def test_a_running_launch_that_is_to_stop_is_canceled_in_the_queue(
    tmp_path: Path,
) -> None:
    async with workbench(tmp_path) as here:
        location = await here.launch("stubborn")
        await here.running(location)
        assert (await here.ask("DELETE", location)).status_code == 200
        assert [one["state"] for one in await here.queue()] == ["canceled"]
        assert (await here.ask("GET", location)).json()["state"] == "running"
        here.open.set()
        assert (await here.ended(location))["state"] in ("canceled", "completed")
        assert await here.queue() == []


async def test_the_queue_is_filtered_by_kind(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        await here.suspend()
        await here.launch()
        await here.launch("resting & more")
        assert [one["service"] for one in await here.queue()] == ["naming", "resting & more"]
        assert [one["service"] for one in await here.queue(kind="RULESET")] == ["naming"]
        assert [one["service"] for one in await here.queue(kind="OPERATION")] == [
            "resting & more"
        ]
        answer = await here.ask("GET", "/launch", params={"kind": "ruleset"}, auth=ADMIN)
        assert answer.status_code == 400


async def test_launches_move_to_the_top_the_bottom_up_and_down(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        runs, a, b, c, d = await waiting(here, 4)
        await move(here, "top", d, c)
        assert await order(here) == [runs, c, d, a, b]
        await move(here, "bottom", c)
        assert await order(here) == [runs, d, a, b, c]
        await move(here, "up", b)
        assert await order(here) == [runs, d, b, a, c]
        await move(here, "down", d)
        assert await order(here) == [runs, b, d, a, c]


async def test_a_block_moves_one_place_without_overtaking_itself(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        runs, a, b, c, d = await waiting(here, 4)
        await move(here, "up", b, c, b)
        assert await order(here) == [runs, b, c, a, d]
        await move(here, "up", b, c)
        assert await order(here) == [runs, b, c, a, d]
        await move(here, "down", c, a, d)
        assert await order(here) == [runs, b, c, a, d]


async def test_launches_that_do_not_wait_are_skipped(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        runs, a, b = await waiting(here, 2)
        await move(here, "top", runs, UNKNOWN, "17", "x", b.upper())
        assert await order(here) == [runs, b, a]


async def test_a_reorder_that_says_nothing_is_400(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        runs, a, b = await waiting(here, 2)
        number = str((await here.queue())[2]["requestNumber"])
        for query, message in (
            ({"id": a}, "direction is one of top, up, down, bottom"),
            ({"id": a, "direction": "TOP"}, "direction is one of top, up, down, bottom"),
            ({"direction": "top"}, "no launch that waits matches"),
            ({"id": UNKNOWN, "direction": "top"}, "no launch that waits matches"),
            ({"id": number, "direction": "top"}, "no launch that waits matches"),
            ({"id": runs, "direction": "top"}, "no launch that waits matches"),
        ):
            answer = await here.ask("PUT", "/launch", params=query, auth=ADMIN)
            assert (answer.status_code, answer.json()) == (
                400,
                {"status": 400, "message": message},
            )
        assert await order(here) == [runs, a, b]


@pytest.mark.parametrize(
    "method,path,query",
    [
        ("GET", "/launch", {"kind": "nonsense"}),
        ("PUT", "/launch", {"direction": "nonsense", "id": UNKNOWN}),
        ("GET", "/server/state", {}),
        ("PUT", "/server/state", {"value": "nonsense"}),
    ],
)
async def test_only_administrators_are_told_what_is_wrong(
    tmp_path: Path, method: str, path: str, query: dict[str, str]
) -> None:
    async with workbench(tmp_path, None, SAM, UNA, NORA) as here:

        async def ask(**fields: Any) -> httpx.Response:
            return await here.ask(method, path, params=query, **fields)

        encoded = base64.b64encode(f"olga:{PASSWORD}".encode()).decode()
        for headers in (
            {},
            {"authorization": ""},
            {"authorization": f"Bearer {encoded}"},
            {"authorization": "Basic"},
            {"authorization": "Basic é".encode("latin-1")},
            {"authorization": "Basic bm8gY29sb24="},
        ):
            answer = await ask(headers=headers)
            assert answer.status_code == 401, headers
            assert answer.headers["www-authenticate"] == CHALLENGE
            assert answer.json()["status"] == 401
        for who in (basic("olga", "wrong"), basic("nobody")):
            answer = await ask(auth=who)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == CHALLENGE
        for name in ("sam", "una"):
            answer = await ask(auth=basic(name))
            assert (answer.status_code, answer.json()) == (
                403,
                {"status": 403, "message": f"{name} is no administrator"},
            )
            assert "www-authenticate" not in answer.headers
        elsewhere = await ask(auth=basic("nora"), headers={"x-tenant-id": "default"})
        assert elsewhere.status_code == 403
        expected = 400 if "nonsense" in query.values() else 200
        assert (await ask(auth=ADMIN)).status_code == expected
        assert (
            await ask(headers={"authorization": f"bAsIc {encoded}"})
        ).status_code == expected


async def test_administrators_see_the_queue_of_their_tenant_only(tmp_path: Path) -> None:
    async with workbench(tmp_path, None, NORA) as here:
        await waiting(here, 1)
        answer = await here.ask("GET", "/launch", auth=basic("nora"))
        assert answer.json() == []


async def test_nothing_acceptable_is_406_to_administrators_only(tmp_path: Path) -> None:
    async with workbench(tmp_path) as here:
        html = {"accept": "text/html"}
        assert (await here.ask("GET", "/launch", headers=html)).status_code == 401
        assert (await here.ask("GET", "/launch", headers=html, auth=ADMIN)).status_code == 406


@pytest.mark.parametrize("accept", ["application/json", "application/xml"])
async def test_a_queue_of_many_pages_is_written_as_one_of_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    async with workbench(tmp_path) as here:
        ids = await waiting(here, 4)

        async def queue() -> httpx.Response:
            headers = {"accept": accept}
            return await here.ask("GET", "/launch", headers=headers, auth=ADMIN)

        whole = await queue()
        assert whole.headers["content-length"] == str(len(whole.content))
        assert all(one.encode() in whole.content for one in ids)
        for size in (1, 2, 4):
            monkeypatch.setattr(launch, "_MOST_OF_A_PAGE", size)
            paged = await queue()
            assert (paged.status_code, paged.content) == (200, whole.content)
            assert paged.headers["content-type"] == accept
            assert "content-length" not in paged.headers

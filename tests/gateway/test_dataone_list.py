from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from longshore.gateway.dataone import paging
from longshore.gateway.settings import GatewaySettings, Mount
from longshore.v1.operation_pb2 import STATE_RUNNING
from tests.gateway.museum import PATH, Museum, asked, museum


async def submit(here: Museum, count: int, **fields: Any) -> list[int]:
    """Submit jobs one after the other; return their ids."""
    return [int((await here.post(asked(**fields))).json()["id"]) for _ in range(count)]


async def walk(here: Museum, query: str, between: Any = None) -> list[list[int]]:
    """Follow `next` as it is written, and return the ids page by page."""
    pages: list[list[int]] = []
    path = f"{PATH}?{query}"
    headers = {"authorization": f"Bearer {here.tokens['ada']}"}
    while True:
        answer = await here.world.http.get(here.world.url + path, headers=headers)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        pages.append([int(job["id"]) for job in body["jobs"]])
        if "next" not in body:
            return pages
        path = body["next"]
        assert path.startswith(f"{PATH}?")
        if between is not None:
            await between()


async def test_an_empty_list_is_a_page_without_next(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        answer = await here.get()
        assert (answer.status_code, answer.text) == (200, '{"jobs":[]}')
        assert set(answer.headers) == {
            "content-type",
            "content-length",
            "date",
            "x-request-id",
        }


async def test_a_list_shows_jobs_as_their_submits_did(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        first = (await here.post(asked(extIPID="x"))).json()
        again = (await here.post(asked(extIPID="x"))).json()
        (listed,) = (await here.get()).json()["jobs"]
        assert listed.keys() == first.keys()
        for changing in ("status", "updatedAt"):
            for one in (first, again, listed):
                one.pop(changing)
        assert listed == first == again


async def test_every_filter_matches_exactly(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        (one,) = await submit(here, 1, extIPID='a "b" \\*')
        (two,) = await submit(here, 1, actionName="keep")
        job = (await here.get(f"id={one}")).json()["jobs"][0]
        other = (await here.get(f"id={two}")).json()["jobs"][0]
        template = job["contractActionWorkflowInstance"]
        wanted = {
            "id": job["id"],
            "queue": "default",
            "workflowTemplateId": template["workflowTemplateId"],
            "workflowTemplateName": "ingest it",
            "extIPID": 'a "b" \\*',
            "dfiid": job["dfic"]["dfiid"],
            "lcid": job["dfic"]["lcid"],
            "contractAction": "ingest",
            "contractActionTrigger": "upload",
        }
        for name, value in wanted.items():
            for query, ids in ({name: value}, [one]), ({name: value + "0"}, []):
                assert await here.ids(str(httpx.QueryParams(query))) == ids, name
        assert await here.ids(f"dfiid={job['dfic']['dfiid'].upper()}") == []
        for name, value in {
            "contract": "museum",
            "workflowTemplateRevision": "1",
            "submittedBy": "ada",
            "actor": "curator",
            "contractType": "deposit",
        }.items():
            for query, ids in ({name: value}, [two, one]), ({name: value + "0"}, []):
                assert await here.ids(str(httpx.QueryParams(query))) == ids, name
        assert other["contractActionTrigger"] == other["extIPID"] == ""
        assert await here.ids("contractActionTrigger=&extIPID=") == [two]
        assert await here.ids("queue=nightly&contract=museum&queues=other") == [two]
        assert await here.ids("submittedBy=*") == []
        assert await here.ids(
            "",
        ) == [two, one]


async def test_every_status_is_shown_and_found(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        jobs = here.root.jobs
        variables = {"file": "a.txt"}
        done = await jobs.submit("museum", "ingest", variables)
        bad = await jobs.submit("museum", "ingest", {"file": "bad"})
        here.open.set()
        await done.result(20)
        async with bad.watch() as changes:
            async for _ in changes:
                pass
        here.open.clear()
        running = await jobs.submit("museum", "ingest", variables)
        async with running.watch() as changes:
            async for change in changes:
                if STATE_RUNNING in (change.event.state, change.job.status.state):
                    break
        held = await jobs.submit("museum", "ingest", variables, suspended=True)
        await here.root.queues.update("nightly", paused=True)
        waiting = await jobs.submit("museum", "keep")
        gone = await jobs.submit("museum", "keep")
        await gone.cancel("no longer needed")
        found = {
            "COMPLETED": (done.number, ""),
            "ERROR": (bad.number, "the file is bad"),
            "RUNNING": (running.number, ""),
            "SUSPENDED": (held.number, ""),
            "SUBMITTED": (waiting.number, ""),
            "ABORTED": (gone.number, "no longer needed"),
        }
        for status, (number, message) in found.items():
            (job,) = (await here.get(f"status={status}")).json()["jobs"]
            assert (int(job["id"]), job["status"]) == (number, status)
            assert message in job["statusMessage"]
        names = [job["status"] for job in (await here.get("sort=%2Bstatus")).json()["jobs"]]
        assert names == sorted(found)
        names = [job["status"] for job in (await here.get("sort=-status")).json()["jobs"]]
        assert names == sorted(found, reverse=True)


async def test_sorts_go_both_ways_and_a_plus_may_come_as_a_space(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        a, b = await submit(here, 2)
        (c,) = await submit(here, 1, actionName="keep")
        (d,) = [int((await here.post(asked(), "bob")).json()["id"])]
        for query in ("sort=+id", "sort=%2Bid", "sort=%20id", "sort=id", "sort=%2BcreatedAt"):
            assert await here.ids(query) == [a, b, c, d], query
        for query in ("", "sort=-id", "sort=-createdAt"):
            assert await here.ids(query) == [d, c, b, a], query
        assert await here.ids("sort=+queue") == [a, b, d, c]
        assert await here.ids("sort=-queue") == [c, d, b, a]
        assert await here.ids("sort=-submittedBy") == [d, c, b, a]
        for field in (
            "contract",
            "workflowTemplateId",
            "workflowTemplateName",
            "workflowTemplateRevision",
            "updatedAt",
        ):
            assert sorted(await here.ids(f"sort=+{field}")) == [a, b, c, d]


async def test_bounds_are_inclusive_however_their_offset_is_written(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        ids: list[int] = []
        for _ in range(3):
            ids += await submit(here, 1)
            here.world.clock.move(60_000)
        first, middle, last = ids
        times = {int(job["id"]): job["createdAt"] for job in (await here.get()).json()["jobs"]}
        raw = times[middle]
        encoded = raw.replace("+", "%2B")
        zulu = raw.replace("+00:00", "Z")
        for time in (raw, encoded, zulu):
            assert await here.ids(f"createdAtFrom={time}") == [last, middle]
            assert await here.ids(f"createdAtTo={time}") == [middle, first]
            assert await here.ids(f"createdAtFrom={time}&createdAtTo={time}") == [middle]
        assert await here.ids(f"updatedAtFrom={encoded}&sort=id")
        assert await here.ids("updatedAtTo=2001-01-01T00:00:00Z") == []
        assert await here.ids("createdAtFrom=2001-01-01T00:00:00-12:00&sort=id") == ids
        for end in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.9999-14:00"):
            assert await here.ids(f"createdAtTo={end}&updatedAtTo={end}&sort=id") == ids
            assert await here.ids(f"createdAtFrom={end}") == []
        first_of_all = "0001-01-01T00:00:00%2B14:00"
        assert await here.ids(f"updatedAtFrom={first_of_all}&sort=id") == ids
        assert await here.ids(f"updatedAtTo={first_of_all}") == []


async def test_next_leads_through_all_without_repeating_or_skipping(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        ids = await submit(here, 7)

        async def disturb() -> None:
            await here.post(asked())

        assert await walk(here, "maxItems=3", disturb) == [
            ids[6:3:-1],
            ids[3:0:-1],
            [ids[0]],
        ]
        assert await walk(
            here, "maxItems=3&sort=+id&createdAtFrom=2001-01-01T00:00:00+01:00&contract=museum"
        ) == [
            [1, 2, 3],
            [4, 5, 6],
            [7, 8, 9],
        ]


async def test_a_last_page_that_is_exactly_full_has_no_next(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        # What starts between two pages would change its place.
        await here.root.queues.update("default", paused=True)
        ids = await submit(here, 4)
        for sort in ("-id", "-updatedAt", "+queue", "-status"):
            pages = await walk(here, f"maxItems=2&sort={sort}")
            assert [len(page) for page in pages] == [2, 2]
            assert sorted(pages[0] + pages[1]) == ids
        assert len(await walk(here, "maxItems=4")) == 1


async def test_next_repeats_everything_and_is_encoded_as_a_whole(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        await submit(here, 2, extIPID="")
        query = "maxItems=1&sort=+id&contract=museum&actor=curator&createdAtTo=2100-01-01T00:00:00%2B01:00"
        link: str = (await here.get(query)).json()["next"]
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.path) == ("", "", PATH)
        sent = parse_qs(parts.query, strict_parsing=True)
        cursor = sent.pop("cursor")
        assert len(cursor) == 1
        assert sent == {
            "maxItems": ["1"],
            "sort": ["+id"],
            "contract": ["museum"],
            "actor": ["curator"],
            "createdAtTo": ["2100-01-01T00:00:00+01:00"],
        }
        assert link.isascii()
        assert not set(link) & set(' "<>+')
        raw = query.replace("%2B", "+")
        from_raw: str = (await here.get(raw)).json()["next"]
        repaired = parse_qs(urlsplit(from_raw).query)
        assert repaired == sent | {"cursor": repaired["cursor"]}
        second = (await here.get(parts.query)).json()
        assert [job["id"] for job in second["jobs"]] == ["2"]
        assert "next" not in second
        other = await here.get(f"maxItems=1&sort=-id&cursor={cursor[0]}")
        assert (other.status_code, other.json()["errorType"]) == (400, "request_syntax")
        nonsense = await here.get("cursor=nonsense")
        assert nonsense.status_code == 400
        assert nonsense.json()["message"].startswith("cursor: ")


async def test_a_large_page_is_whole_although_messages_are_not_so_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_PATIENCE_SECONDS", 60.0)  # However busy the machine is.
    async with museum(tmp_path) as here:
        await here.root.queues.update("nightly", paused=True)
        attributes = {f"key{number}": "x" * 500 for number in range(20)}
        submits = [
            here.root.jobs.submit("museum", "keep", user_attributes=attributes)
            for _ in range(150)
        ]
        await asyncio.gather(*submits)
        body = (await here.get("maxItems=1000")).json()
        assert len(body["jobs"]) == 150
        assert "next" not in body
        assert body["jobs"][0]["dfic"]["userAttrs"] == attributes


async def test_what_a_list_cannot_be_asked_is_400(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        for query, message in {
            "maxItems=1001": "maxItems: Input should be less than or equal to 1000",
            "maxItems=x": "maxItems: a whole number is needed",
            "id=seven": "id: a whole number is needed",
            "createdAtTo=2024-03-26T13:30:30": "createdAtTo: an offset is needed, such as +01:00 or Z",
            "queue=a&queue=b": "queue: it stands there more than once",
        }.items():
            answer = await here.get(query)
            assert (answer.status_code, answer.json()["message"]) == (400, message)
        assert (await here.get("unknown=a&unknown=b")).status_code == 200
        assert (await here.get("queue=%00")).status_code == 400
        assert (await here.get(f"queue={'x' * 5_000}")).status_code == 400


async def test_tenants_do_not_see_each_others_jobs(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        await submit(here, 1)
        assert (await here.get("", "zoe")).json() == {"jobs": []}
        assert len((await here.get("", "bob")).json()["jobs"]) == 1


async def test_next_begins_where_the_context_is_mounted(tmp_path: Path) -> None:
    moved = GatewaySettings(
        mounts={"dataone": Mount("")}, public_url="https://work.example.org/prefix/"
    )
    async with museum(tmp_path, moved) as here:
        headers = {"authorization": f"Bearer {here.tokens['ada']}"}
        for _ in range(2):
            answer = await here.world.http.post(
                "/job-manager/jobs", json=asked(), headers=headers
            )
            assert answer.status_code == 201
        answer = await here.world.http.get("/job-manager/jobs?maxItems=1", headers=headers)
        assert answer.json()["next"].startswith("/prefix/job-manager/jobs?maxItems=1&cursor=")
    elsewhere = replace(moved, mounts={"dataone": Mount("/a b/ü")}, public_url="")
    (tmp_path / "other").mkdir()
    async with museum(tmp_path / "other", elsewhere) as here:
        headers = {"authorization": f"Bearer {here.tokens['ada']}"}
        path = "/a%20b/%C3%BC/job-manager/jobs"
        for _ in range(2):
            await here.world.http.post(path, json=asked(), headers=headers)
        answer = await here.world.http.get(f"{path}?maxItems=1", headers=headers)
        link = answer.json()["next"]
        assert link.startswith(f"{path}?maxItems=1&cursor=")
        assert (await here.world.http.get(link, headers=headers)).json().keys() == {"jobs"}

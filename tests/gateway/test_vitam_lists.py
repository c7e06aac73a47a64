from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from longshore.client import task
from longshore.gateway.vitam import paging
from tests.gateway.harness import Entry, gateway
from tests.gateway.vitam import Vitam, new_worker, unmet

TASKS = 25


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vitams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Vitam]]:
    """Serve a tenant with a task in every state, and another with many that are held."""
    entries = {
        "ada": Entry(name="ada", roles=("submitter",)),
        "many": Entry(name="many", roles=("submitter",), tenants=("2", "3")),
    }
    folder = tmp_path_factory.mktemp("vitam-lists")
    async with gateway(folder, None, "vitam", way="wire", **entries) as (world, tokens):
        await world.work(new_worker())
        vitams = {name: Vitam(world, token) for name, token in tokens.items()}
        await _fill(vitams)
        yield vitams


async def _fill(vitams: dict[str, Vitam]) -> None:
    ada = vitams["ada"]
    done = await ada.submit(Step="abcdef-1")
    await ada.ended(done["id"])
    failed = await ada.submit("fail", {}, Step="abcdef-2")
    await ada.ended(failed["id"])
    await ada.waiting("lists")
    held = await ada.submit(Step='it\'s "held" \\ here', task_status="pending")
    given_up = await ada.submit(Step="abc", task_status="pending")
    await ada.ask("PUT", f"/tasks/{given_up['id']}", {"task_status": "cancel"})
    ada.named |= {
        done["id"]: "done",
        failed["id"]: "failed",
        held["id"]: "held",
        given_up["id"]: "canceled",
    }
    async with vitams["many"].world.client(vitams["many"].token) as client:
        steps = [
            task("a", name=f"many-{n}", suspended=True, allow_unregistered=True)
            for n in range(TASKS)
        ]
        await client.tasks.submit_many(steps)


@pytest.fixture
def vitam(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["ada"]


@pytest.fixture
def many(vitams: dict[str, Vitam]) -> Vitam:
    return vitams["many"]


async def found(vitam: Vitam, query: str) -> set[str]:
    answer = await vitam.ask("GET", "/tasks", {"query": query})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["hits"]["total"] == told["hits"]["size"] == len(told["results"])
    return {vitam.named.get(one, "running") for one in told["results"]}


NOTHING: set[str] = set()
EVERYTHING = {"done", "failed", "running", "held", "canceled"}


@pytest.mark.parametrize(
    "query, names",
    [
        ("", EVERYTHING),
        ("name='abcdef*'&since>'2015-07-14'", {"done", "failed"}),
        (" name = 'abcdef*' & since > '2015-07-14' ", {"done", "failed"}),
        ("name='abc'", {"canceled"}),
        ("name='*f-2'", {"failed"}),
        ("name='*cdef*'", {"done", "failed"}),
        ("name!='step'&state!='canceled'", {"done", "failed", "held"}),
        ("name='it''s \"held\" \\ here'", {"held"}),
        ("name='absent'", NOTHING),
        ("name='ab*-1'", {"done"}),
        ("name='ab*c'", {"canceled"}),
        ("name='ab*bc'", NOTHING),
        ("name='abc*abc'", NOTHING),
        ("name='it*here'", {"held"}),
        ("state='d*e'", {"done"}),
        ("name>'abc'&name<='abcdef-1'", {"done"}),
        ("state='pending'", {"held"}),
        ("state='running'", {"running"}),
        ("state='done'", {"done"}),
        ("state!='done'", EVERYTHING - {"done"}),
        ("state='*d'&state!='failed'", {"canceled"}),
        ("state='x*'", NOTHING),
        ("state='*'", EVERYTHING),
        ("task_status='pending'", {"held"}),
        ("task_status='cancel'", {"canceled"}),
        ("task_status='commit'", {"done", "failed", "running"}),
        ("task_status!='commit'", {"held", "canceled"}),
        ("type='ingest'", EVERYTHING),
        ("type!='ingest'", NOTHING),
        ("type='freeze'", NOTHING),
        ("type='foo'", NOTHING),
        ("state='finished'", NOTHING),
        ("state!='finished'", EVERYTHING),
        ("id='1'", NOTHING),
        ("id='$id_async$'", NOTHING),
        ("id!='1'&name='abc'", {"canceled"}),
        ("result_link='https://elsewhere.example/'", NOTHING),
        ("result_link!='https://elsewhere.example/'", EVERYTHING),
        ("type!='disposal'", EVERYTHING),
        ("error='*'", {"failed"}),
        ("result_link='*'", {"done"}),
        ("end_date='*'", {"done", "failed", "canceled"}),
        ("since<'2015-07-14'", NOTHING),
        ("since>='2015-07-14T00:00:00'&since<'2999-01-01T00:00:00.5+02:00'", EVERYTHING),
        ("start_date>'2015-07-14'&end_date>'2015-07-14'", {"done", "failed"}),
        ("expiration_date>'2015-07-14T23:59:60Z'", {"done", "failed", "canceled"}),
    ],
)
async def test_a_query_finds_what_it_asks_for(
    vitam: Vitam, query: str, names: set[str]
) -> None:
    assert await found(vitam, query) == names


async def test_a_task_is_found_by_its_id(vitam: Vitam) -> None:
    for task_id, name in vitam.named.items():
        assert await found(vitam, f"id='{task_id}'") == {name}
        assert await found(vitam, f"id='{task_id.upper()}'") == {name}


async def test_a_task_is_found_by_the_link_of_its_result(vitam: Vitam) -> None:
    for task_id, name in vitam.named.items():
        told = (await vitam.ask("GET", f"/tasks/{task_id}")).json()
        link = told.get("result_link", f"https://quay.example/v1/tasks/{task_id}/result")
        assert await found(vitam, f"result_link='{link}'") == {name} & {"done"}
        others = {*vitam.named.values()} - ({name} & {"done"})
        assert await found(vitam, f"result_link!='{link}'") >= others


@pytest.mark.parametrize(
    "query",
    [
        "name",
        "name='a",
        "name=a",
        'name="a"',
        "name='a'&",
        "&name='a'",
        "name='a' name='b'",
        "name='a'|name='b'",
        "name=='a'",
        "name~'a'",
        "nom='a'",
        "name!='a*'",
        "name>'a*'",
        "name='a*b*c'",
        "state>'done'",
        "since>'yesterday'",
        "since>'2015-13-14'",
        "since='2015*'",
        "id>'1'",
        "result_link>'a'",
        "result_link='*a'",
        "error='File_Not_Found'",
        "name='" + "a" * 5_000 + "'",
        "&".join(["name!='a'"] * 400),
        "name='\0'",
    ],
)
async def test_a_query_that_is_none_is_412(vitam: Vitam, query: str) -> None:
    answer = await vitam.ask("GET", "/tasks", {"query": query})
    told = answer.json()
    assert (answer.status_code, told["state"]) == (412, "Precondition_Failed")
    assert told["description"].startswith("query: ")


async def test_times_that_are_none_are_told_in_the_words_of_the_query(vitam: Vitam) -> None:
    answer = await vitam.ask("GET", "/tasks", {"query": "state='done'&since>'yesterday'"})
    assert answer.json() == unmet(
        "query: since: expected a date, or a time as 2026-01-31T12:00:00Z"
    )
    answer = await vitam.ask("GET", "/tasks", {"query": "since>'2015-13-45'"})
    assert answer.json() == unmet(
        "query: since: expected a date, or a time as 2026-01-31T12:00:00Z"
    )


async def test_a_list_answers_as_the_contract_shows(many: Vitam) -> None:
    query = "name='many-*'&since>'2015-07-14'"
    answer = await many.ask("GET", "/tasks", {"query": query, "limit": 3})
    told = answer.json()
    following = told["hits"].pop("next")
    assert told == {
        "hits": {"total": TASKS, "size": 3, "offset": 0, "limit": 3, "time_out": False},
        "context": {"query": query},
        "results": told["results"],
    }
    assert all(isinstance(one, str) for one in told["results"])
    names = [(await many.ask("GET", f"/tasks/{one}")).status_code for one in told["results"]]
    assert names == [200, 200, 200]
    assert following


async def pages(many: Vitam, first: dict[str, Any], *, by: str) -> list[dict[str, Any]]:
    """Follow `next`, in one of the ways in which that can be sent."""
    told = [first]
    while following := told[-1]["hits"].get("next"):
        if by == "path":
            answer = await many.ask("GET", f"/tasks/{following}")
        elif by == "body":
            answer = await many.ask("GET", "/tasks", {"next": following})
        elif by == "query":
            answer = await many.ask("GET", "/tasks", params={"next": following})
        else:
            headers = {"X-Http-Method-Override": "GET"}
            answer = await many.ask("POST", "/tasks", {"next": following}, headers)
        assert answer.status_code == 200
        told.append(answer.json())
    return told


@pytest.mark.parametrize("by", ["path", "body", "query", "override"])
async def test_every_task_is_on_one_page_whichever_way_next_is_sent(
    many: Vitam, by: str
) -> None:
    query = "name='many-*'"
    first = (await many.ask("GET", "/tasks", {"query": query, "limit": 10})).json()
    told = await pages(many, first, by=by)
    assert [page["hits"]["size"] for page in told] == [10, 10, 5]
    assert [page["hits"]["offset"] for page in told] == [0, 10, 20]
    assert all(page["hits"]["total"] == TASKS for page in told)
    assert all(page["hits"]["limit"] == 10 for page in told)
    assert all(page["context"] == {"query": query} for page in told)
    assert "next" not in told[-1]["hits"]
    ids = [one for page in told for one in page["results"]]
    assert len(set(ids)) == TASKS
    whole = (await many.ask("GET", "/tasks")).json()
    assert whole["results"] == ids


async def test_what_is_submitted_meanwhile_neither_repeats_nor_skips(many: Vitam) -> None:
    headers = {"X-Tenant-Id": "3"}
    async with many.world.client(many.token, "3") as client:

        async def submit(count: int) -> None:
            held = [task("a", suspended=True, allow_unregistered=True) for _ in range(count)]
            await client.tasks.submit_many(held)

        await submit(6)
        before = (await many.ask("GET", "/tasks", headers=headers)).json()["results"]
        first = (await many.ask("GET", "/tasks", {"limit": 4}, headers)).json()
        await submit(3)
        path = f"/tasks/{first['hits']['next']}"
        second = (await many.ask("GET", path, headers=headers)).json()
    assert first["results"] + second["results"] == before
    assert "next" not in second["hits"]
    assert second["hits"]["total"] >= 6


async def test_next_is_of_one_tenant_and_of_one_query(many: Vitam) -> None:
    first = (await many.ask("GET", "/tasks", {"limit": 2, "query": "name='many*'"})).json()
    following = first["hits"]["next"]
    for body, status in (
        ({"next": following, "query": "name='many*'"}, 200),
        ({"next": following, "offset": 2, "limit": 7}, 200),
        ({"next": following, "query": "name='*'"}, 409),
        ({"next": following, "offset": 3}, 409),
        ({"next": following, "$filter": {"$orderby": {"id": -1}}}, 409),
        ({"next": following, "$filter": {"$offset": 2}}, 200),
        ({"next": following[:-3]}, 404),
        ({"next": following + "A"}, 404),
        ({"next": "next_"}, 404),
        ({"next": "async_id_next"}, 404),
        ({"next": "next_W10"}, 404),
        ({"next": "next_\xe9"}, 404),
    ):
        answer = await many.ask("GET", "/tasks", body)
        assert (answer.status_code, body) == (status, body)
    for path, headers, status in (
        (f"/tasks/{following}", {}, 200),
        (f"/tasks/{following}", {"X-Tenant-Id": "3"}, 404),
        ("/tasks/next_W10", {}, 404),
        ("/tasks/async_id_next", {}, 404),
        (f"/tasks/{following}/result", {}, 404),
    ):
        assert (await many.ask("GET", path, headers=headers)).status_code == status
    answer = await many.ask("PUT", f"/tasks/{following}", {"task_status": "cancel"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": 1_001},
        {"limit": "ten"},
        {"limit": True},
        {"limit": 2.5},
        {"limit": -1},
        {"query": 1},
        {"next": 1},
        {"$filter": []},
        {"$filter": {"$limit": 0}},
        {"offset": -1},
        {"offset": "x"},
        {"offset": 1.0},
        {"$filter": {"$orderby": "id"}},
        {"$filter": {"$orderby": {"state": 1}}},
        {"$filter": {"$orderby": {"id": 2}}},
        {"$filter": {"$orderby": {"id": True}}},
    ],
)
async def test_what_is_no_list_is_412(many: Vitam, body: dict[str, Any]) -> None:
    answer = await many.ask("GET", "/tasks", body)
    assert (answer.status_code, answer.json()["state"]) == (412, "Precondition_Failed")


@pytest.mark.parametrize("offset", [0, 1, 7, 24, 25, 26, 999_999_999])
async def test_a_list_can_begin_anywhere(many: Vitam, offset: int) -> None:
    whole = (await many.ask("GET", "/tasks")).json()["results"]
    first = (await many.ask("GET", "/tasks", {"limit": 10, "offset": offset})).json()
    assert first["results"] == whole[offset : offset + 10]
    hits = {"total": TASKS, "size": len(first["results"]), "offset": offset, "limit": 10}
    following = first["hits"].pop("next", None)
    assert first["hits"] == {**hits, "time_out": False}
    assert (following is not None) == (offset + 10 < TASKS)
    if following is not None:
        second = (await many.ask("GET", f"/tasks/{following}")).json()
        assert second["hits"]["offset"] == offset + 10
        assert second["results"] == whole[offset + 10 : offset + 20]


async def test_a_search_that_is_cut_short_goes_on_from_there(
    many: Vitam, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await many.ask("GET", "/tasks")).json()["results"]
    monkeypatch.setattr(paging, "_SEARCH_SECONDS", -1.0)
    told = (await many.ask("GET", "/tasks", {"limit": 5, "offset": 20})).json()
    assert (told["results"], told["hits"]["time_out"]) == ([], True)
    assert (told["hits"]["total"], told["hits"]["offset"]) == (TASKS, 20)
    told = (await many.ask("GET", f"/tasks/{told['hits']['next']}")).json()
    assert (told["results"], told["hits"]["offset"]) == (whole[20:], 20)


@pytest.mark.parametrize(
    "orderby",
    [{"id": 1}, {"id": -1}, {"name": 1}, {"name": -1, "id": 1}, {"since": 1, "id": 1}],
)
async def test_a_list_has_the_order_that_is_asked_for(
    many: Vitam, orderby: dict[str, int]
) -> None:
    newest = (await many.ask("GET", "/tasks")).json()["results"]
    numbers = {one: TASKS - 1 - place for place, one in enumerate(newest)}
    body = {"query": "name='many-*'", "$filter": {"$orderby": orderby, "$limit": 4}}
    told = await pages(many, (await many.ask("GET", "/tasks", body)).json(), by="path")
    found = [numbers[one] for page in told for one in page["results"]]
    (field, direction), *_ = orderby.items()
    expected = sorted(numbers.values(), key=str if field == "name" else None)
    assert found == expected[::direction]


@pytest.mark.parametrize("way", ["parameters", "dollars", "filter", "override"])
async def test_who_cannot_send_a_body_with_get_has_other_ways(many: Vitam, way: str) -> None:
    query = "name='many-1*'"
    if way == "parameters":
        answer = await many.ask("GET", "/tasks", params={"query": query, "limit": "2"})
    elif way == "dollars":
        params = {"query": query, "$limit": "2", "$offset": "0"}
        answer = await many.ask("GET", "/tasks", params=params)
    elif way == "filter":
        body = {"query": query, "$filter": {"$limit": 2, "$offset": 0}, "$projection": {}}
        answer = await many.ask("GET", "/tasks", body)
    else:
        headers = {"X-Http-Method-Override": "GET"}
        answer = await many.ask("POST", "/tasks", {"query": query, "limit": 2}, headers)
    told = answer.json()
    assert (answer.status_code, told["hits"]["total"], told["hits"]["size"]) == (200, 11, 2)
    assert told["context"]["query"] == query


async def test_a_get_with_a_body_is_read_as_it_comes_over_the_wire(many: Vitam) -> None:
    content = b'{"query": "name=\'many-24\'"}'
    head = (
        f"GET /vitam/v1/tasks HTTP/1.1\r\nHost: worker.internal\r\nx-vitam-key: {many.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        "Connection: close\r\n\r\n"
    )
    host, _, port = many.world.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), family=socket.AF_INET)
    writer.write(head.encode() + content)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"hits":{"total":1,"size":1,"offset":0,"limit":100,"time_out":false}' in answer

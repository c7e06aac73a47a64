"""asapi: what may be asked for, for whom, how it is asked for, and how that stands."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uuid_utils

from longshore.client import Relay, TaskHandle, task
from longshore.core.limits import PAYLOAD_BYTES
from longshore.gateway.asapi import application
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.gateway.settings import Mount
from longshore.v1.operation_pb2 import DeliveryMode
from longshore.v1.server_service_pb2 import ServerMode
from tests.gateway.icloud import (
    FORM,
    SUBMITTER,
    Entry,
    GatewaySettings,
    Icloud,
    icloud,
    quay,
)
from tests.service.test_deliveries import HeldClock

UNKNOWN = {"success": False, "error": "No task with this ID was found."}
NO_SERVICE = ["[u'Invalid service name']", "invalid_service"]
POSTS = [
    "register-account",
    "deregister-account",
    "submit-task",
    "task-status",
    "results-consumed",
]


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Icloud]:
    entries = {
        "confined": Entry(
            name="confined",
            roles=SUBMITTER,
            actions=["icloud/fetch-data", "icloud/echo"],
            values={"icloud/fetch-data/data": ["sms"]},
        ),
        "viewer": Entry(name="viewer", roles=("viewer",)),
    }
    folder = tmp_path_factory.mktemp("asapi")
    async with icloud(folder, None, way="wire", **entries) as found:
        async with found.world.client(found.tokens["confined"]) as client:
            await client.catalog.register_account("icloud", "a@x.org")
        yield found


def refused(**problems: list[str]) -> dict[str, Any]:
    return {"errors": {name: [pair] for name, pair in problems.items()}, "success": False}


def codes(answer: Any) -> dict[str, list[str]]:
    """Return the codes of an answer by field, after a look at its shape."""
    assert answer.status_code == 200
    told = answer.json()
    assert set(told) == {"errors", "success"}
    assert told["success"] is False
    for pairs in told["errors"].values():
        assert all(len(pair) == 2 and pair[0] for pair in pairs)
    return {name: [code for _, code in pairs] for name, pairs in told["errors"].items()}


# Discovery


async def test_a_token_sees_services_actions_and_endpoints(cloud: Icloud) -> None:
    answer = await cloud.get("/account/", "confined")
    assert answer.status_code == 200
    headers = dict(answer.headers)
    assert headers.pop("date")
    assert headers.pop("x-request-id")
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(answer.content)),
    }
    host = cloud.world.url.removeprefix("http://")
    assert answer.json() == {
        "services": [
            {
                "name": "iCloud",
                "slug": "icloud",
                "actions": [
                    {
                        "name": "Fetch Data",
                        "slug": "fetch-data",
                        "description": "",
                        "execution": "Asynchronous",
                        "parameters": [
                            parameter("device", "string"),
                            parameter("data", "list"),
                            parameter("since", "date", optional=True),
                        ],
                        "permissions": {"data": ["sms"]},
                    },
                    {
                        "name": "Echo",
                        "slug": "echo",
                        "description": "",
                        "execution": "Asynchronous",
                        "parameters": [parameter("text", "string", optional=True)],
                        "permissions": {},
                    },
                ],
            }
        ],
        "task_submission_endpoint": {
            "host": host,
            "protocol": "http",
            "uri": "/asapi/submit-task/",
        },
        "stream_endpoints": [{"host": host, "protocol": "http", "uri": "/asapi/fetch/"}],
        "retrieval_protocol": "asstore",
    }


def parameter(slug: str, kind: str, *, optional: bool = False) -> dict[str, Any]:
    return {"name": slug, "slug": slug, "type": kind, "description": "", "optional": optional}


async def test_what_may_be_sent_is_told_for_each_token(cloud: Icloud) -> None:
    services = (await cloud.get("/account/")).json()["services"]
    (service,) = [one for one in services if one["slug"] == "icloud"]
    slugs = [one["slug"] for one in service["actions"]]
    assert slugs == ["fetch-data", "echo", "wait", "fail", "large", "save", "measure"]
    assert service["actions"][0]["permissions"] == {"data": ["sms", "photos", "mail"]}
    kinds = {one["slug"]: one["type"] for one in service["actions"][-1]["parameters"]}
    assert kinds == {
        "whole": "integer",
        "share": "number",
        "exact": "boolean",
        "shape": "object",
        "parts": "list",
    }


async def test_the_token_decides_between_store_and_channel(cloud: Icloud) -> None:
    told = (await cloud.get("/account/", "carol")).json()
    assert told["retrieval_protocol"] == "aschannel"
    assert [one["uri"] for one in told["stream_endpoints"]] == ["/asapi/stream/"]


@pytest.mark.parametrize("path", ["/account", "/account/"])
async def test_paths_count_with_and_without_their_last_slash(cloud: Icloud, path: str) -> None:
    assert (await cloud.get(path)).status_code == 200


@pytest.mark.parametrize("path", POSTS)
async def test_no_post_is_redirected(cloud: Icloud, path: str) -> None:
    for slash in ("", "/"):
        answer = await cloud.post(f"/{path}{slash}")
        assert answer.status_code == 200
        assert answer.json()["success"] is False


async def test_endpoints_are_where_the_public_finds_them(tmp_path: Path) -> None:
    settings = GatewaySettings(public_url="https://work.example.org:8443")
    async with icloud(tmp_path, settings) as cloud:
        told = (await cloud.get("/account/")).json()
        public = {"host": "work.example.org:8443", "protocol": "https"}
        assert told["task_submission_endpoint"] == {**public, "uri": "/asapi/submit-task/"}
        assert told["stream_endpoints"] == [{**public, "uri": "/asapi/fetch/"}]
        task_id = await cloud.submit()
        entry = await cloud.ended(task_id)
        assert entry["retrieval_endpoint"] == (
            f"https://work.example.org:8443/asapi/fetch/{task_id}/"
        )


# Who asks


@pytest.mark.parametrize(
    "shown", ["", "Token", "Token wrong", "Bearer {}", "Basic YTpi", "Token ü"]
)
async def test_a_token_that_is_none_is_answered_with_401(cloud: Icloud, shown: str) -> None:
    text = shown.format(cloud.tokens["stan"])
    headers = [(b"authorization", text.encode())] if text else []
    for path in ("/account/", "/fetch/x/", "/stream/?stream=stan-7"):
        answer = await cloud.world.http.get(f"/asapi{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Token"
        assert answer.json() == {
            "message": "Invalid token.",
            "success": False,
            "error": "invalid-token",
        }
    for path in POSTS:
        answer = await cloud.world.http.post(f"/asapi/{path}/", headers=headers)
        assert answer.status_code == 401


@pytest.mark.parametrize("shown", ["token {}", "TOKEN  {}", "Token\t{} \t"])
async def test_the_word_before_a_token_counts_in_any_case_and_blanks_do_not(
    cloud: Icloud, shown: str
) -> None:
    text = shown.format(cloud.tokens["stan"])
    head = f"GET /asapi/account/ HTTP/1.1\r\nHost: a\r\nAuthorization: {text}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.world.url.split(":")[2])
    writer.write(f"{head}\r\n".encode())
    assert await reader.readexactly(15) == b"HTTP/1.1 200 OK"
    writer.close()


async def test_who_may_only_look_is_told_so(cloud: Icloud) -> None:
    answer = await cloud.post("/register-account/", "viewer", service="icloud", username="v")
    assert answer.status_code == 403
    assert answer.json()["error"] == "not-permitted"
    assert answer.json()["success"] is False


# What is no request


async def test_paths_and_methods_that_there_are_none_are_answered_in_json(
    cloud: Icloud,
) -> None:
    answer = await cloud.get("/accounts/")
    assert answer.status_code == 404
    assert answer.json() == {"message": "Not Found", "success": False, "error": "not-found"}
    answer = await cloud.get("/submit-task/")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json() == {
        "message": "Method Not Allowed",
        "success": False,
        "error": "method-not-allowed",
    }
    answer = await cloud.world.http.head("/asapi/fetch/x/", headers=cloud.shown("stan"))
    assert answer.status_code == 405


async def test_bodies_that_are_no_forms_are_refused(cloud: Icloud) -> None:
    shown = cloud.shown("stan")
    answer = await cloud.world.http.post("/asapi/task-status/", headers=shown, json={})
    assert answer.status_code == 415
    assert answer.json()["error"] == "unsupported-media-type"
    form = {**shown, "content-type": FORM}
    url = "/asapi/task-status/"
    answer = await cloud.world.http.post(
        url, headers=form, content=b"a" * 4 * 1024 * 1024 + b"b"
    )
    assert answer.status_code == 413
    answer = await cloud.world.http.post(url, headers=form, content=b"&" * 200_000)
    assert answer.status_code == 413
    assert answer.json()["error"] == "too-large"
    answer = await cloud.world.http.post(url, headers=form, content=b"task_ids=%ff")
    assert codes(answer) == {"__all__": ["invalid"]}


# Accounts


@pytest.mark.parametrize("service", ["icloud", "iCloud"])
async def test_accounts_are_registered_once_and_deregistered(
    cloud: Icloud, service: str
) -> None:
    account = {"service": service, "username": f"new@{service}"}
    answer = await cloud.post("/register-account/", **account)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    again = await cloud.post("/register-account/", **account)
    assert again.status_code == 200
    message = "Account with this service, client and username already exists"
    assert again.json() == refused(__all__=[message, "unique_together"])
    for expected in (
        {"success": True},
        refused(username=["No such account", "no_such_account"]),
    ):
        answer = await cloud.post("/deregister-account/", **account)
        assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize("path", ["/register-account/", "/deregister-account/"])
async def test_accounts_have_a_service_and_a_name(cloud: Icloud, path: str) -> None:
    missing = ["missing-param"]
    assert codes(await cloud.post(path)) == {"service": missing, "username": missing}
    assert codes(await cloud.post(path, service="icloud", username="")) == {"username": missing}
    answer = await cloud.post(path, service="dropbox", username="a")
    assert answer.json() == refused(service=NO_SERVICE)
    both = {"service": ["invalid_service"], "username": missing}
    assert codes(await cloud.post(path, service="dropbox")) == both


async def test_a_username_that_is_none_is_invalid(cloud: Icloud) -> None:
    answer = await cloud.post("/register-account/", service="icloud", username="a\x00b")
    assert codes(answer) == {"username": ["invalid"]}
    answer = await cloud.post("/register-account/", service="icloud", username="a" * 1_000)
    assert [*codes(answer).values()] == [["limit_exceeded"]]


async def test_each_token_has_accounts_of_its_own(cloud: Icloud) -> None:
    account = {"service": "icloud", "username": "shared"}
    assert (await cloud.post("/register-account/", "stan", **account)).json()["success"]
    assert (await cloud.post("/register-account/", "carol", **account)).json()["success"]


# Submits


async def test_a_submit_is_answered_with_a_task(cloud: Icloud) -> None:
    asked = {"service": "icloud", "action": "echo", "account": "a@x.org", "text": "é & +"}
    for who, protocol, stream in (
        ("stan", "asstore", "stan-7"),
        ("carol", "aschannel", "carol-9"),
    ):
        answer = await cloud.post("/submit-task/", who, **asked)
        assert answer.status_code == 200
        told = answer.json()
        task_id = told.pop("task_id")
        assert re.fullmatch(r"[0-9a-f-]{36}", task_id)
        assert told == {"retrieval_protocol": protocol, "stream": stream, "success": True}
        assert (await cloud.ended(task_id, who))["status"] == "Publish complete"
        result = await cloud.get(f"/fetch/{task_id}/", who)
        assert result.json() == {"text": "é & +"}


@pytest.mark.parametrize(
    "service,action",
    [("icloud", "fetch-data"), ("iCloud", "fetch-data"), ("iCloud", "Fetch Data")],
)
@pytest.mark.parametrize("data", [["sms", "photos"], ["sms,photos"], ["sms, ", "photos"]])
async def test_names_and_lists_are_understood_as_clients_send_them(
    cloud: Icloud, service: str, action: str, data: list[str]
) -> None:
    task_id = await cloud.submit(
        service=service, action=action, device="d1", data=data, since="2026-01-02"
    )
    await cloud.ended(task_id)
    assert (await cloud.get(f"/fetch/{task_id}/")).json() == {
        "device": "d1",
        "data": ["sms", "photos"],
        "since": "2026-01-02",
    }


async def test_texts_become_the_values_that_parameters_take(cloud: Icloud) -> None:
    task_id = await cloud.submit(
        action="measure",
        whole="-12",
        share="2.5e1",
        exact="True",
        shape='{"a": [1, null]}',
        parts="",
        unknown="is ignored",
    )
    await cloud.ended(task_id)
    assert (await cloud.get(f"/fetch/{task_id}/")).json() == {
        "whole": -12,
        "share": 25,
        "exact": True,
        "shape": {"a": [1, None]},
        "parts": None,
    }


async def submitted(cloud: Icloud, who: str = "stan", **fields: Any) -> Any:
    asked = {"service": "icloud", "action": "fetch-data", "account": "a@x.org", "device": "d"}
    return await cloud.post("/submit-task/", who, **{**asked, "data": "sms", **fields})


async def test_every_documented_error_of_a_submit_is_told(cloud: Icloud) -> None:
    answer = await submitted(cloud, service="dropbox")
    assert answer.json() == refused(service=NO_SERVICE)
    answer = await submitted(cloud, action="fetch-all")
    assert answer.json() == refused(action=["Invalid action", "invalid_action"])
    answer = await submitted(cloud, account="nobody@x.org")
    assert answer.json() == refused(account=["No such account", "no_such_account"])
    answer = await submitted(cloud, device="", data="")
    assert answer.json() == refused(
        device=["Parameter device is missing", "missing-param"],
        data=["Parameter data is missing", "missing-param"],
    )
    assert codes(await submitted(cloud, data=" , ,")) == {"data": ["missing-param"]}
    assert codes(await submitted(cloud, account="")) == {"account": ["missing-param"]}
    assert codes(await submitted(cloud, account="a" * 1_000)) == {"account": ["limit_exceeded"]}
    large = await submitted(cloud, device="a" * 1_100_000)
    assert codes(large) == {"__all__": ["limit_exceeded"]}


async def test_only_permitted_values_are_taken(cloud: Icloud) -> None:
    wrong = {"data": ["invalid_parameter_value"]}
    assert codes(await submitted(cloud, data="sms,calls")) == wrong
    assert codes(await submitted(cloud, "confined", data=["sms", "photos"])) == wrong
    assert (await submitted(cloud, "confined", data="sms")).json()["success"] is True


async def test_actions_that_are_not_granted_are_none(cloud: Icloud) -> None:
    answer = await submitted(cloud, "confined", action="fail", why="x")
    assert codes(answer) == {"action": ["invalid_action"]}


@pytest.mark.parametrize(
    "since",
    [
        "yesterday",
        "2026-13-01",
        "2026-01-02x",
        "20170102",
        "2017-W01-1",
        "20170102T030405",
        "2026-01-02T25:00",
    ],
)
async def test_dates_are_dates(cloud: Icloud, since: str) -> None:
    answer = await submitted(cloud, since=since)
    assert codes(answer) == {"since": ["invalid_parameter_value"]}


async def test_of_a_point_in_time_a_date_is_the_day(cloud: Icloud) -> None:
    task_id = (await submitted(cloud, since="2017-01-02T03:04:05Z")).json()["task_id"]
    await cloud.ended(task_id)
    assert (await cloud.get(f"/fetch/{task_id}/")).json()["since"] == "2017-01-02"


async def test_all_that_is_wrong_with_a_submit_is_told_at_once(cloud: Icloud) -> None:
    missing, wrong = ["missing-param"], ["invalid_parameter_value"]
    no_service, no_account = ["invalid_service"], ["no_such_account"]
    assert codes(await cloud.post("/submit-task/", service="dropbox")) == {
        "service": no_service,
        "action": missing,
        "account": missing,
    }
    answer = await submitted(cloud, action="", account="nobody@x.org")
    assert codes(answer) == {"action": missing, "account": no_account}
    answer = await submitted(cloud, action="fetch-all", account="")
    assert codes(answer) == {"action": ["invalid_action"], "account": missing}
    answer = await submitted(cloud, account="", device="")
    assert codes(answer) == {"account": missing, "device": missing}
    answer = await submitted(
        cloud, account="nobody@x.org", device="", data="sms,calls", since="20170102"
    )
    assert codes(answer) == {
        "account": no_account,
        "device": missing,
        "data": wrong,
        "since": wrong,
    }


async def test_what_only_the_server_finds_hides_no_account_that_is_none(cloud: Icloud) -> None:
    asked = {"whole": "9007199254740993", "share": "1", "exact": "1", "shape": "{}"}
    answer = await submitted(cloud, action="measure", account="nobody@x.org", **asked)
    assert codes(answer) == {"__all__": ["invalid"], "account": ["no_such_account"]}
    large = await submitted(cloud, account="nobody@x.org", device="a" * 1_100_000)
    assert codes(large) == {"__all__": ["limit_exceeded"], "account": ["no_such_account"]}


async def test_values_that_cannot_be_read_are_told_all_at_once(cloud: Icloud) -> None:
    answer = await cloud.post(
        "/submit-task/",
        service="icloud",
        action="measure",
        account="a@x.org",
        whole="1.5",
        share="nan",
        exact="perhaps",
        shape="[1]",
    )
    names = ("whole", "share", "exact", "shape")
    assert codes(answer) == {name: ["invalid_parameter_value"] for name in names}
    answer = await submitted(cloud, device=["d1", "d2"])
    assert codes(answer) == {"device": ["invalid_parameter_value"]}


@pytest.mark.parametrize("share", ["1_000", "\u0661", "infinity", "1e999", "0x10", "1,5", "."])
async def test_numbers_are_written_as_everywhere(cloud: Icloud, share: str) -> None:
    asked = {"whole": "1", "share": share, "exact": "1", "shape": "{}"}
    answer = await submitted(cloud, action="measure", **asked)
    assert codes(answer) == {"share": ["invalid_parameter_value"]}


async def test_a_large_whole_number_is_refused_and_not_rounded(cloud: Icloud) -> None:
    asked = {"whole": "9007199254740993", "share": "1", "exact": "1", "shape": "{}"}
    answer = await submitted(cloud, action="measure", **asked)
    assert codes(answer) == {"__all__": ["invalid"]}


async def test_maintenance_is_answered_with_503(tmp_path: Path) -> None:
    operator = Entry(name="operator", roles=("operator",))
    async with icloud(tmp_path, operator=operator) as cloud:
        async with cloud.world.client(cloud.tokens["operator"]) as client:
            await client.server.set_mode(ServerMode.SERVER_MODE_MAINTENANCE)
        answer = await submitted(cloud)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        told = answer.json()
        assert (told["success"], told["error"]) == (False, "unavailable")
        assert (await cloud.get("/account/")).status_code == 200


# How tasks stand


async def test_seven_statuses_are_told(cloud: Icloud, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = await cloud.submit(action="wait", name="seven")
    endpoint = f"{cloud.world.url}/asapi/fetch/{task_id}/"
    stored = {"retrieval_protocol": "asstore", "retrieval_endpoint": endpoint}
    unfinished = {"result_retrieved": False, "success": False}
    await asyncio.wait_for(cloud.start_of("seven").wait(), 20)
    assert await cloud.entry(task_id) == {"status": "In progress", **unfinished}
    held = HeldClock()
    monkeypatch.setattr(cloud.world.clock, "alarm", held.alarm)
    cloud.gate("seven").set()
    while (told := await cloud.entry(task_id))["status"] == "In progress":
        await asyncio.sleep(0)
    assert told == {"status": "Work complete", **unfinished}
    assert (await cloud.get(f"/fetch/{task_id}/")).status_code == 404
    held.ring()
    while (told := await cloud.entry(task_id))["status"] == "Work complete":
        await asyncio.sleep(0)
    available = {**stored, "result_retrieved": False, "success": True}
    assert told == {"status": "Publish ongoing, with result available", **available}
    held.holds = False
    held.ring()
    monkeypatch.undo()
    assert await cloud.ended(task_id) == {"status": "Publish complete", **available}


async def test_work_that_waits_is_pending(cloud: Icloud) -> None:
    async with cloud.world.client(cloud.tokens["stan"]) as client:
        held = await client.tasks.submit("echo", service="icloud", suspended=True)
        pending = {"status": "Pending", "result_retrieved": False, "success": False}
        assert await cloud.entry(held.id) == pending
        await held.cancel("nobody wants it")
        told = await cloud.entry(held.id)
        assert told["status"] == "Task did not complete successfully."
        assert told["error"] == "The task was canceled."


async def test_failures_are_told_with_why(cloud: Icloud) -> None:
    failed = await cloud.submit(action="fail", why="the phone is off")
    async with quay(cloud) as worker:
        publish = await cloud.submit(service="quay", action="carry", account="q")
        await worker.run_next(text="x" * PAYLOAD_BYTES)
    endpoint = f"{cloud.world.url}/asapi/fetch/"
    common = {"retrieval_protocol": "asstore", "result_retrieved": False, "success": False}
    assert await cloud.ended(failed) == {
        "status": "Task did not complete successfully.",
        "retrieval_endpoint": f"{endpoint}{failed}/",
        "error": "the phone is off",
        **common,
    }
    assert await cloud.ended(publish) == {
        "status": "Publish failed",
        "retrieval_endpoint": f"{endpoint}{publish}/",
        "error": "Task did not complete successfully.",
        **common,
    }


async def test_channels_have_no_endpoint_for_a_single_result(cloud: Icloud) -> None:
    task_id = await cloud.submit("carol")
    assert await cloud.ended(task_id, "carol") == {
        "status": "Publish complete",
        "retrieval_protocol": "aschannel",
        "result_retrieved": False,
        "success": True,
    }


async def test_ids_are_taken_in_every_form(cloud: Icloud) -> None:
    first, second = await cloud.submit(), await cloud.submit()
    await cloud.ended(first)
    await cloud.ended(second)
    stranger = str(uuid_utils.uuid7())
    for sent in (
        [first, second, stranger],
        [f"{first},{second},{stranger}"],
        [f"{first}, {second}", stranger, first, ","],
    ):
        answer = await cloud.post("/task-status/", task_ids=sent)
        assert answer.status_code == 200
        told = answer.json()
        assert list(told) == [first, second, stranger, "success"]
        assert told["success"] is True
        assert told[stranger] == UNKNOWN
    upper = first.upper()
    told = (await cloud.post("/task-status/", task_ids=upper)).json()
    assert told[upper]["status"] == "Publish complete"


@pytest.mark.parametrize("sent", ["", ",", " "])
async def test_a_check_needs_ids(cloud: Icloud, sent: str) -> None:
    assert codes(await cloud.post("/task-status/", task_ids=sent)) == {"task_ids": ["invalid"]}
    assert codes(await cloud.post("/task-status/")) == {"task_ids": ["invalid"]}


@pytest.mark.parametrize(
    "wrong", ["1", "success", "a" * 500, "0198c2d4-0000-7000-8000-00000000000g"]
)
async def test_what_can_be_no_id_fails_the_check(cloud: Icloud, wrong: str) -> None:
    answer = await cloud.post("/task-status/", task_ids=f"{uuid_utils.uuid7()},{wrong}")
    message = f"Invalid task_id value: {wrong[:100]}"
    assert answer.json() == refused(task_ids=[message, "invalid"])


@pytest.mark.parametrize("separate", [True, False])
async def test_more_than_ten_thousand_ids_are_too_many(cloud: Icloud, separate: bool) -> None:
    ids = [str(uuid_utils.uuid7()) for _ in range(10_001)]
    sent = ids if separate else [",".join(ids)]
    answer = await cloud.post("/task-status/", task_ids=sent)
    message = "Too many task ids submitted, limit is 10000"
    assert answer.json() == refused(task_ids=[message, "limit_exceeded"])


async def test_ten_thousand_tasks_are_looked_up_at_once(cloud: Icloud) -> None:
    async with cloud.world.client(cloud.tokens["stan"]) as client:
        delivery = DeliveryMode.DELIVERY_MODE_STORE
        made = await client.tasks.submit_many(
            task("echo", service="icloud", delivery=delivery, suspended=True)
            for _ in range(10_000)
        )
    ids = [one.id for one in made if isinstance(one, TaskHandle)]
    assert len(ids) == 10_000
    took: list[float] = []
    for sent in (ids, ",".join(ids)):
        for _ in range(2):
            begun = time.perf_counter()
            answer = await cloud.post("/task-status/", task_ids=sent)
            took.append(time.perf_counter() - begun)
            told = answer.json()
            assert len(told) == 10_001
            assert told[ids[0]]["status"] == "Pending"
            assert told[ids[-1]]["status"] == "Pending"
    print("10,000 ids:", [f"{one:.2f} s" for one in took])


# Opt-ins


async def test_errors_can_be_told_once_more_as_the_client_reads_them(tmp_path: Path) -> None:
    async with icloud(tmp_path, GatewaySettings(asapi_error=True)) as cloud:
        answer = await submitted(cloud, service="dropbox")
        assert answer.json() == {**refused(service=NO_SERVICE), "error": NO_SERVICE[0]}
        answer = await cloud.post("/task-status/", task_ids="x")
        assert answer.json()["error"] == "Invalid task_id value: x"


async def test_registering_again_can_be_fine(tmp_path: Path) -> None:
    async with icloud(tmp_path, GatewaySettings(asapi_register_again=True)) as cloud:
        for _ in range(2):
            answer = await cloud.post("/register-account/", service="icloud", username="b")
            assert (answer.status_code, answer.json()) == (200, {"success": True})


async def test_without_a_server_everything_is_503() -> None:
    settings = GatewaySettings(listen="127.0.0.1:0", mounts={"asapi": Mount("/asapi")})
    async with Relay("127.0.0.1:1") as relay:
        parts = Gateway(settings, Way(relay, dict), Links(settings))
        async with (
            serving(parts, grace_seconds=1) as address,
            httpx.AsyncClient(base_url=f"http://{address}/asapi", timeout=60) as client,
        ):
            gets = ["/account/", f"/fetch/{uuid_utils.uuid7()}/", "/stream/?stream=s"]
            for method, path in [
                *(("GET", one) for one in gets),
                *(("POST", one) for one in POSTS),
            ]:
                answer = await client.request(
                    method, path, headers={"authorization": "Token t"}
                )
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json()["error"] == "unavailable"


async def test_a_tenant_that_cannot_be_one_is_an_invalid_request(cloud: Icloud) -> None:
    headers = [
        (b"authorization", cloud.shown("stan")["authorization"].encode()),
        (b"x-tenant-id", "ü".encode()),
    ]
    answer = await cloud.world.http.get("/asapi/account/", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid")


async def test_the_document_says_what_is_answered_and_nothing_else() -> None:
    settings = GatewaySettings()
    parts: Any = Gateway(settings, Way(Relay(), dict), Links(settings))
    document = application(parts).openapi()
    assert set(document["paths"]) == {
        "/account/",
        *(f"/{one}/" for one in POSTS),
        "/fetch/{task_id}/",
        "/stream/",
    }
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["security"] == [{"Token": []}]
            assert "422" not in operation["responses"]
            assert {"200", "401", "503"} <= set(operation["responses"])

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.client import from_struct
from longshore.gateway.settings import GatewaySettings, Limits
from longshore.v1.server_service_pb2 import SERVER_MODE_MAINTENANCE
from tests.gateway.museum import PATH, asked, museum


def failed(answer: Any, status: int, error_type: str, message: str) -> None:
    """Check an error as a whole."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    moment = datetime.fromisoformat(body.pop("timestamp"))
    assert moment.tzinfo is not None
    assert body == {"result": "failed", "message": message, "errorType": error_type}
    assert answer.headers["content-type"] == "application/json"


async def test_a_submit_answers_the_new_job_in_full(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        answer = await here.post(asked(extIPID="order-7"), "ada")
        job = await here.root.jobs.get("1")
        await job.status()
        shown = answer.json()
        dfic = shown["dfic"]
        assert datetime.fromisoformat(shown["createdAt"]).timestamp() == pytest.approx(
            job.message.metadata.create_time.ToMilliseconds() / 1000
        )
        assert shown["createdAt"].endswith("+00:00")
        assert shown["status"] in ("SUBMITTED", "RUNNING")
        assert shown == {
            "id": "1",
            "status": shown["status"],
            "statusMessage": "",
            "createdAt": shown["createdAt"],
            "updatedAt": shown["updatedAt"],
            "submittedBy": "ada",
            "queue": "default",
            "actor": "curator",
            "contract": "museum",
            "contractType": "deposit",
            "contractAction": "ingest",
            "contractActionTrigger": "upload",
            "contractActionWorkflowInstance": {
                "id": job.id,
                "workflowTemplateId": str(job.message.workflow.template_id),
                "workflowTemplateName": "ingest it",
                "workflowTemplateRevision": "1",
                "workflowTemplateDescription": "In it goes.",
            },
            "dfic": {"dfiid": job.id, "lcid": dfic["lcid"], "userAttrs": {}},
            "extIPID": "order-7",
        }
        assert list(shown)[:4] == ["id", "status", "statusMessage", "createdAt"]
        assert answer.status_code == 201
        assert set(answer.headers) == {
            "content-type",
            "content-length",
            "date",
            "x-request-id",
        }
        assert answer.headers["content-type"] == "application/json"


async def test_a_repeated_submit_answers_409_and_the_job_as_it_is_now(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        first = await here.post(asked(extIPID="order-7"))
        again = await here.post(asked(extIPID="order-7", actionVariables={"file": "other"}))
        assert again.status_code == 409
        assert again.headers["content-type"] == "application/json"
        assert again.json()["id"] == first.json()["id"]
        here.open.set()
        job = await here.root.jobs.get("1")
        assert await job.result(20) == {"file": "a.txt"}
        late = await here.post(asked(extIPID="order-7"))
        assert (late.status_code, late.json()["status"]) == (409, "COMPLETED")
        assert late.json().keys() == first.json().keys()
        assert await here.ids("") == [1]


async def test_of_simultaneous_submits_exactly_one_creates(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        answers = await asyncio.gather(*[here.post(asked(extIPID="x")) for _ in range(24)])
        assert sorted(one.status_code for one in answers) == [201] + [409] * 23
        assert len({one.json()["id"] for one in answers}) == 1


async def test_the_identifier_belongs_to_user_contract_and_action(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        first = await here.post(asked(extIPID="x"))
        others = [
            await here.post(asked(extIPID="x"), "bob"),
            await here.post(asked(extIPID="x", actionName="keep")),
            await here.post(asked(extIPID="X")),
            await here.post(asked(extIPID="")),
            await here.post(asked(extIPID="")),
            await here.post(asked()),
            await here.post(asked()),
        ]
        assert [one.status_code for one in (first, *others)] == [201] * 8
        assert len({one.json()["id"] for one in (first, *others)}) == 8
        assert others[1].json()["queue"] == "nightly"
        assert others[4].json()["extIPID"] == ""


async def test_variables_of_the_call_win_and_may_be_none(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        here.open.set()
        bodies: list[dict[str, Any]] = [
            asked(actionName="keep", actionVariables={}),
            asked(actionName="keep", unknown="member"),
        ]
        for number, body in enumerate(bodies, 1):
            assert (await here.post(body)).status_code == 201
            result = await (await here.root.jobs.get(str(number))).result(20)
            assert result == {"file": "a.txt" if number == 2 else "b.txt"}


async def test_an_identifier_has_at_most_64_characters_of_any_width(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        longest = "ü𝄞" * 32
        assert (await here.post(asked(extIPID=longest))).json()["extIPID"] == longest
        failed(
            await here.post(asked(contractName="nobody", extIPID=longest + "x")),
            400,
            "request_syntax",
            "extIPID: String should have at most 64 characters",
        )


async def test_an_identifier_has_any_characters_but_controls(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        for strange in (
            "a\u00a0b",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "a\u00adb",
            "\ue000\uffff",
            "\u2028",
            " \u202e ",
        ):
            made = await here.post(asked(extIPID=strange))
            assert (made.status_code, made.json()["extIPID"]) == (201, strange)
            assert (await here.post(asked(extIPID=strange))).json()["id"] == made.json()["id"]
            found = await here.ids(str(httpx.QueryParams(extIPID=strange)))
            assert found == [int(made.json()["id"])]
        for control in ("\0", "a\nb", "\x1f", "\x7f", "\x80", "\x9f"):
            failed(
                await here.post(asked(extIPID=control)),
                400,
                "request_syntax",
                "extIPID: control characters are not allowed",
            )


UNREADABLE = [
    (b"", "contractName: Field required"),
    (b"[]", "the body is no JSON object"),
    (b"{} {}", "the body is no JSON: Extra data: line 1 column 4 (char 3)"),
    (b'{"contractName": "museum"}', "actionName: Field required"),
    (
        b'{"contractName": "", "actionName": "a"}',
        "contractName: String should have at least 1 character",
    ),
    (
        b'{"contractName": null, "actionName": "a"}',
        "contractName: Input should be a valid string",
    ),
    (
        b'{"contractName": 7, "actionName": "a"}',
        "contractName: Input should be a valid string",
    ),
    (
        b'{"contractName": "museum", "actionName": "ingest"}',
        "actionVariables: Field required",
    ),
    (
        b'{"contractName": "museum", "actionName": "ingest", "actionVariables": null}',
        "actionVariables: Input should be a valid dictionary",
    ),
    (
        b'{"contractName": "museum", "actionName": "a", "actionVariables": {}, "extIPID": null}',
        "extIPID: Input should be a valid string",
    ),
    (
        b'{"contractName": "museum", "actionName": "a", "actionVariables": []}',
        "actionVariables: Input should be a valid dictionary",
    ),
    (
        b'{"contractName": "museum", "actionName": "a", "actionVariables": {}, "extIPID": 7}',
        "extIPID: Input should be a valid string",
    ),
    (
        b'{"contractName": "museum", "actionName": "a", "actionVariables": {"n": 1e999}}',
        "actionVariables: variables.n: inf is no JSON number",
    ),
    (
        b'{"contractName": "a", "contractName": "b"}',
        "the body is no JSON: a name stands twice in an object",
    ),
]


async def test_a_body_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        headers = {
            "authorization": f"Bearer {here.tokens['ada']}",
            "content-type": "application/json",
        }
        for body, message in UNREADABLE:
            answer = await here.world.http.post(PATH, content=body, headers=headers)
            failed(answer, 400, "request_syntax", message)


async def test_the_body_of_the_documentation_with_its_curly_quotes_is_no_json(
    tmp_path: Path,
) -> None:
    async with museum(tmp_path) as here:
        headers = {"authorization": f"Bearer {here.tokens['ada']}"}
        pasted = "{ “contractName”: “string”, “actionName”: “string” }".encode()
        answer = await here.world.http.post(PATH, content=pasted, headers=headers)
        assert answer.status_code == 400
        lone = b'{"contractName": "\\ud800", "actionName": "a"}'
        answer = await here.world.http.post(PATH, content=lone, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["errorType"] == "request_syntax"


async def test_what_does_not_exist_is_404(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        for body in (
            asked(contractName="nobody"),
            asked(actionName="nothing"),
            asked(contractName="no/body"),
            asked(contractName="n" * 500),
            asked(actionName="no\u0000thing"),
        ):
            answer = await here.post(body)
            assert (answer.status_code, answer.json()["errorType"]) == (404, "not_found")
        failed(
            await here.post(asked(actionName="a/b")),
            404,
            "not_found",
            "contract 'museum' has no action 'a/b'",
        )
        long = await here.post(asked(actionName="n" * 100_000))
        assert (long.status_code, len(long.content) < 1_000) == (404, True)
        assert (await here.post(asked(), "zoe")).status_code == 404
        headers = {"authorization": f"Bearer {here.tokens['ada']}"}
        for path in ("/ghibli-rest/v2/", "/ghibli-rest/v2/login", f"{PATH}/", f"{PATH}/1"):
            answer = await here.world.http.get(path, headers=headers)
            failed(answer, 404, "not_found", "Not Found")


async def test_who_may_not_submit_is_refused(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        answer = await here.post(asked(), "eve")
        assert (answer.status_code, answer.json()["errorType"]) == (403, "authorization")
        assert (await here.get("", "eve")).status_code == 200
        assert (await here.get("", "una")).status_code == 403
        http = here.world.http
        tenant = {"authorization": f"Bearer {here.tokens['ada']}", "x-tenant-id": "north"}
        assert (await http.get(PATH, headers=tenant)).status_code == 403
        tenant["x-tenant-id"] = "nörth"
        answer = await http.get(PATH, headers=httpx.Headers(tenant, encoding="utf-8"))
        failed(
            answer,
            400,
            "request_syntax",
            "x-tenant-id: only printable ASCII characters are allowed",
        )


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_good_credential_nobody_is_served(tmp_path: Path, method: str) -> None:
    long = [f"Bearer {'x' * size}" for size in (3_000, 20_000)]
    shown = [
        *long,
        "",
        "Bearer",
        "Bearer x",
        "Basic !!",
        "Basic YWRhOm5v",
        "Digest x",
        "Bearer ü",
    ]
    async with museum(tmp_path) as here:
        http = here.world.http
        for one in ({}, *({"authorization": one} for one in shown)):
            headers = httpx.Headers(one, encoding="latin-1")
            answer = await http.request(method, PATH, json=asked(), headers=headers)
            assert (answer.status_code, answer.json()["errorType"]) == (401, "authentication")
            assert answer.headers["www-authenticate"].startswith("Bearer realm=")


async def test_who_shows_no_credential_is_told_so_whatever_else_is_wrong(
    tmp_path: Path,
) -> None:
    async with museum(tmp_path) as here:
        http = here.world.http
        for answer in (
            await http.post(PATH),
            await http.post(PATH, content=b"{", headers={"content-type": "text/plain"}),
            await http.get(f"{PATH}?maxItems=x"),
        ):
            assert (answer.status_code, answer.json()["errorType"]) == (401, "authentication")


async def test_other_methods_media_types_and_sizes_are_refused(tmp_path: Path) -> None:
    settings = GatewaySettings(limits=Limits(body_bytes=1_000))
    async with museum(tmp_path, settings) as here:
        http = here.world.http
        headers = {"authorization": f"Bearer {here.tokens['ada']}"}
        answer = await http.put(PATH, json=asked(), headers=headers)
        failed(answer, 405, "method_not_allowed", "Method Not Allowed")
        assert answer.headers["allow"] == "GET, POST"
        answer = await http.post(PATH, data={"a": "b"}, headers=headers)
        failed(answer, 415, "content_type", "application/json is needed")
        answer = await here.post(asked(extIPID="x" * 1_000))
        failed(answer, 413, "request_size", "the body has more than 1000 bytes")


async def test_what_is_too_much_for_a_job_is_413(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        answer = await here.post(asked(actionVariables={"file": "x" * 1_100_000}))
        assert (answer.status_code, answer.json()["errorType"]) == (413, "request_size")
        answer = await here.post(asked(actionVariables={"file": 2**60}))
        assert (answer.status_code, answer.json()["errorType"]) == (400, "request_syntax")


async def test_a_server_under_maintenance_says_when_to_come_again(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        await here.root.server.set_mode(SERVER_MODE_MAINTENANCE)
        answer = await here.post(asked())
        assert (answer.status_code, answer.json()["errorType"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await here.get()).status_code == 200


async def test_the_variables_reach_the_job_as_they_are(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        variables = {"file": "a.txt", "n": 2**53, "list": [None, True, {"ü": 1.5}]}
        assert (await here.post(asked(actionVariables=variables))).status_code == 201
        job = await here.root.jobs.get("1")
        assert from_struct(job.message.spec.variables) == variables

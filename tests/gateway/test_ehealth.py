from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from longshore.access.editing import Entry, add
from longshore.client import Client
from longshore.gateway.settings import GatewaySettings
from longshore.v1.operation_pb2 import STATE_RUNNING
from longshore.worker import Context, PermanentError, Worker
from tests.gateway.harness import World, gateway

PATH = "/ehealth/patients/composition/job"
UNKNOWN = "89678f60-4cdc-4fe3-ae83-e8b3ebd35c59"
NO_SCOPE = (
    "Your scope does not allow to access this resource. Missing allowances: composition:read"
)


@dataclass(slots=True)
class Clinic:
    """A gateway that doctors use."""

    world: World
    tokens: dict[str, str]
    ada: Client
    open: asyncio.Event  #: What is signed waits for it.
    halfway: asyncio.Event  #: What tells how far it is waits for it.
    api_key: str  #: Of `mia`.

    async def get(self, job_id: str, who: str = "ada", **headers: str) -> httpx.Response:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.world.http.get(
            f"{PATH}/{job_id}",
            headers={"authorization": f"Bearer {self.tokens[who]}", **shown},
        )

    async def data(self, job_id: str) -> dict[str, Any]:
        answer = await self.get(job_id)
        assert answer.status_code == 200, answer.text
        body: dict[str, dict[str, Any]] = answer.json()
        assert body.keys() == {"data"}
        return body["data"]


@asynccontextmanager
async def clinic(
    folder: Path, settings: GatewaySettings | None = None
) -> AsyncGenerator[Clinic]:
    mia = add(
        folder / "principals.toml", Entry(name="mia", roles=("viewer",)), with_api_key=True
    )
    assert mia.token
    assert mia.api_key
    async with (
        gateway(
            folder,
            settings,
            "ehealth",
            ada=Entry(name="ada", roles=("submitter",)),
            una=Entry(name="una", roles=("worker",)),
            zoe=Entry(name="zoe", roles=("viewer",), tenants=("north",)),
        ) as (world, tokens),
        world.client(tokens["ada"]) as ada,
    ):
        opened, halfway = asyncio.Event(), asyncio.Event()
        await world.work(_worker(opened, halfway))
        known = {**tokens, "mia": mia.token.secret_text}
        yield Clinic(world, known, ada, opened, halfway, mia.api_key)
        opened.set()


def _worker(opened: asyncio.Event, halfway: asyncio.Event) -> Worker:
    worker = Worker("signer")

    @worker.action
    async def sign(
        context: Context, *, bad: bool = False, share: float = 0.0
    ) -> dict[str, Any]:
        if share:
            await halfway.wait()
            context.progress(share, 1.0)
        await opened.wait()
        if bad:
            raise PermanentError("the signature is wrong")
        return {"links": [{"entity": "eHealth/composition", "href": "composition/1"}]}

    return worker


def failed(
    answer: httpx.Response, status: int, error_type: str, message: str, **meta: str
) -> None:
    """Check an error as a whole."""
    body = answer.json()
    assert body == {
        "meta": {
            "url": meta.get("url", str(answer.request.url)),
            "type": "object",
            "request_id": meta.get("request_id", answer.headers["x-request-id"]),
            "code": status,
        },
        "error": {"type": error_type, "message": message},
    }
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_a_job_is_pending_and_then_done_with_links(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        task = await here.ada.tasks.submit("sign")
        asked = datetime.now(UTC)
        answer = await here.get(task.id, content_type="application/json", x_request_id="r-1")
        data = answer.json()["data"]
        assert answer.json() == {
            "data": {"id": task.id, "status": "PENDING", "eta": data["eta"], "links": []}
        }
        assert answer.status_code == 200
        assert set(answer.headers) == {
            "content-type",
            "content-length",
            "date",
            "x-request-id",
        }
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"] == "r-1"
        assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z", data["eta"])
        assert asked < datetime.fromisoformat(data["eta"]) < asked + timedelta(minutes=1)
        here.open.set()
        await task.result(20)
        end = (await task.status()).end_time.ToDatetime(UTC)
        done = await here.data(task.id)
        assert datetime.fromisoformat(done.pop("eta")) == end
        assert done == {
            "id": task.id,
            "status": "DONE",
            "links": [{"entity": "eHealth/composition", "href": "composition/1"}],
        }


async def test_the_eta_follows_the_progress_of_the_work(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        task = await here.ada.tasks.submit("sign", {"share": 0.5})
        async with task.watch() as changes:
            async for change in changes:
                if STATE_RUNNING in (change.event.state, change.task.status.state):
                    here.world.clock.move(60_000)
                    here.halfway.set()
                if change.event.HasField("progress"):
                    break
        status = await task.status()
        estimate = status.estimated_end_time.ToDatetime(UTC)
        assert estimate - status.start_time.ToDatetime(UTC) >= timedelta(minutes=2)
        assert datetime.fromisoformat((await here.data(task.id))["eta"]) == estimate


async def test_failed_and_canceled_jobs_have_failed(tmp_path: Path) -> None:
    async with clinic(tmp_path, GatewaySettings(ehealth_entity="eHealth/composition")) as here:
        bad = await here.ada.tasks.submit("sign", {"bad": True})
        held = await here.ada.tasks.submit("sign", suspended=True)
        assert (await here.data(held.id))["status"] == "PENDING"
        await held.cancel("signed by mistake")
        here.open.set()
        async with bad.watch() as changes:
            async for _ in changes:
                pass
        for task, message in (bad, "the signature is wrong"), (held, "signed by mistake"):
            data = await here.data(task.id)
            assert data["status"] == "FAILED"
            (link,) = data["links"]
            assert link["entity"] == "eHealth/composition"
            assert message in link["error"]


async def test_whole_ids_only_find_a_job_in_any_case(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        task = await here.ada.tasks.submit("sign")
        assert (await here.data(task.id.upper()))["id"] == task.id
        for wrong in (
            UNKNOWN,
            str(task.number),
            task.id[:-1],
            task.id.replace("-", ""),
            f"{{{task.id}}}",
            f"{task.id}%20",
            "%25",
            "x" * 3_000,
        ):
            failed(await here.get(wrong), 404, "not_found", "Task not found")
        failed(await here.get(task.id, "zoe"), 404, "not_found", "Task not found")
        answer = await here.get(task.id, "mia", api_key=here.api_key)
        assert answer.status_code == 200


async def test_a_request_that_cannot_be_read_is_malformed(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        for target in (
            f"{PATH}/%ff",
            f"{PATH}/%zz",
            f"{PATH}/{UNKNOWN}%",
            f"{PATH}/{UNKNOWN}?a=%e2%82",
            f"{PATH}/{UNKNOWN}?a=%g",
        ):
            url = httpx.URL(here.world.url).copy_with(raw_path=target.encode())
            headers = {"authorization": f"Bearer {here.tokens['ada']}"}
            answer = await here.world.http.get(url, headers=headers)
            failed(
                answer,
                400,
                "request_malformed",
                "Invalid request format",
                url=here.world.url + target,
            )
        headers = {"x_tenant_id": "t" * 200}
        failed(
            await here.get(UNKNOWN, **headers),
            400,
            "request_malformed",
            "Invalid request format",
        )


async def test_who_shows_no_good_token_is_denied(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        no_bearer = "Authorization header is not set or doesn't contain Bearer token"
        cases: list[tuple[Mapping[str, str], str]] = [
            ({}, no_bearer),
            ({"authorization": "Basic YTpi"}, no_bearer),
            ({"authorization": "Bearer"}, no_bearer),
            ({"authorization": here.tokens["ada"]}, no_bearer),
            ({"authorization": "Bearer x"}, "Invalid access token"),
            ({"authorization": f"Bearer {'x' * 20_000}"}, "Invalid access token"),
            ({"authorization": f"Bearer {here.tokens['ada']}x"}, "Invalid access token"),
        ]
        for job_id in (UNKNOWN, "7"):
            for headers, message in cases:
                answer = await here.world.http.get(f"{PATH}/{job_id}", headers=headers)
                failed(answer, 401, "access_denied", message)


async def test_an_api_key_is_needed_where_one_is_configured(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        failed(await here.get(UNKNOWN, "mia"), 401, "access_denied", "Api key is not set")
        for wrong in ("wrong", here.api_key[:-1], "ключ"):
            headers = httpx.Headers(
                {"authorization": f"Bearer {here.tokens['mia']}", "api-key": wrong},
                encoding="utf-8",
            )
            answer = await here.world.http.get(f"{PATH}/{UNKNOWN}", headers=headers)
            failed(answer, 401, "access_denied", "Invalid api key")
        answer = await here.get(UNKNOWN, "mia", api_key=here.api_key)
        failed(answer, 404, "not_found", "Task not found")
        answer = await here.get(UNKNOWN, "ada", api_key="whatever")
        failed(answer, 404, "not_found", "Task not found")


async def test_without_the_scope_a_job_is_forbidden(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        task = await here.ada.tasks.submit("sign")
        answer = await here.get(f"{task.id}?a=b", "una", x_request_id="r-2")
        failed(answer, 403, "forbidden", NO_SCOPE, request_id="r-2")
        answer = await here.get(task.id, "ada", x_tenant_id="north")
        failed(answer, 403, "forbidden", "Access denied")


async def test_without_the_scope_a_job_is_denied_as_of_old_where_it_is_wanted(
    tmp_path: Path,
) -> None:
    async with clinic(tmp_path, GatewaySettings(ehealth_scope_401=True)) as here:
        failed(await here.get(UNKNOWN, "una"), 401, "access_denied", NO_SCOPE)


async def test_other_paths_and_methods_get_the_envelope_as_well(tmp_path: Path) -> None:
    settings = GatewaySettings(public_url="https://api.example.org")
    async with clinic(tmp_path, settings) as here:
        http = here.world.http
        for path in (
            "/ehealth/patients",
            f"{PATH}/",
            f"{PATH}/{UNKNOWN}/",
            f"{PATH}/a%2Fb",
        ):
            answer = await http.get(path)
            url = f"https://api.example.org{path}"
            failed(answer, 404, "not_found", "Task not found", url=url)
        answer = await http.post(f"{PATH}/{UNKNOWN}")
        url = f"https://api.example.org{PATH}/{UNKNOWN}"
        failed(answer, 405, "method_not_allowed", "Method Not Allowed", url=url)
        assert answer.headers["allow"] == "GET"


async def test_a_body_and_other_parameters_do_no_harm(tmp_path: Path) -> None:
    async with clinic(tmp_path) as here:
        task = await here.ada.tasks.submit("sign")
        headers = {
            "authorization": f"bearer {here.tokens['ada']}",
            "content-type": "application/json",
        }
        answer = await here.world.http.request(
            "GET", f"{PATH}/{task.id}?x=%D1%97", content=b"{nonsense", headers=headers
        )
        assert answer.json()["data"]["status"] == "PENDING"


async def test_it_may_stand_at_the_root(tmp_path: Path) -> None:
    mounts = {"ehealth": replace(GatewaySettings().mounts["ehealth"], path="")}
    async with clinic(tmp_path, GatewaySettings(mounts=mounts)) as here:
        task = await here.ada.tasks.submit("sign")
        answer = await here.world.http.get(
            f"/patients/composition/job/{task.id}",
            headers={"authorization": f"Bearer {here.tokens['ada']}"},
        )
        assert answer.json()["data"]["id"] == task.id

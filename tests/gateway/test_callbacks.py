"""Callbacks, from the submit to whoever is called: a real gateway, and a real receiver."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.json_format import Parse
from standardwebhooks import Webhook

from longshore.core.callers import Caller
from longshore.core.changes import Delete
from longshore.core.ids import target_of
from longshore.gateway.settings import CallbackRules
from longshore.v1.operation_pb2 import CallbackFormat, CallbackSent, State
from longshore.v1.operation_service_pb2 import GetOperationResponse
from tests.gateway.outbound import LOOPBACK, OWN, SECRET, Outbound, outbound
from tests.gateway.receiver import Receiver, receiver

VITAM = CallbackFormat.CALLBACK_FORMAT_VITAM
MDWORKBENCH = CallbackFormat.CALLBACK_FORMAT_MDWORKBENCH


@pytest_asyncio.fixture
async def out(tmp_path: Path) -> AsyncGenerator[Outbound]:
    async with outbound(tmp_path, "vitam", "mdworkbench") as made:
        yield made


def url(receiver: Receiver, path: str = "/done") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


async def test_an_operation_is_told_of_as_it_is_shown_and_signed(out: Outbound) -> None:
    async with receiver() as called:
        task = await out.task(url(called, "/done?a=1"))
        (call,) = await called.called()
        assert await out.sent(task.id) == CallbackSent(attempts=1, message="204 No Content")
    headers = {"authorization": f"Bearer {out.token}"}
    shown = await out.world.http.get(f"/v1/any/{task.id}", headers=headers)
    told = Parse(call.body, GetOperationResponse()).task
    assert told.metadata.id == task.id
    assert dict(told.status.result) == {"greeting": "Hello, default!"}
    # Since then it was told of its callback.
    after = Parse(shown.text, GetOperationResponse()).task
    told.status.revision = after.status.revision
    told.status.update_time.CopyFrom(after.status.update_time)
    assert after == told
    assert (call.method, call.target) == ("POST", "/done?a=1")
    assert call.headers == {
        "host": f"127.0.0.1:{called.port}",
        "user-agent": call.headers["user-agent"],
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
        "content-type": "application/json",
        "content-length": str(len(call.body)),
        "webhook-id": call.headers["webhook-id"],
        "webhook-timestamp": call.headers["webhook-timestamp"],
        "webhook-signature": call.headers["webhook-signature"],
    }
    assert call.headers["user-agent"].startswith("longshore/")
    assert Webhook(SECRET).verify(call.body, call.headers) == json.loads(call.body)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(call.body + b" ", call.headers)


async def test_each_tenant_is_told_of_its_own(out: Outbound) -> None:
    async with receiver() as called:
        tasks = [await out.task(url(called), tenant=one) for one in ("default", "south")]
        calls = await called.called(2)
        for task, tenant in zip(tasks, ("default", "south"), strict=True):
            assert not (await out.sent(task.id, tenant)).given_up
    told = [Parse(call.body, GetOperationResponse()).task for call in calls]
    assert {(one.metadata.id, dict(one.status.result)["greeting"]) for one in told} == {
        (tasks[0].id, "Hello, default!"),
        (tasks[1].id, "Hello, south!"),
    }
    assert {one.metadata.tenant for one in told} == {"default", "south"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET", "HEAD", "OPTIONS"])
async def test_the_method_is_the_one_that_was_asked_for(out: Outbound, method: str) -> None:
    async with receiver() as called:
        task = await out.task(url(called), method=method)
        (call,) = await called.called()
        assert not (await out.sent(task.id)).given_up
    assert call.method == method
    assert bool(call.body) is (method in ("POST", "PUT", "PATCH"))
    assert ("content-type" in call.headers) is bool(call.body)
    assert call.headers["webhook-signature"].startswith("v1,")


@pytest.mark.parametrize(
    "status",
    ["302 Found", "404 Not Found", "410 Gone", "401 Unauthorized", "499 Nobody Knows"],
)
async def test_what_will_not_do_is_given_up_at_once_unless_it_may_pass(
    out: Outbound, status: str
) -> None:
    permanent = status.startswith("4")
    async with receiver(answer(status, "location: /elsewhere", "content-length: 0")) as called:
        task = await out.task(url(called))
        await called.called()
        if permanent:
            told = CallbackSent(given_up=True, attempts=1, message=status)
            assert await out.sent(task.id) == told
        else:
            assert (await out.retried()).total_seconds() == 1
            await called.called(2)
        assert {call.target for call in called.calls} == {"/done"}


@pytest.mark.parametrize(
    "status",
    ["408 Request Timeout", "425 Too Early", "429 Too Many Requests", "500 Oh", "503 No"],
)
async def test_what_may_pass_is_tried_again_with_the_same_id(
    out: Outbound, status: str
) -> None:
    def answers(call: int) -> bytes:
        return answer(status if call == 1 else "200 OK", "content-length: 0")

    async with receiver(answers) as called:
        task = await out.task(url(called))
        await called.called()
        assert (await out.retried()).total_seconds() == 1
        first, second = await called.called(2)
        assert await out.sent(task.id) == CallbackSent(attempts=2, message="200 OK")
    assert first.headers["webhook-id"] == second.headers["webhook-id"] != task.id
    assert first.body == second.body
    for call in (first, second):
        Webhook(SECRET).verify(call.body, call.headers)


async def test_nobody_is_called_again_sooner_than_he_wants(out: Outbound) -> None:
    def answers(call: int) -> bytes:
        return answer("503 Later", "retry-after: 90") if call == 1 else answer("200 OK")

    async with receiver(answers) as called:
        task = await out.task(url(called))
        await called.called()
        assert (await out.retried()).total_seconds() == 90
        assert (await out.sent(task.id)).attempts == 2


async def test_whoever_is_not_there_is_called_again(out: Outbound) -> None:
    async with receiver() as gone:
        pass
    await out.task(url(gone))
    assert (await out.retried()).total_seconds() == 1


@pytest.mark.parametrize("action", ["greet", "fail"])
async def test_vitam_is_told_as_vitam_shows_it(out: Outbound, action: str) -> None:
    async with receiver() as called:
        asked = url(called, "/{id}?is={status}")
        task = await out.task(asked, action=action, format=VITAM, method="PUT")
        (call,) = await called.called()
        assert not (await out.sent(task.id)).given_up
    state = {"greet": "done", "fail": "failed"}[action]
    assert call.target == f"/{task.id}?is={state}"
    shown = await out.world.http.get(
        f"/vitam/v1/tasks/{task.id}", headers={"x-vitam-key": out.token}
    )
    assert shown.status_code == 200, shown.text
    assert call.headers["content-type"] == "application/json"
    assert json.loads(call.body) == shown.json()
    assert shown.json()["state"] == state


async def test_mdworkbench_is_told_as_mdworkbench_shows_it(out: Outbound) -> None:
    async with receiver() as called:
        launch = await out.launch(url(called), format=MDWORKBENCH)
        (call,) = await called.called()
        assert not (await out.sent(launch.id)).given_up
    shown = await out.world.http.get(f"/mdworkbench/launch/{launch.id}")
    assert shown.status_code == 200, shown.text
    assert call.headers["content-type"] == "application/json"
    told: dict[str, Any] = json.loads(call.body)
    assert told == shown.json()
    assert (told["state"], len(told["result"]["files"])) == ("completed", 1)
    assert told["uri"].startswith("https://work.example.org/mdworkbench/")


@pytest.mark.parametrize("kind", ["task", "launch"])
async def test_what_a_dialect_does_not_know_is_not_told_by_it(out: Outbound, kind: str) -> None:
    async with receiver() as called:
        if kind == "task":
            operation_id = (await out.task(url(called), format=MDWORKBENCH)).id
        else:
            operation_id = (await out.launch(url(called), format=VITAM)).id
        sent = await out.sent(operation_id)
    assert (sent.given_up, sent.attempts, called.calls) == (True, 1, [])


@pytest.mark.parametrize(
    "asked",
    ["http://u:secret@a..b/", f"http://{'a' * 64}.example/", "http://.:1/", "http://xn--/"],
)
async def test_a_name_that_can_be_none_is_given_up_at_once(out: Outbound, asked: str) -> None:
    task = await out.task(asked)
    sent = await out.sent(task.id)
    assert (sent.given_up, sent.attempts) == (True, 1)
    assert sent.message.startswith("that is no URL: ")
    assert "secret" not in sent.message


async def test_without_being_allowed_nobody_nearby_is_called(tmp_path: Path) -> None:
    async with outbound(tmp_path, rules=CallbackRules()) as out, receiver() as called:
        task = await out.task(url(called))
        assert await out.sent(task.id) == CallbackSent(
            given_up=True,
            attempts=1,
            message="callbacks may not go there: 127.0.0.1 leads to 127.0.0.1",
        )
        assert called.calls == []


async def test_without_a_secret_callbacks_are_marked_but_not_signed(tmp_path: Path) -> None:
    rules = CallbackRules(allowed_networks=LOOPBACK)
    async with outbound(tmp_path, rules=rules) as out, receiver() as called:
        await out.task(url(called))
        (call,) = await called.called()
    assert "webhook-id" in call.headers
    assert "webhook-signature" not in call.headers


async def test_what_has_expired_is_not_told_any_more(out: Outbound) -> None:
    async with receiver(answer("500 Oh")) as called:
        task = await out.task(url(called))
        await called.called()
        await out.world.engine.writer.write(Delete(Caller(), target_of(task.id)))
        await out.retried()
        callback = await out.ended_callback()
        assert len(called.calls) == 1
    assert callback.status.state == State.STATE_FAILED
    assert callback.status.message == "the operation is not there any more"


async def test_a_gateway_that_may_not_read_says_so_and_tries_again(tmp_path: Path) -> None:
    own = replace(OWN, roles=("worker",))
    async with outbound(tmp_path, own=own) as out, receiver() as called:
        await out.task(url(called))
        assert (await out.retried()).total_seconds() == 1
        assert called.calls == []

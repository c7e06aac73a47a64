"""Gateways as processes: inside a server, and in front of others."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from longshore.client import Client
from longshore.v1.operation_pb2 import Callback, CallbackSent
from tests.acceptance.journal import noted
from tests.acceptance.processes import Program, Server, dockhand_environment
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.gateway.receiver import Receiver, receiver
from tests.tools.certificates import Authority, put
from tests.tools.ports import steady_address

WORK = ("--worker", "tests.acceptance.work:worker")
INSIDE = ("--http", "127.0.0.1:0", "--callback-allow", "127.0.0.0/8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

#: As the message says that a gateway without one is told.
OWN = (
    *("principals", "add", "gateway", "--role", "worker", "--role", "viewer"),
    *("--role", "submitter", "--tenant", "*", "--queue", "longshore.callbacks"),
    "--go-between",
)


async def url_of(program: Program) -> str:
    return (await program.said(r"^longshore gateway listening on (\S+)", program.out))[1]


async def added(folder: Path, *words: str) -> Path:
    """Add a principal and return the file of its token."""
    async with Program(*words, "--principals", folder / "principals.toml") as program:
        assert await program.ended() == 0
    token = folder / f"{words[2]}.token"
    token.write_text("\n".join(program.out))
    return token


def url_to(called: Receiver) -> str:
    return f"http://127.0.0.1:{called.port}/done"


async def submitted(client: Client, url: str) -> str:
    # The worker inside may not have come in yet.
    handle = await client.tasks.submit(
        "quick", callback=Callback(url=url), allow_unregistered=True
    )
    return handle.id


async def callback_sent(client: Client, task_id: str) -> CallbackSent:
    while True:
        async for event in client.operations.history(task_id, "callback_sent"):
            return event.callback_sent
        await asyncio.sleep(0.01)


async def got(url: str, path: str, **how: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30, **how) as http:
        return await http.get(f"{url}{path}")


async def test_a_server_speaks_http_and_calls_back(store: Path, journal: Path) -> None:
    options = (*INSIDE, *WORK, "--callback-secret", SECRET)
    async with (
        Server(store, *options, environment=dockhand_environment(journal)) as server,
        receiver() as called,
        Client(server.address) as client,
    ):
        url = await url_of(server)
        assert server.out[0] == f"longshore listening on {server.address}"
        assert (await got(url, "/readyz")).json() == {"status": "ok"}
        task_id = await submitted(client, url_to(called))
        (call,) = await within(called.called(), "the callback")
        shown = await got(url, f"/v1/any/{task_id}", headers={"x-request-id": "r-1"})
        assert shown.headers["x-request-id"] == "r-1"
        assert shown.json()["task"]["spec"] == json.loads(call.body)["task"]["spec"]
        Webhook(SECRET).verify(call.body, call.headers)
        await server.said(r'"request_id": "r-1"', server.err)
        assert await server.terminate() == 0
    assert SECRET not in "\n".join([*server.out, *server.err])


async def test_a_server_with_principals_has_its_own_for_its_gateway(
    store: Path, journal: Path, tmp_path: Path, authority: Authority
) -> None:
    ada = await added(tmp_path, "principals", "add", "ada", "--role", "submitter")
    pair = authority.server
    options = (
        *("--principals", tmp_path / "principals.toml", *INSIDE, *WORK),
        *("--tls-cert", pair.certificate, "--tls-key", pair.key),
    )
    async with Server(store, *options, environment=dockhand_environment(journal)) as server:
        url = await url_of(server)
        token = ada.read_text().strip()
        assert (await got(url, "/v1/tasks")).status_code == 401
        headers = {"authorization": f"Bearer {token}"}
        assert (await got(url, "/v1/tasks", headers=headers)).status_code == 200
        assert (await got(url, "/readyz")).status_code == 200
        async with receiver() as called, httpx.AsyncClient(timeout=30, headers=headers) as http:
            body = {
                "spec": {"actions": [{"action": "quick"}]},
                "options": {"allowUnregistered": True, "callback": {"url": url_to(called)}},
            }
            answer = await http.post(f"{url}/v1/tasks", json=body)
            assert answer.status_code == 200, answer.text
            await within(called.called(), "the callback")
        assert await server.terminate() == 0


async def test_a_gateway_of_its_own_outlives_its_servers(
    store: Path, journal: Path, tmp_path: Path, authority: Authority
) -> None:
    ada = await added(tmp_path, "principals", "add", "ada", "--role", "submitter")
    own = await added(tmp_path, *OWN)
    pair = authority.server
    options = (
        *("--principals", tmp_path / "principals.toml", *WORK),
        *("--tls-cert", pair.certificate, "--tls-key", pair.key),
    )
    environment = dockhand_environment(journal)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            Server(store, *options, listen=steady_address(), environment=environment)
        )
        gateway = await stack.enter_async_context(
            Program(
                *("gateway", "--server", first.address, "--ca", authority.ca),
                *("--token-file", own, *INSIDE),
            )
        )
        called = await stack.enter_async_context(receiver())
        url = await url_of(gateway)
        headers = {"authorization": f"Bearer {ada.read_text().strip()}"}
        assert (await got(url, "/v1/tasks", headers=headers)).status_code == 200
        await first.kill()
        answer = await got(url, "/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        second = await stack.enter_async_context(
            Server(store, *options, listen=first.address, environment=environment)
        )

        async def ready() -> bool:
            return (await got(url, "/readyz")).status_code == 200

        await eventually_answered(ready, "a gateway that is ready again")
        async with httpx.AsyncClient(timeout=30, headers=headers) as http:
            body = {
                "spec": {"actions": [{"action": "quick"}]},
                "options": {"allowUnregistered": True, "callback": {"url": url_to(called)}},
            }
            assert (await http.post(f"{url}/v1/tasks", json=body)).status_code == 200
        await within(called.called(), "the callback")
        assert await gateway.terminate() == 0
        assert second.running


async def test_every_end_is_called_back_though_gateways_are_killed(
    store: Path, journal: Path
) -> None:
    count = 40
    options = (*WORK, "--beat", "0.3s", "--time-to-live", "1.2s")
    async with (
        receiver() as called,
        Server(store, *options, environment=dockhand_environment(journal)) as server,
        Client(server.address) as client,
    ):
        gateway = ("gateway", "--server", server.address, *INSIDE)
        async with Program(*gateway) as mortal:
            await url_of(mortal)
            ids = [await submitted(client, url_to(called)) for _ in range(count)]
            await within(called.called(), "the first callback")
            await mortal.kill()
        async with Program(*gateway):
            for task_id in ids:
                sent = await within(callback_sent(client, task_id), "a callback")
                assert not sent.given_up
    told = {json.loads(call.body)["task"]["metadata"]["id"] for call in called.calls}
    assert told == set(ids)


async def test_http_is_drained_first_then_callbacks_then_the_server(
    store: Path, journal: Path, gate: Path
) -> None:
    options = (*INSIDE, *WORK, "--grace", "20s")
    watched, let_go = asyncio.Event(), asyncio.Event()

    async def answer(_call: int) -> bytes:
        await let_go.wait()
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    async with (
        Server(store, *options, environment=dockhand_environment(journal)) as server,
        receiver(answer) as called,
        Client(server.address) as client,
        httpx.AsyncClient(timeout=30) as http,
    ):
        url = await url_of(server)
        lines: list[str] = []

        async def watch() -> None:
            async with http.stream("GET", f"{url}/v1/any:watch") as answer:
                assert answer.status_code == 200
                async for line in answer.aiter_lines():
                    lines.append(line)
                    watched.set()

        watching = asyncio.create_task(watch())
        await within(watched.wait(), "the first line of a watch")
        task_id = await submitted(client, url_to(called))
        await within(called.called(), "the callback")
        held = await client.tasks.submit("hold", {"gate": str(gate)}, allow_unregistered=True)
        await eventually(lambda: noted(journal, "start", held.id), "the start of the work")
        server.process.terminate()
        await within(watching, "the end of the watch")
        # The connection of the watch may be met while it is closed.
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
            await http.get(f"{url}/healthz")
        assert (await client.tasks.get(held.id)).state == "RUNNING"
        let_go.set()
        told = await within(callback_sent(client, task_id), "the end of the callback")
        assert not told.given_up
        gate.touch()
        assert await server.ended() == 0
    assert noted(journal, "end", held.id)
    assert lines


async def test_https_takes_up_certificates_that_are_made_anew(
    store: Path, tmp_path: Path, authority: Authority
) -> None:
    pair = authority.issue("127.0.0.1", subject="first").copy(tmp_path)
    options = ("--http-cert", pair.certificate, "--http-key", pair.key)
    context = ssl.create_default_context(cafile=authority.ca)

    async def subject(url: str) -> str:
        host, _, port = url.removeprefix("https://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        shown: dict[str, Any] = writer.get_extra_info("peercert")
        writer.close()
        names = dict(pair for one in shown["subject"] for pair in one)
        return str(names["commonName"])

    async with Server(store, *INSIDE, *options) as server:
        url = await url_of(server)
        assert url.startswith("https://127.0.0.1:")
        assert (await got(url, "/healthz", verify=context)).status_code == 200
        assert await subject(url) == "first"
        for new, old in zip(authority.issue("127.0.0.1", subject="second"), pair, strict=True):
            put(new, old)

        async def renewed() -> bool:
            return await subject(url) == "second"

        await eventually_answered(renewed, "the new certificate")
        assert await server.terminate() == 0


async def test_a_port_that_is_taken_keeps_a_server_from_starting(store: Path) -> None:
    async with receiver() as taken:
        options = ("--http", f"127.0.0.1:{taken.port}")
        async with Program(
            "serve", "--store", f"sqlite:{store}", "--listen", "127.0.0.1:0", *options
        ) as program:
            assert await program.ended() == 1
    assert f"cannot listen on 127.0.0.1:{taken.port}" in "\n".join(program.err)
    assert "Traceback" not in "\n".join(program.err)

"""Who calls through a gateway is told from others who do: by servers, their limits and logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.processes import Program, Server
from tests.acceptance.test_gateway import OWN, added, url_of
from tests.acceptance.waiting import eventually, eventually_answered, within

GUESSER, OTHER, THIRD = "127.0.0.3", "127.0.0.2", "127.0.0.4"
GATEWAY = "127.0.0.1"


@dataclass(slots=True)
class Site:
    """A server with a gateway, each a process or both the same."""

    server: Server
    gateway: Program
    url: str
    tokens: dict[str, str]
    audit: Path

    async def ask(
        self, address: str, token: str, method: str = "GET", path: str = "/v1/tasks", **how: Any
    ) -> httpx.Response:
        """Ask from an address of this machine."""
        # Without authorities, whose certificates would be read for each.
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, timeout=60, headers=headers) as http:
            return await http.request(method, f"{self.url}{path}", **how)

    def audited(self, event: str) -> list[dict[str, Any]]:
        found = map(json.loads, self.audit.read_text().splitlines())
        return [one for one in found if one["event"] == event]


@asynccontextmanager
async def site(
    store: Path, folder: Path, *options: str, inside: bool = False
) -> AsyncGenerator[Site]:
    tokens = {
        name: (await added(folder, "principals", "add", name, "--role", "admin")).read_text()
        for name in ("ada", "bob")
    }
    audit = folder / "audit.log"
    known = ("--principals", folder / "principals.toml", "--audit-log", audit)
    http = ("--http", "127.0.0.1:0")
    async with AsyncExitStack() as stack:
        server = Server(store, *known, *options, *(http if inside else ()))
        gateway: Program = await stack.enter_async_context(server)
        if not inside:
            own = await added(folder, *OWN)
            words = ("gateway", "--server", server.address, "--token-file", own, *http)
            gateway = await stack.enter_async_context(Program(*words))
        yield Site(server, gateway, await url_of(gateway), tokens, audit)


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside"])
async def test_who_guesses_through_a_gateway_is_slowed_and_its_other_clients_are_not(
    store: Path, tmp_path: Path, *, inside: bool
) -> None:
    async with site(store, tmp_path, inside=inside) as here:
        ada, bob = here.tokens["ada"], here.tokens["bob"]
        guesses = [f"{ada[:-12]}xyzzy{number:07}" for number in range(15)]
        for guess in guesses[:3]:
            assert (await here.ask(GUESSER, guess)).status_code == 401
        guessing = [asyncio.create_task(here.ask(GUESSER, guess)) for guess in guesses[3:]]
        refused, waiting = await within(
            asyncio.wait(guessing, return_when=asyncio.FIRST_COMPLETED), "a refusal"
        )
        # They wait for nobody who guesses.
        assert (await here.ask(OTHER, ada)).status_code == 200
        assert (await here.ask(OTHER, guesses[0])).status_code == 401
        assert (await here.ask(THIRD, bob)).status_code == 200
        assert not all(one.done() for one in waiting)
        assert refused
        assert waiting
        answers = await within(asyncio.gather(*guessing), "all guesses")
        assert {one.status_code for one in answers} == {401, 429}
        assert all("retry-after" in one.headers for one in answers if one.status_code == 429)
        denied = here.audited("denied")
        assert {one["address"] for one in denied} == {GUESSER, OTHER}
        assert {one["through"] for one in denied} == {GATEWAY}
        said = "\n".join([*here.server.err, *here.gateway.err, here.audit.read_text()])
        assert "xyzzy" not in said
        assert "lsk_" not in said


async def test_rates_histories_and_the_audit_log_are_of_who_calls_through_a_gateway(
    store: Path, tmp_path: Path
) -> None:
    async with site(store, tmp_path, "--rate-per-address", "4") as here:
        ada = here.tokens["ada"]
        statuses: list[int] = []

        async def refused() -> bool:
            answers = await asyncio.gather(*(here.ask(GUESSER, ada) for _ in range(12)))
            statuses.extend(one.status_code for one in answers)
            return 429 in statuses

        await eventually_answered(refused, "too many calls in a second")
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 4
        body = {"spec": {"actions": [{"action": "x"}]}, "options": {"allowUnregistered": True}}
        made = await here.ask(OTHER, ada, "POST", "/v1/tasks", json=body)
        assert made.status_code == 200, made.text
        task_id = made.json()["task"]["metadata"]["id"]
        shown = await here.ask(OTHER, ada, path=f"/v1/any/{task_id}/history")
        assert shown.status_code == 200, shown.text
        assert {one["origin"]["address"] for one in shown.json()["events"]} == {OTHER}
        mode = {"mode": "SERVER_MODE_ACTIVE"}
        done = await here.ask(THIRD, ada, "POST", "/v1/server:setMode", json=mode)
        assert done.status_code == 200, done.text
        (entry,) = await eventually(lambda: here.audited("done"), "the entry of what was done")
        assert (entry["principal"], entry["address"]) == ("ada", THIRD)
        assert entry["through"] == GATEWAY
        assert {one["address"] for one in here.audited("denied")} == {GUESSER}

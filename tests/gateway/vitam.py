"""A client of Vitam's worker tasks, written from the contract, and work for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from grpc import StatusCode

from longshore.worker import Context, PermanentError, Worker
from tests.gateway.harness import Entry, World, gateway

BASE = "/vitam/v1"

#: More than a connection holds on its way.
MUCH = bytes(range(256)) * 80_000

NOBODY = "01a2078d-833a-702f-a60e-f89f7d383b17"

MILLISECONDS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")

#: What a test lets go on, and what waits for it.
gates: dict[str, asyncio.Event] = {}
started: dict[str, asyncio.Event] = {}


def gate(name: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Return what tells that `wait` runs, and what ends it."""
    started[name], gates[name] = asyncio.Event(), asyncio.Event()
    return started[name], gates[name]


def new_worker() -> Worker:
    worker = Worker("quay", slots=50)

    @worker.action
    async def add(left: int, right: int = 2) -> dict[str, int]:
        return {"sum": left + right}

    @worker.action
    async def id_action(nom_champ_1: str, nom_champ_2: str) -> dict[str, str]:
        return {"nom_champ_3": nom_champ_1, "nom_champ_4": nom_champ_2, "other": "dropped"}

    @worker.action
    async def echo(value: dict[str, Any]) -> dict[str, Any]:
        return {"value": value}

    @worker.action
    async def wait(name: str) -> dict[str, str]:
        started[name].set()
        await gates[name].wait()
        return {"waited": name}

    @worker.action
    async def save(context: Context) -> None:
        await context.save_file("page.html", b"<p>\xe9t\xe9</p>", content_type="text/html")

    @worker.action
    async def save_much(context: Context) -> None:
        await context.save_file("much", MUCH, content_type="application/x-data")

    @worker.action
    async def fail() -> None:
        causes = ExceptionGroup("causes", [UNSUPPORTED, UNMET])
        raise LOST from causes

    return worker


def _failure(http_code: int, message: str, description: str) -> PermanentError:
    metadata = {"http_code": str(http_code), "description": description}
    return PermanentError(message, code=StatusCode.NOT_FOUND, metadata=metadata)


LOST = _failure(404, "File is not found", "Operation on file xxx cannot be done")
UNSUPPORTED = _failure(415, "Unsupported media type detected", "File xxx has a media type yyy")
UNMET = _failure(412, "Precondition in error", "Operation on file xxx cannot continue")


class Vitam:
    """Speaks for a principal."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.token = token
        self.named: dict[str, str] = {}  #: What a test calls tasks, by id.

    async def ask(
        self,
        method: str,
        path: str,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        sent = {"X-Vitam-Key": self.token, **(headers or {})}
        if json is not None:
            more["json"] = json
        url = path if path.startswith("http") else BASE + path
        return await self.world.http.request(method, url, headers=sent, **more)

    async def submit(
        self,
        action: str = "add",
        arguments: Mapping[str, str] | None = None,
        request_id: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        """Submit a step of one action, if nothing else is said an addition."""
        asked = {"left": "item"} if arguments is None else arguments
        actions = [{"action": action, "arguments": asked}]
        step = {"Step": "step", "item": 1, "actions": actions, **more}
        if request_id:
            step["X-RequestId"] = request_id
        answer = await self.ask("POST", "/tasks", step)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def ended(self, task_id: str) -> dict[str, Any]:
        """Wait for the end of a task, behind the gateway, and return how it stands."""
        async with self.world.client(self.token) as client, asyncio.timeout(30):
            async for _ in client.tasks.watch(task_id):
                pass
        told: dict[str, Any] = (await self.ask("GET", f"/tasks/{task_id}")).json()
        return told

    async def waiting(self, name: str) -> str:
        """Submit a task and return its id when it runs; it does until its gate is opened."""
        begun, _ = gate(name)
        step = await self.submit("wait", {"name": f"'{name}'"})
        await asyncio.wait_for(begun.wait(), 30)
        return str(step["id"])


@asynccontextmanager
async def speaking(folder: Path, way: str = "wire") -> AsyncGenerator[dict[str, Vitam]]:
    """Run a gateway and a worker; yield who speaks for which principal."""
    entries = {
        "ada": Entry(name="ada", roles=("submitter",), tenants=("default", "0")),
        "bob": Entry(name="bob", roles=("submitter", "operator"), tenants=("7",)),
        "eve": Entry(name="eve", roles=("viewer",)),
        "hand": Entry(name="hand", roles=("worker",), tenants=("0",)),
    }
    async with gateway(folder, None, "vitam", way=way, **entries) as (world, tokens):
        await world.work(new_worker())
        yield {name: Vitam(world, token) for name, token in tokens.items()}


def refusal(http_code: int, description: str, state: str, message: str) -> dict[str, Any]:
    return {
        "http_code": http_code,
        "code": "ingest",
        "state": state,
        "message": message,
        "description": description,
    }


def unauthorized(description: str) -> dict[str, Any]:
    return refusal(401, description, "Unauthorized", "Unauthorized, authentication in error")


def absent(description: str) -> dict[str, Any]:
    message = "Not Found, requested resource does not exist"
    return refusal(404, description, "Item_Not_Found", message)


def conflict(description: str) -> dict[str, Any]:
    message = "Conflict, operation requested is in conflict with existing data"
    return refusal(409, description, "Conflict", message)


def unmet(description: str) -> dict[str, Any]:
    message = (
        "Precondition Failed, some predicates are incorrect, therefore the operation is not"
        " possible"
    )
    return refusal(412, description, "Precondition_Failed", message)

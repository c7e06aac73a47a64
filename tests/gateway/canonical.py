"""A gateway that is spoken to in canonical JSON, and a worker behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from starlette.requests import Request

from longshore.client import Client
from longshore.gateway.settings import GatewaySettings
from longshore.worker import Context, Worker
from tests.gateway.harness import Entry, World, gateway

ADA = Entry(name="ada", roles=("admin",))


@dataclass(slots=True)
class Site:
    """The gateway, who asks, and what the worker waits for."""

    world: World
    ada: Client
    token: str
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, verb: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.world.http.request(verb, path, json=body, **more)

    async def good(self, verb: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Ask for what has to be answered well; return the answer."""
        answer = await self.ask(verb, path, body, **more)
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    async def submit(self, action: str = "greet", **more: Any) -> str:
        """Submit a task and return its id."""
        spec = {"actions": [{"action": action, "arguments": {"name": "Ada"}}]}
        answer = await self.good("POST", "/v1/tasks", {"spec": spec, "options": more})
        return cast("str", answer["task"]["metadata"]["id"])

    async def ended(self, task_id: str) -> None:
        """Wait until a task has ended."""
        handle = await self.ada.tasks.get(task_id)
        async with handle.watch() as changes:
            async for _ in changes:
                pass


@asynccontextmanager
async def site(
    folder: Path, settings: GatewaySettings | None = None, way: str = "wire"
) -> AsyncGenerator[Site]:
    """Run a gateway without dialects, whose requests are Ada's."""
    async with (
        gateway(folder, settings, "none", way=way, ada=ADA) as (world, tokens),
        world.client(tokens["ada"]) as ada,
    ):
        world.http.headers["authorization"] = f"Bearer {tokens['ada']}"
        made = Site(world, ada, tokens["ada"])
        await world.work(_worker(made))
        yield made
        made.open.set()


def lines(answer: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


def request_of(query: bytes = b"", headers: dict[str, str] | None = None) -> Request:
    """Return a request without a body, to read it without a socket."""
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "query_string": query, "headers": raw})


def _worker(made: Site) -> Worker:
    worker = Worker("office", slots=20, queues=("default", "other"))

    @worker.action("greet")
    async def greet(name: str = "nobody") -> dict[str, str]:
        """Greet somebody."""
        return {"greeting": f"Hello, {name}!"}

    @worker.action("wait")
    async def wait(name: str = "nobody") -> None:
        """Wait until the end."""
        await made.open.wait()

    @worker.operation("letter")
    async def letter(context: Context) -> None:
        """Write a letter."""
        await context.save_file("letter.txt", b"Dear Ada", "text/plain")

    return worker

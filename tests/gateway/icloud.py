"""A service as ricloud has one, and who asks it for something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

import grpc

from longshore.client import AlreadyExists
from longshore.v1.catalog_service_pb2 import Service, ServiceAction
from longshore.worker import Context, PermanentError, Worker
from tests.gateway.harness import Entry, GatewaySettings, World, gateway
from tests.service.harness import Stevedore, stevedore
from tests.service.harness import World as Behind

SUBMITTER = ("submitter", "viewer")
FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Icloud:
    """A world with the service in it, and requests to it with a token."""

    world: World
    tokens: Mapping[str, str]
    gates: dict[str, asyncio.Event]
    begun: dict[str, asyncio.Event]

    async def get(self, path: str, who: str = "stan", **more: Any) -> Any:
        return await self.world.http.get(f"/asapi{path}", headers=self.shown(who), **more)

    async def post(self, path: str, who: str = "stan", /, **fields: Any) -> Any:
        headers = self.shown(who)
        return await self.world.http.post(f"/asapi{path}", headers=headers, data=fields)

    async def submit(self, who: str = "stan", /, **fields: Any) -> str:
        """Submit and return the id of the task."""
        asked = {"service": "icloud", "action": "echo", "account": "a@x.org", **fields}
        told = (await self.post("/submit-task/", who, **asked)).json()
        assert told["success"], told
        task_id: str = told["task_id"]
        return task_id

    async def entry(self, task_id: str, who: str = "stan") -> dict[str, Any]:
        told = (await self.post("/task-status/", who, task_ids=task_id)).json()
        assert told["success"] is True
        found: dict[str, Any] = told[task_id]
        return found

    async def ended(self, task_id: str, who: str = "stan") -> dict[str, Any]:
        """Wait for the end of a task; return its entry."""
        async with self.world.client(self.tokens[who]) as client:
            async for _ in client.tasks.watch(task_id):
                pass
        return await self.entry(task_id, who)

    @asynccontextmanager
    async def fetching(
        self, task_id: str, who: str = "stan"
    ) -> AsyncGenerator[asyncio.StreamReader]:
        """Ask for a result; yield what reads the answer as it comes, and hang up in the end."""
        host, _, port = self.world.url.removeprefix("http://").partition(":")
        # As little as possible is on its way before it is read.
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**14)
        head = f"GET /asapi/fetch/{task_id}/ HTTP/1.1\r\nHost: asstore\r\n"
        writer.write(f"{head}Authorization: Token {self.tokens[who]}\r\n\r\n".encode())
        try:
            yield reader
        finally:
            writer.transport.abort()

    def shown(self, who: str) -> dict[str, str]:
        return {"authorization": f"Token {self.tokens[who]}"} if who else {}

    def gate(self, name: str) -> asyncio.Event:
        """Return what lets work of a name go on."""
        return self.gates.setdefault(name, asyncio.Event())

    def start_of(self, name: str) -> asyncio.Event:
        """Return what tells that work of a name has begun."""
        return self.begun.setdefault(name, asyncio.Event())


@asynccontextmanager
async def icloud(
    folder: Path,
    settings: GatewaySettings | None = None,
    *,
    way: str = "wire",
    **entries: Entry,
) -> AsyncGenerator[Icloud]:
    """Run a gateway with the service; stan fetches results, carol listens to her channel.

    Both have registered the account a@x.org.
    """
    principals = {
        "stan": Entry(name="stan", roles=SUBMITTER, delivery="store", stream="stan-7"),
        "carol": Entry(name="carol", roles=SUBMITTER, delivery="channel", stream="carol-9"),
        "docker": Entry(name="docker", roles=("worker",)),
        **entries,
    }
    async with gateway(folder, settings, "asapi", way=way, **principals) as (world, tokens):
        found = Icloud(world, tokens, {}, {})
        await world.work(worker_of(found))
        for who in ("stan", "carol"):
            async with world.client(tokens[who]) as client:
                await client.catalog.register_account("icloud", "a@x.org")
        yield found


@asynccontextmanager
async def quay(found: Icloud, who: str = "stan") -> AsyncGenerator[Stevedore]:
    """Offer a second service, whose one action does what the test says."""
    offered = Service(slug="quay", actions=[ServiceAction(slug="carry")])
    async with grpc.aio.insecure_channel(found.world.server_address) as channel:
        behind = Behind(found.world.engine, cast("Any", None), channel)
        docker = behind.saying(("authorization", f"Bearer {found.tokens['docker']}"))
        async with stevedore(docker, [offered]) as worker:
            async with found.world.client(found.tokens[who]) as client:
                with suppress(AlreadyExists):
                    await client.catalog.register_account("quay", "q")
            yield worker


def worker_of(found: Icloud) -> Worker:
    """Return what does the work."""
    worker = Worker("icloud-worker", slots=20)
    service = worker.service("icloud", name="iCloud")

    @service.action("fetch-data", name="Fetch Data", description="")
    async def fetch_data(
        device: str,
        data: list[Literal["sms", "photos", "mail"]],
        since: date | None = None,
    ) -> dict[str, Any]:
        return {"device": device, "data": data, "since": since and since.isoformat()}

    @service.action("echo", name="Echo")
    async def echo(text: str = "") -> dict[str, str]:
        return {"text": text}

    @service.action("wait", name="Wait")
    async def wait(name: str) -> dict[str, str]:
        found.start_of(name).set()
        await found.gate(name).wait()
        return {"name": name}

    @service.action("fail", name="Fail")
    async def fail(why: str) -> None:
        raise PermanentError(why)

    @service.action("large", name="Large")
    async def large(characters: int) -> dict[str, str]:
        return {"text": "x" * characters}

    @service.action("save", name="Save")
    async def save(context: Context, mebibytes: int) -> None:
        async def chunks() -> AsyncGenerator[bytes]:
            for index in range(mebibytes):
                yield bytes([index % 256]) * 1024 * 1024

        await context.save_file("backup.tar", chunks(), content_type="application/x-tar")

    @service.action("measure", name="Measure")
    async def measure(
        whole: int,
        share: float,
        exact: bool,
        shape: dict[str, Any],
        parts: list[str] | None = None,
    ) -> dict[str, Any]:
        return {
            "whole": whole,
            "share": share,
            "exact": exact,
            "shape": shape,
            "parts": parts,
        }

    return worker


__all__ = ["FORM", "Entry", "GatewaySettings", "Icloud", "icloud", "quay"]

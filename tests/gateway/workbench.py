"""A workbench that is spoken to as MDWorkbench is: its services, and who administers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from longshore.access.editing import Entry, add
from longshore.client import Client
from longshore.gateway.settings import GatewaySettings
from longshore.worker import Context, File, PermanentError, Worker
from tests.gateway.harness import World, gateway

BASE = "/mdworkbench"
PASSWORD = "correct horse battery staple"
ADMIN = httpx.BasicAuth("olga", PASSWORD)


@dataclass(slots=True)
class Workbench:
    """The gateway of the workbench, and the work that is done there."""

    world: World
    root: Client
    open: asyncio.Event  #: What is generated waits for it.
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def base(self) -> str:
        return f"{self.world.url}{BASE}"

    async def ask(self, method: str, path: str, **fields: Any) -> httpx.Response:
        """Ask by a path below the mount, or by a URL as it was told."""
        url = path if path.startswith("http") else f"{BASE}{path}"
        return await self.world.http.request(method, url, **fields)

    async def launch(self, service: str = "naming", **parameters: str) -> str:
        """Launch a service and return where the launch is."""
        parts = {name: (None, value) for name, value in parameters.items()}
        if service == "naming":
            parts = {"folder": (None, "a"), **parts}
        answer = await self.ask("POST", "/launch", params={"id": service}, files=parts or None)
        assert answer.status_code == 200, answer.text
        return answer.headers["content-location"]

    async def ended(self, location: str) -> dict[str, Any]:
        """Wait for the end of a launch, and get it."""
        handle = await self.root.launches.get(location.rpartition("/")[2])
        async with handle.watch() as changes:
            async for _ in changes:
                pass
        shown: dict[str, Any] = (await self.ask("GET", location)).json()
        return shown

    async def running(self, location: str) -> None:
        """Wait until a launch runs."""
        async with self.root.launches.watch(location.rpartition("/")[2]) as changes:
            async for change in changes:
                if change.launch.status.attempt:
                    return

    async def queue(self, **params: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", "/launch", params=params, auth=ADMIN)
        assert answer.status_code == 200, answer.text
        shown: list[dict[str, Any]] = answer.json()
        return shown

    async def suspend(self) -> None:
        """Let nothing start."""
        answer = await self.ask(
            "PUT", "/server/state", params={"value": "suspended"}, auth=ADMIN
        )
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def workbench(
    folder: Path, settings: GatewaySettings | None = None, *others: Entry
) -> AsyncGenerator[Workbench]:
    """Run a workbench; `others` are principals besides its administrator, with `PASSWORD`."""
    principals = folder / "principals.toml"
    add(principals, Entry(name="olga", roles=("operator",)), password=PASSWORD)
    for entry in others:
        add(principals, entry, password=PASSWORD)
    admin = Entry(name="root", roles=("admin",))
    async with (
        gateway(folder, settings, "mdworkbench", root=admin) as (world, tokens),
        world.client(tokens["root"]) as root,
    ):
        made = Workbench(world, root, asyncio.Event())
        await world.work(_worker(made))
        yield made
        made.open.set()


def _worker(bench: Workbench) -> Worker:
    worker = Worker("stevedore", slots=20)

    @worker.action
    async def unload(crate: str) -> None:
        """Not launched: the action of a service without a kind."""

    @worker.ruleset("naming", name="Naming rules", version="1.2", description="Names things.")
    async def check(
        folder: str, context: Context, depth: int = 3, pin: SecretStr | None = None
    ) -> None:
        bench.seen.append({"folder": folder, "depth": depth, "pin": pin and str(pin)})
        await bench.open.wait()
        if folder == "bad":
            context.warning("that looks bad")
            raise PermanentError("the folder is bad")
        if folder == "unforeseen":
            raise ValueError("no such rule")
        context.log(f"checked {folder}", "progress")
        context.log("all is well\x1b[0m")
        context.property("checked", "7")
        context.property("bad", "0")
        if folder == "full":
            await context.save_file("report/names.txt", b"seven names", "text/plain")
            await context.save_file("list.csv", b"a,b\n")

    @worker.operation("counting")
    async def count(
        table: File,
        whole: int = 0,
        number: float = 0,
        truth: bool = False,
        day: date | None = None,
        several: list[str] | None = None,
        thing: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        seen: dict[str, Any] = {
            "uri": table.uri,
            "bytes": await table.read(),
            "type": (await table.info()).content_type,
            "whole": whole,
            "number": number,
            "truth": truth,
            "day": day,
            "several": several,
            "thing": thing,
        }
        bench.seen.append(seen)
        return {}

    @worker.operation("resting & more")
    async def rest(user_agent: str = "", date: str = "", accept_it: str = "") -> None:
        await bench.open.wait()

    @worker.operation("stubborn")
    async def go_on() -> None:
        """Works on, whoever cancels it."""
        while not bench.open.is_set():
            with suppress(asyncio.CancelledError):
                await bench.open.wait()

    return worker


__all__ = ["ADMIN", "BASE", "PASSWORD", "Entry", "Workbench", "workbench"]

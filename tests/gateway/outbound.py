"""A gateway that calls back, and what is needed to see it do so."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from longshore.client import Client, LaunchHandle, Relay, TaskHandle
from longshore.gateway.callbacks.addresses import Address, Resolve, resolved
from longshore.gateway.callers import Way
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.running import Entrance, calling_back
from longshore.gateway.settings import CallbackRules, GatewaySettings
from longshore.v1.operation_pb2 import Callback, CallbackSent
from longshore.v1.task_service_pb2 import Task
from longshore.worker import Context, PermanentError, Worker
from tests.gateway.harness import Entry, World, gateway

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

#: The principal that the documentation tells operators to add.
OWN = Entry(
    name="gateway",
    roles=("worker", "viewer", "submitter"),
    tenants=("*",),
    queues=("longshore.callbacks",),
)
ADA = Entry(name="ada", roles=("submitter",), tenants=("default", "south"))
HAND = Entry(
    name="hand",
    roles=("worker",),
    tenants=("default", "south"),
    queues=("default", "operations"),
)


@dataclass(slots=True)
class Outbound:
    """A world with callbacks."""

    world: World
    token: str  #: Ada's.

    async def task(
        self, url: str, *, tenant: str = "default", action: str = "greet", **callback: Any
    ) -> TaskHandle:
        """Have a task done that is called back."""
        async with self._ada(tenant) as client:
            asked = Callback(url=url, **callback)
            return await client.tasks.submit(
                action, {"name": tenant} if action == "greet" else {}, callback=asked
            )

    async def launch(self, url: str, **callback: Any) -> LaunchHandle:
        async with self._ada("default") as client:
            asked = Callback(url=url, **callback)
            return await client.launches.submit("clean", {"depth": 2}, callback=asked)

    async def sent(self, operation_id: str, tenant: str = "default") -> CallbackSent:
        """Wait until a callback is answered or given up."""
        async with (
            asyncio.timeout(30),
            self._ada(tenant) as client,
            client.operations.watch(after_revision=0) as changes,
        ):
            async for change in changes:
                event = change.event
                if event.operation_id == operation_id and event.HasField("callback_sent"):
                    return event.callback_sent
        raise AssertionError("the watch has ended")

    async def retried(self, tenant: str = "default") -> timedelta:
        """Wait until an attempt has failed; return what the next one waits, and let it begin."""
        async with self._ada(tenant) as client, asyncio.timeout(30):
            while True:
                found = client.tasks.list('queue = "longshore.callbacks"', full=True)
                async for callback in found:
                    events = [
                        event
                        async for event in client.operations.history(callback.id)
                        if event.state_changed.HasField("not_before")
                    ]
                    if events:
                        last = events[-1]
                        again = last.state_changed.not_before
                        wait = again.ToMilliseconds() - self.world.clock.now()
                        self.world.clock.move(max(wait, 0))
                        return timedelta(
                            milliseconds=again.ToMilliseconds() - last.time.ToMilliseconds()
                        )
                await asyncio.sleep(0.02)

    async def ended_callback(self) -> Task:
        """Wait for the end of the only callback there is."""
        async with self._ada("default") as client, asyncio.timeout(30):
            found = client.tasks.list('queue = "longshore.callbacks"')
            (callback,) = [one async for one in found]
            async with callback.watch() as changes:
                async for _ in changes:
                    pass
            return (await client.tasks.get(callback.id)).message

    def _ada(self, tenant: str) -> Client:
        return self.world.client(self.token, tenant)


@asynccontextmanager
async def outbound(
    folder: Path,
    *mounts: str,
    resolve: Mapping[str, Sequence[str]] | None = None,
    own: Entry = OWN,
    rules: CallbackRules | None = None,
) -> AsyncGenerator[Outbound]:
    """Run a gateway that calls back; names are resolved as `resolve` says, if it is given."""
    callbacks = rules or CallbackRules(allowed_networks=LOOPBACK, secret=SECRET)
    settings = GatewaySettings(public_url="https://work.example.org", callbacks=callbacks)
    entries = {"ada": ADA, "own": replace(own, name="own"), "hand": HAND}
    chosen = mounts or ("none",)
    async with gateway(folder, settings, *chosen, way="wire", **entries) as (world, tokens):
        door = Entrance(servers=world.server_address, token=tokens["own"])
        async with Relay(world.server_address) as relay, AsyncExitStack() as hands:
            shown = {"authorization": f"Bearer {tokens['own']}"}
            parts = Gateway(settings, Way(relay, lambda: shown), Links(settings))
            known = resolved if resolve is None else resolver(resolve)
            for tenant in ADA.tenants:
                await hands.enter_async_context(_working(world, tokens["hand"], tenant))
            async with calling_back(parts, door, 1, known):
                yield Outbound(world, tokens["ada"])


@asynccontextmanager
async def _working(world: World, token: str, tenant: str) -> AsyncGenerator[None]:
    welcomed, stopping = asyncio.Event(), asyncio.Event()
    run = _hand().run(
        world.server_address, tenant=tenant, token=token, welcomed=welcomed, stopping=stopping
    )
    task = asyncio.create_task(run)
    await asyncio.wait_for(welcomed.wait(), 60)
    yield
    stopping.set()
    await task


def _hand() -> Worker:
    worker = Worker("hand")

    @worker.action
    async def greet(name: str) -> dict[str, str]:
        return {"greeting": f"Hello, {name}!"}

    @worker.action
    async def fail() -> None:
        raise PermanentError("broken")

    @worker.operation("clean")
    async def clean(context: Context, depth: int = 1) -> None:
        context.log("swept")
        context.property("depth", str(depth))
        await context.save_file("dust.txt", b"dust")

    return worker


def resolver(names: Mapping[str, Sequence[str]]) -> Resolve:
    """Return what knows these names and no others."""

    async def resolve(host: str, _port: int) -> list[Address]:
        if host not in names:
            raise OSError(-2, "Name or service not known")
        return [ipaddress.ip_address(text) for text in names[host]]

    return resolve

"""A server at an address that stays, however often the server is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from longshore.client import Client, Unavailable
from longshore.v1.catalog_service_pb2 import Contract, ContractAction, WorkflowTemplate
from longshore.v1.operation_pb2 import ActionCall, Event
from longshore.worker import Worker
from tests.acceptance.processes import Server
from tests.acceptance.waiting import PATIENCE_SECONDS, eventually_answered, within
from tests.tools.proxy import Proxy


class Quay:
    """`longshore serve` over one file, behind a proxy."""

    def __init__(self, store: Path, *options: str) -> None:
        self._store = store
        self._options = options
        self.servers: list[Server] = []
        self._clients: list[Client] = []

    async def __aenter__(self) -> Self:
        server = await self._start()
        self._proxy = await Proxy(server.address).__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._proxy.__aexit__(kind, error, trace)
        for server in self.servers:
            await server.__aexit__(kind, error, trace)

    @property
    def address(self) -> str:
        return self._proxy.address

    @property
    def server(self) -> Server:
        return self.servers[-1]

    def client(self, tenant: str = "") -> Client:
        """Return a client, to be used for as long as there is the quay."""
        # A submit is repeated for as long as a server takes to start.
        self._clients.append(Client(self.address, tenant=tenant, timeout=PATIENCE_SECONDS))
        return self._clients[-1]

    async def kill(self) -> None:
        """End the server as a power cut would."""
        await self.server.kill()
        # Nobody is let on to whoever is given its port next.
        self._proxy.refuse()

    async def start(self) -> None:
        """Start a server where one was killed, and wait until all clients have found it."""
        self._proxy.target = (await self._start()).address
        self._proxy.heal()
        for client in self._clients:
            await eventually_answered(partial(_reached, client), "a connection")

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def _start(self) -> Server:
        server = await Server(self._store, *self._options).__aenter__()
        self.servers.append(server)
        return server


async def _reached(client: Client) -> bool:
    try:
        await client.connect()
    except Unavailable:
        return False
    return True


def contract(name: str, **actions: Sequence[ActionCall]) -> Contract:
    """Return a contract of these actions, each with its plan."""
    return Contract(
        name=name,
        actions=[
            ContractAction(name=action, template=WorkflowTemplate(name=action, actions=plan))
            for action, plan in actions.items()
        ],
    )


async def log_of(client: Client) -> list[Event]:
    """Return all events of the client's tenant up to now, in the order of their revisions."""
    mark = await client.tasks.submit("mark", suspended=True, allow_unregistered=True)
    events: list[Event] = []
    async with client.operations.watch(after_revision=0) as changes:
        async for change in changes:
            if change.event.operation_id == mark.id:
                break
            events.append(change.event)
    return events


async def until_ended(client: Client, ids: Iterable[str]) -> None:
    """Wait until operations of any kind have ended."""

    async def watching() -> None:
        async with client.operations.watch(*ids) as changes:
            async for _ in changes:
                pass

    await within(watching(), "the end of all work")


async def publish(address: str, worker: Worker) -> None:
    """Have a server know what a worker offers, and leave nobody who does it."""
    welcomed, stopping = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(worker.run(address, welcomed=welcomed, stopping=stopping))
    await within(welcomed.wait(), "a welcome")
    stopping.set()
    await within(running, "the end of a worker")

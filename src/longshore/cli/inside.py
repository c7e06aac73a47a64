"""Workers in the server's own process. They reach it as all others do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

from longshore.core.principals import ANY, DEFAULT_TENANT, Principal, Role, with_implied
from longshore.worker import Worker

#: Where a server that listens on all addresses is found from inside.
_FROM_INSIDE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


#: Who the gateway inside is: it takes callbacks of all tenants, and speaks for those who know
#: the id of something where a dialect is open to them.
GATEWAY: Final = Principal(
    "longshore.gateway",
    with_implied([Role.VIEWER, Role.SUBMITTER, Role.WORKER]),
    (ANY,),
    queues=("longshore.callbacks",),
    go_between=True,
)


class Door(NamedTuple):
    """The way into a server from its own process."""

    address: str
    token: str | None = None  #: None where nobody needs one.


class Inside:
    """Runs workers for a server until they are drained or, at the end of the block, cut off."""

    def __init__(self, door: Door, grace_seconds: float) -> None:
        self.running: list[asyncio.Task[None]] = []
        self._door = door
        self._grace_seconds = grace_seconds
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    def start(
        self, worker: Worker, welcomed: asyncio.Event | None = None
    ) -> asyncio.Task[None]:
        """Begin to run a worker; `welcomed` is set once it can be given work."""
        run = worker.run(
            self._door.address,
            token=self._door.token,
            insecure=True,  # it does not leave this process's machine
            grace_seconds=self._grace_seconds,
            stopping=self._leaving,
            welcomed=welcomed,
        )
        task = asyncio.create_task(run, name=f"worker-{worker.name}")
        self.running.append(task)
        return task

    async def drain(self) -> None:
        """Let work that runs end, within the grace. Raises what ended a worker before."""
        self._leaving.set()
        await asyncio.gather(*self.running)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


def reachable(address: str) -> str:
    """Return where a server is found from inside, by where it listens."""
    host, _, port = address.rpartition(":")
    return f"{_FROM_INSIDE.get(host, host)}:{port}"


def insider(workers: Sequence[Worker], role: Role) -> Principal:
    """Return who works inside. Whoever starts a server trusts them with the queues they serve."""
    queues = {queue for worker in workers for queue in worker.hello().queues}
    return Principal(
        "longshore.inside",
        with_implied([role]),
        (DEFAULT_TENANT, ANY),
        queues=tuple(sorted(queues)),
    )

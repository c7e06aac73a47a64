"""Workers in the server's own process. They reach it as all others do."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from longshore.worker import Worker

#: Where a server that listens on all addresses is found from inside.
_FROM_INSIDE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


class Inside:
    """Runs workers for a server until they are drained or, at the end of the block, cut off."""

    def __init__(self, address: str, grace_seconds: float) -> None:
        self.running: list[asyncio.Task[None]] = []
        self.address = _reachable(address)  #: Where its server is found.
        self._grace_seconds = grace_seconds
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    def start(
        self, worker: Worker, welcomed: asyncio.Event | None = None
    ) -> asyncio.Task[None]:
        """Begin to run a worker; `welcomed` is set once it can be given work."""
        run = worker.run(
            self.address,
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


def _reachable(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{_FROM_INSIDE.get(host, host)}:{port}"

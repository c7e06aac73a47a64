"""Executors: where plain functions run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor

from longshore.worker.actions import Where
from longshore.worker.processes import ProcessPool
from longshore.worker.threads import Threads


class Executors:
    """The worker's threads and processes, and what its author has chosen besides."""

    def __init__(self, slots: int) -> None:
        self._threads = Threads(slots)
        self._processes = ProcessPool()
        self._made: dict[Callable[[], Executor], Executor] = {}

    async def open(self, wanted: Iterable[Where]) -> None:
        """Make what is to be made. Raises what that raises."""
        for where in wanted:
            if callable(where) and where not in self._made:
                self._made[where] = await asyncio.to_thread(where)

    async def close(self) -> None:
        """End processes, threads when they have nothing to do, and what was made."""
        self._threads.shutdown()
        self._processes.shutdown()
        for executor in self._made.values():
            await asyncio.to_thread(executor.shutdown, wait=False)

    def find(self, where: Where) -> Executor:
        """Return an executor, once this is open."""
        if isinstance(where, Executor):
            return where
        if callable(where):
            return self._made[where]
        return self._processes if where == "process" else self._threads


def is_local(executor: Executor) -> bool:
    """Whether it calls functions in this process."""
    return isinstance(executor, Threads | ThreadPoolExecutor)

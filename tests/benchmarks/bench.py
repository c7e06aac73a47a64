"""What every section is given: where to work, how long, and whom to tell."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from tests.benchmarks.processes import Running, longshore_server

T = TypeVar("T")

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. `quick` only proves that everything works; its figures mean nothing."""

    directory: Path  #: For stores; removed after the run.
    quick: bool
    waiting: int  #: How many wait, and …
    ended: int  #: … how many have ended, where it is about a large store.
    profiles: Path | None = None  #: A folder for what a profiler says of each server.

    def server(
        self, name: str, *options: str, store: str | None = None
    ) -> AbstractAsyncContextManager[Running]:
        """Run a server over a store, or over the file of that name in this run's folder."""
        profile = self.profiles / f"{name}.prof" if self.profiles else None
        if store is None:
            return longshore_server(f"sqlite:{self.directory / name}.db", profile, *options)
        files = str(self.directory / f"{name}.files")
        return longshore_server(store, profile, "--files", files, *options)

    def size(self, full: T, quick: T) -> T:
        """Return the size that fits this run."""
        return quick if self.quick else full

    def say(self, what: str) -> None:
        """Tell people who wait what goes on; figures go to standard output alone."""
        print(f"  … {what}", file=sys.stderr, flush=True)

    async def interleaved(self, *measures: Measure, rounds: int) -> list[list[float]]:
        """Measure all in turn, A B A B, so that a noisy neighbour disturbs them alike.

        Returns the rounds of each. A first round of each warms up and is thrown away.
        """
        taken: list[list[float]] = []
        for turn in range(self.size(rounds, 1) + 1):
            taken.append([await measure() for measure in measures])
            figures = ", ".join(f"{figure:,.4g}" for figure in taken[-1])
            self.say(f"round {turn}: {figures}")
        return [list(one) for one in zip(*taken[1:], strict=True)]


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[grpc.aio.Channel]:
    """Open a channel that shares its connection with no other."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel

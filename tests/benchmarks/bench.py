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
    profiles: Path | None = None  #: A folder for what a profiler says of each server.

    def server(self, name: str) -> AbstractAsyncContextManager[Running]:
        """Run a server over the store of that name in this run's folder."""
        profile = self.profiles / f"{name}.prof" if self.profiles else None
        return longshore_server(self.directory / f"{name}.db", profile)

    def size(self, full: T, quick: T) -> T:
        """Return the size that fits this run."""
        return quick if self.quick else full

    def say(self, what: str) -> None:
        """Tell people who wait what goes on; figures go to standard output alone."""
        print(f"  … {what}", file=sys.stderr, flush=True)

    async def interleaved(
        self, baseline: Measure, candidate: Measure, rounds: int
    ) -> tuple[list[float], list[float]]:
        """Measure both in turn, A B A B, so that a noisy neighbour disturbs both alike.

        A first round of each warms up and is thrown away.
        """
        bases: list[float] = []
        candidates: list[float] = []
        for turn in range(self.size(rounds, 1) + 1):
            bases.append(await baseline())
            candidates.append(await candidate())
            self.say(
                f"round {turn}: baseline {bases[-1]:,.4g}, candidate {candidates[-1]:,.4g}"
            )
        return bases[1:], candidates[1:]


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[grpc.aio.Channel]:
    """Open a channel that shares its connection with no other."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield channel

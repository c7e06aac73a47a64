"""Two servers over one PostgreSQL database, each behind a proxy of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.acceptance.processes import Server
from tests.tools.cluster import Cluster
from tests.tools.ports import steady_address
from tests.tools.proxy import Proxy


class Roadstead:
    """A database and the servers over it, one for each entry of `clocks_ahead` (seconds)."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        *,
        beat: float = 1.0,
        time_to_live: float = 10.0,
        clocks_ahead: tuple[float, ...] = (0.0, 0.0),
    ) -> None:
        self.cluster = cluster
        self.proxies: list[Proxy] = []
        self.servers: list[Server] = []
        self._folder = folder
        self._beat = beat
        self._time_to_live = time_to_live
        self._clocks_ahead = clocks_ahead
        self._url = ""
        self._killed: list[Server] = []

    async def __aenter__(self) -> Self:
        self._url = await self.cluster.database()
        self.proxies = [
            await Proxy(self.cluster.address).__aenter__() for _ in self._clocks_ahead
        ]
        # At the same time: one of them makes the tables, all others wait for it.
        self.servers = [self._server(index) for index in range(len(self.proxies))]
        starting = asyncio.gather(
            *(one.__aenter__() for one in self.servers), return_exceptions=True
        )
        for error in await starting:
            if isinstance(error, BaseException):
                await self.__aexit__(type(error), error, None)
                raise error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self.servers:
            await server.__aexit__(kind, error, trace)
        for proxy in self.proxies:
            await proxy.__aexit__(kind, error, trace)
        if error is None:
            self._check_logs()

    def _check_logs(self) -> None:
        """No server met anything that it was not made for."""
        for server in (*self._killed, *self.servers):
            faults = [line for line in server.err if _is_fault(line)]
            assert not faults, "\n".join(faults)

    @property
    def addresses(self) -> list[str]:
        return [server.address for server in self.servers]

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self._url).path.removeprefix("/")

    def has_expired_sessions(self) -> bool:
        """Whether a server has said so."""
        return any("sessions_expired" in line for one in self.servers for line in one.err)

    async def query(self, sql: str, *parameters: Any) -> list[Any]:
        """Ask the database as its superuser."""
        return await self.cluster.query(sql, *parameters, database=self.database)

    async def revisions(self) -> list[tuple[int, bool]]:
        """Return the revisions of all events, and whether each is of an operation."""
        rows = await self.query("SELECT revision, number <> 0 FROM events")
        return [(revision, of_operation) for revision, of_operation in rows]

    async def start(self, index: int) -> None:
        """Start a server anew, at the address of the one that was killed."""
        killed = self.servers[index]
        self._killed.append(killed)
        self.servers[index] = await self._server(index, killed.address).__aenter__()

    def _server(self, index: int, listen: str = "") -> Server:
        ahead = self._clocks_ahead[index]
        server = Server(
            self._url.replace(self.cluster.address, self.proxies[index].address),
            *("--files", self._folder / "files"),
            *("--beat", f"{self._beat:g}s", "--time-to-live", f"{self._time_to_live:g}s"),
            listen=listen or steady_address(),
            environment={"CLOCK_AHEAD_SECONDS": str(ahead)},
        )
        if ahead:
            server.arguments[:1] = [sys.executable, "-m", "tests.acceptance.elsewhen"]
        return server


def _is_fault(line: str) -> bool:
    return '"level": "error"' in line or "Traceback" in line

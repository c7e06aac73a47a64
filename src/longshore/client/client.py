"""The client: one object, from whose rooms everything else is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from longshore.client.callers import NO_METADATA, Caller
from longshore.client.catalog import Catalog
from longshore.client.connection import DEFAULT_SERVER, Connection
from longshore.client.files import Files
from longshore.client.jobs import Jobs
from longshore.client.launches import Launches
from longshore.client.operations import Operations
from longshore.client.queues import Queues
from longshore.client.server import Server
from longshore.client.tasks import Tasks
from longshore.client.tls import Tls

_ROOMS: Final[Mapping[str, Callable[[Connection], object]]] = {
    "tasks": Tasks,
    "jobs": Jobs,
    "launches": Launches,
    "operations": Operations,
    "files": Files,
    "catalog": Catalog,
    "queues": Queues,
    "server": Server,
}


class Rooms:
    """Everything that can be asked over a connection. A room is made when somebody enters it:
    a relay has many callers, of whom each asks for one thing.
    """

    tasks: Tasks
    jobs: Jobs
    launches: Launches
    operations: Operations
    files: Files
    catalog: Catalog
    queues: Queues
    server: Server

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        """Return a room that nobody has entered yet."""
        if name not in _ROOMS:
            raise AttributeError(name)
        room = _ROOMS[name](self._connection)
        setattr(self, name, room)
        return room


class Client(Rooms):
    """Asks Longshore for work. Make it inside a coroutine; best by `async with`.

    `servers` is `host:port`, several with commas between, or a sequence: any one that can be
    connected is asked, until it is not available any more. Every call, and every step of
    an upload or a download, takes at most `timeout` seconds. Submits carry a request id and are
    repeated within that time while no server is available, as are acknowledgements and uploads
    of what can be read again; watches and channels are resumed for as long as it takes; nothing
    else is repeated.

    A `token` tells servers who calls; one that is a path is kept in that file. With `tls` nobody
    else hears it; without, it goes to this machine's own addresses only, unless `insecure` says
    that the network is the caller's alone. Files are read again when they change.

    All methods raise `CallError` when the call fails. Messages are those of the contract,
    `longshore.v1`.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = DEFAULT_SERVER,
        *,
        tenant: str = "",
        metadata: Mapping[str, str] = NO_METADATA,
        timeout: float = 30.0,
        token: str | Path | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
    ) -> None:
        caller = Caller(
            servers, tenant=tenant, metadata=metadata, token=token, tls=tls, insecure=insecure
        )
        super().__init__(Connection(caller, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and watches, and the connections."""
        await self._connection.close()

    async def connect(self) -> None:
        """Reach a server now, or raise `Unavailable` when each has failed once."""
        await self._connection.reach()

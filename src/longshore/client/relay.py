"""The relay: what a go-between asks with, for each of its own callers over one connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from google.protobuf.message import Message

from longshore.client.callers import Caller
from longshore.client.client import Rooms
from longshore.client.connection import DEFAULT_SERVER, Connection
from longshore.client.streams import Stream
from longshore.client.tls import Tls
from longshore.client.transports import Transport

R = TypeVar("R", bound=Message)


class Relayed(Rooms):
    """Everything that can be asked, for one caller of a relay."""

    async def ask(self, request: Message, answer: type[R]) -> R:
        """Make the call that takes such requests, once. Raises `CallError`."""
        return await self._connection.ask(request, answer)

    async def open(self, request: Message) -> Stream:
        """Open the stream that answers such requests. Raises `Unavailable`."""
        return await self._connection.open(request, wait=False)


class Relay:
    """Connections to servers as `Client` has them, for others than itself.

    It has no credential of its own: whom it acts for shows what they are known by. In the
    process of a server it can be given the way `inside`, which needs no connections.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = DEFAULT_SERVER,
        *,
        timeout: float = 30.0,
        tls: Tls | None = None,
        insecure: bool = False,
        inside: Callable[[], Transport] | None = None,
    ) -> None:
        caller = Caller(servers, tls=tls, insecure=insecure, inside=inside)
        self._connection = Connection(caller, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def acting(self, metadata: Mapping[str, str]) -> Relayed:
        """Return what asks for somebody, who shows this call metadata and nothing else.

        It is `authorization`, `x-tenant-id`, `x-request-id` and so on. Raises `InvalidValue` if
        a credential would be sent in the clear to another machine.
        """
        return Relayed(self._connection.acting(metadata))

    async def connect(self) -> None:
        """Reach a server now, or raise `Unavailable` when each has failed once."""
        await self._connection.reach()

    async def close(self) -> None:
        """End all calls, and the connections."""
        await self._connection.close()

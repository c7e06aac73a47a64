"""Who asks for a change, for whom, and of which operation."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Caller(NamedTuple):
    """Who asks for a change."""

    tenant: str = "default"
    principal: str = "anonymous"
    request_id: str = ""
    address: str = ""  #: The host that called, without a port; empty if nobody did.
    stream: str = ""  #: Where its results go; empty: the stream that has its name.

    @property
    def stream_id(self) -> str:
        return self.stream or self.principal


SERVER = Caller(principal="longshore")  #: The server itself.


class Account(NamedTuple):
    """Somebody with a service, for whom tasks are done."""

    service: str
    username: str


Target: TypeAlias = bytes | int
"""An operation by its 16-byte id, or by its number."""

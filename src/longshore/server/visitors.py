"""Visitors: what a call says of who makes it, before anybody believes it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import grpc.aio
import uuid_utils

from longshore.core.errors import LimitExceeded
from longshore.core.limits import NAME_CHARACTERS

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_HEADER_CHARACTERS: Final = 128  #: Of an x-request-id, which other systems may have made.


class Visitor:
    """Who makes a call, as its metadata and its connection say."""

    __slots__ = ("address", "context", "metadata", "path", "principal", "request_id", "tenant")

    def __init__(self, path: str, context: Context) -> None:
        self.path = path
        self.context = context
        self.metadata: Mapping[str, Any] = dict(context.invocation_metadata() or ())
        self.address = _host(context.peer())
        self.tenant: str = self.metadata.get("x-tenant-id") or ""
        self.request_id: str = self.metadata.get("x-request-id") or str(uuid_utils.uuid7())
        self.principal: str | None = None  #: Its name, once it is known.

    def introduce(self) -> None:
        """Tell the request id back. Raises `LimitExceeded` if what it says is too long."""
        for name, text, limit in (
            ("x-tenant-id", self.tenant, NAME_CHARACTERS),
            ("x-request-id", self.request_id, _HEADER_CHARACTERS),
        ):
            if len(text) > limit:
                length = len(text)
                self.tenant, self.request_id = self.tenant[:limit], self.request_id[:limit]
                raise LimitExceeded(name, limit, length)
        self.context.set_trailing_metadata((("x-request-id", self.request_id),))


@lru_cache(maxsize=4_096)
def _host(peer: str) -> str:
    """Return the address of `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`."""
    family, _, address = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return family
    return urllib.parse.unquote(address).rpartition(":")[0].strip("[]")

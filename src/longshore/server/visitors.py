"""Visitors: what a call says of who makes it, before anybody believes it."""

from __future__ import annotations

import logging
import re
import urllib.parse
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import grpc.aio
import uuid_utils

from longshore.core.errors import (
    InvalidFields,
    LimitExceeded,
    LongshoreError,
    Unauthenticated,
    Violation,
)
from longshore.core.limits import NAME_CHARACTERS
from longshore.server.open_streams import OpenStream
from longshore.server.roles import Needed

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_TENANT: Final = "x-tenant-id"
_REQUEST_ID: Final = "x-request-id"
_HEADER_CHARACTERS: Final = 128  #: Of an x-request-id, which other systems may have made.

#: From where a call comes that somebody passes on.
RELAYED_FOR: Final = "x-caller-address"

_GRPC: Final = "grpc._cython.cygrpc"  #: What logs of the library are under.

#: What a header may hold; gRPC reads more than it writes.
_TEXT: Final = re.compile("[ -~]*")


class Visitor:
    """Who makes a call, as its metadata and its connection say."""

    __slots__ = (
        "address",
        "context",
        "metadata",
        "needed",
        "path",
        "principal",
        "request_id",
        "stream",
        "tenant",
        "through",
        "unproven",
    )

    def __init__(self, path: str, needed: Needed, context: Context) -> None:
        self.path = path
        self.needed = needed
        self.context = context
        self.metadata: Mapping[str, Any] = dict(context.invocation_metadata() or ())
        self.address = _host(context.peer())
        self.through = (
            ""  #: The address of the go-between that is believed from where it comes.
        )
        self.unproven = False  #: Whether there is a go-between whose proof nobody knows yet.
        self.tenant: str = self.metadata.get(_TENANT) or ""
        self.request_id: str = self.metadata.get(_REQUEST_ID) or ""
        self.principal: str | None = None  #: Its name, once it is known.
        self.stream: OpenStream | None = None  #: While it is served as one.

    def introduce(self) -> None:
        """Tell the request id back, or one that is made here.

        Raises `LimitExceeded` and `InvalidFields` if what it says of itself cannot be used.
        """
        wrong_tenant = _flaw(_TENANT, self.tenant, NAME_CHARACTERS)
        wrong_id = _flaw(_REQUEST_ID, self.request_id, _HEADER_CHARACTERS)
        if wrong_tenant is not None:
            self.tenant = ""
        if wrong_id is not None or not self.request_id:
            self.request_id = str(uuid_utils.uuid7())
        self.context.set_trailing_metadata(((_REQUEST_ID, self.request_id),))
        wrong = wrong_tenant or wrong_id
        if wrong is not None:
            raise wrong

    @property
    def relayed(self) -> bool:
        """Whether it says that somebody passes it on, be that believed or not."""
        return RELAYED_FOR in self.metadata

    def relay(self, address: str) -> None:
        """Believe that it comes from another address than that of the connection."""
        self.address, self.through = address, self.address

    def repeats(self, name: str) -> bool:
        """Whether a header is there more than once."""
        pairs: Any = self.context.invocation_metadata() or ()
        several = len(pairs) != len(self.metadata)
        return several and sum(one == name for one, _ in pairs) > 1

    @property
    def authorization(self) -> str | None:
        """What it shows; None if it shows nothing. Raises `Unauthenticated` for several."""
        if self.repeats("authorization"):
            raise Unauthenticated("there is more than one credential")
        return self.metadata.get("authorization") or None


def _flaw(name: str, text: str, limit: int) -> LongshoreError | None:
    """Return what is wrong with what a header says."""
    if len(text) > limit:
        return LimitExceeded(name, limit, len(text))
    if not _TEXT.fullmatch(text):
        return InvalidFields([Violation(name, "only printable ASCII characters are allowed")])
    return None


def keep_headers_out_of_logs() -> None:
    """Let gRPC not write down headers that are no text: somebody's credential may be one."""
    logging.getLogger(_GRPC).addFilter(_tells_no_header)


def _tells_no_header(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Invalid encoding on")


@lru_cache(maxsize=4_096)
def _host(peer: str) -> str:
    """Return the address of `ipv4:127.0.0.1:4711` or `ipv6:%5B::1%5D:4711`."""
    family, _, address = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return family
    return urllib.parse.unquote(address).rpartition(":")[0].strip("[]")

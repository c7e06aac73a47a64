"""Callers: who sends a request, in the words of call metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from longshore.client import Relay, Relayed
from longshore.gateway.faults import Malformed

#: Headers that are passed on as they came.
_PASSED: Final = ("api-key", "x-tenant-id", "traceparent")

_CREDENTIALS: Final = frozenset({"api-key", "authorization"})
_UNSENDABLE: Final = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the servers, for whoever sends requests, and for the gateway itself."""

    relay: Relay
    own: Callable[[], Mapping[str, str]]  #: Metadata of the gateway's own principal, of now.

    def of(
        self, request: Request, authorization: str | None, *, tenant: str | None = None
    ) -> Relayed:
        """Return what asks for the sender, by the credential that a dialect has found.

        Raises `Malformed` if a header cannot be passed on.
        """
        metadata = _metadata(request)
        if tenant is not None:
            metadata["x-tenant-id"] = _text("x-tenant-id", tenant)
        if authorization:
            metadata["authorization"] = _text("authorization", authorization)
        return self.relay.acting(metadata)

    def itself(self, request: Request | None = None, *, tenant: str = "") -> Relayed:
        """Return what asks for the gateway: for what is open to whoever knows an id."""
        metadata = {**(_metadata(request) if request else {}), **self.own()}
        if tenant:
            metadata["x-tenant-id"] = tenant
        return self.relay.acting(metadata)


def _metadata(request: Request) -> dict[str, str]:
    """Return what is passed on of a request, whoever sent it."""
    headers = request.headers
    found = {name: _text(name, headers[name]) for name in _PASSED if name in headers}
    return {**found, "x-request-id": request.state.request_id}


def _text(name: str, value: str) -> str:
    """Return what a header says. Raises `Malformed` if gRPC has no such characters.

    No credential has them either: one that does is refused by servers, as every wrong one.
    """
    if name in _CREDENTIALS:
        return _UNSENDABLE.sub("?", value)
    if _UNSENDABLE.search(value):
        raise Malformed("only printable ASCII characters are allowed", name)
    return value

"""Callers: who sends a request, in the words of call metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from longshore.client import Relay, Relayed

#: Headers that are passed on as they came.
_PASSED: Final = ("api-key", "x-tenant-id", "traceparent")


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the servers, for whoever sends requests, and for the gateway itself."""

    relay: Relay
    own: Callable[[], Mapping[str, str]]  #: Metadata of the gateway's own principal, of now.

    def of(
        self, request: Request, authorization: str | None, *, tenant: str | None = None
    ) -> Relayed:
        """Return what asks for the sender, by the credential that a dialect has found."""
        metadata = _metadata(request)
        if tenant is not None:
            metadata["x-tenant-id"] = tenant
        if authorization:
            metadata["authorization"] = authorization
        return self.relay.acting(metadata)

    def itself(self, request: Request | None = None, *, tenant: str = "") -> Relayed:
        """Return what asks for the gateway: for what is open to whoever knows an id."""
        metadata = {**(_metadata(request) if request else {}), **self.own()}
        if tenant:
            metadata["x-tenant-id"] = tenant
        return self.relay.acting(metadata)


def _metadata(request: Request) -> dict[str, str]:
    """Return what is passed on of a request, whoever sent it."""
    found = {name: request.headers[name] for name in _PASSED if name in request.headers}
    return {**found, "x-request-id": request.state.request_id}

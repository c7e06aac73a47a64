"""Callers: who sends a request, in the words of call metadata."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from longshore.client import Relay, Relayed
from longshore.gateway.faults import Malformed

_AUTHORIZATION: Final = "authorization"
_API_KEY: Final = "api-key"
_TENANT: Final = "x-tenant-id"
_TRACE: Final = "traceparent"
_REQUEST_ID: Final = "x-request-id"

_ADDRESS: Final = "x-caller-address"  #: Of the sender; marks a call as one that is passed on.
_PROOF: Final = "x-go-between"  #: Who it is that may say so, as an `authorization`.
_NOWHERE: Final = "unknown"

_CREDENTIALS: Final = frozenset({_API_KEY, _AUTHORIZATION})
#: Characters; servers take no more than 16 KiB of all metadata.
_LONGEST: Final = 512
_LONGEST_CREDENTIAL: Final = 12 * 1024

_UNSENDABLE: Final = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the servers, for whoever sends requests, and for the gateway itself.

    Servers take no call that the gateway passes on for one of its own, and they count and write
    down what somebody asks under the address of who asks, if the gateway has the right to tell.
    """

    relay: Relay
    own: Callable[[], Mapping[str, str]]  #: Metadata of the gateway's own principal, of now.
    #: Whether that is empty because the connection's certificate says who the gateway is.
    certified: bool = False

    def of(
        self, request: Request, authorization: str | None, *, tenant: str | None = None
    ) -> Relayed:
        """Return what asks for the sender, by the credential that a dialect has found.

        Of the tenant the dialect may have read something else than the header. Raises
        `Malformed` if a header cannot be passed on.
        """
        metadata = self._passing_on(request)
        wanted = request.headers.get(_TENANT) if tenant is None else tenant
        if wanted:
            metadata[_TENANT] = _text(_TENANT, wanted)
        if _API_KEY in request.headers:
            metadata[_API_KEY] = _text(_API_KEY, request.headers[_API_KEY])
        if authorization:
            metadata[_AUTHORIZATION] = _text(_AUTHORIZATION, authorization)
        return self.relay.acting(metadata)

    def knocking(self, request: Request, authorization: str) -> Relayed:
        """Return what asks whether a credential is right, whatever else a request says."""
        shown = _text(_AUTHORIZATION, authorization)
        return self.relay.acting({**self._passing_on(request), _AUTHORIZATION: shown})

    def itself(self, request: Request | None = None, *, tenant: str = "") -> Relayed:
        """Return what asks for the gateway: for what is open to whoever knows an id.

        Whoever sends the request has no say in it: neither a tenant nor a key of theirs is
        looked at. The tenant is the first of the gateway's principal unless one is named here.
        """
        metadata: dict[str, str] = {}
        if request is not None:
            metadata = self._passing_on(request)
            if self.certified:
                del metadata[_ADDRESS]
        metadata.update(self.own())
        if tenant:
            metadata[_TENANT] = tenant
        return self.relay.acting(metadata)

    def _passing_on(self, request: Request) -> dict[str, str]:
        """Return what marks a call as one that is passed on, and says for whom.

        What is no trace is left out: nobody is refused for it.
        """
        state = request.state
        metadata = {_REQUEST_ID: state.request_id, _ADDRESS: state.client_address or _NOWHERE}
        proof = self.own().get(_AUTHORIZATION)
        if proof is not None:
            metadata[_PROOF] = proof
        trace = request.headers.get(_TRACE)
        if trace is not None and not _UNSENDABLE.search(trace):
            metadata[_TRACE] = trace
        return metadata


def _text(name: str, value: str) -> str:
    """Return what a header says. Raises `Malformed` if gRPC has no such characters, or no room.

    No credential has them either: one that does is refused by servers, as every wrong one, and
    so is what is sent of one that is too long.
    """
    if name in _CREDENTIALS:
        shown = (
            value
            if len(value) <= _LONGEST_CREDENTIAL
            else f"{value[:10].split(maxsplit=1)[0]} ?"
        )
        return _UNSENDABLE.sub("?", shown)
    if len(value) > _LONGEST:
        raise Malformed(f"at most {_LONGEST} characters are allowed", name)
    if _UNSENDABLE.search(value):
        raise Malformed("only printable ASCII characters are allowed", name)
    return value

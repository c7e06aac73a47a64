"""The gate: who calls, whether it may, and not too often. Every call passes here, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

import grpc.aio

from longshore.core.access import Access, Identity, Presented
from longshore.core.addresses import network_of
from longshore.core.callers import Caller
from longshore.core.errors import Unauthenticated
from longshore.core.principals import ANONYMOUS, ANY, Principal, Role
from longshore.server.arrivals import Arrivals
from longshore.server.certificates import certificate_of
from longshore.server.go_betweens import GoBetweens
from longshore.server.limits import AccessLimits
from longshore.server.open_streams import OpenStreams
from longshore.server.rates import Rates
from longshore.server.roles import NEEDED, REFLECTION, STRANGERS, Needed, require_one
from longshore.server.visitors import Context, Visitor

_LOOK_SECONDS: Final = 0.25  #: How soon a stream ends after its principal was revoked.

#: Who is served and may be anybody.
_STRANGER: Final = Identity(Principal("", frozenset()), "none")
_ANYBODY: Final = Identity(ANONYMOUS, "none")

#: The one call that may be for all tenants at once.
_WORK: Final = "/longshore.v1.WorkerService/Work"
#: Calls that look at more of a principal than its roles and tenants, and only when they begin.
_BY_PRINCIPAL: Final = frozenset({_WORK, "/longshore.v1.TaskService/StreamResults"})


class Call(NamedTuple):
    """One call that was let in: who makes it, and the channel's side of it."""

    caller: Caller
    identity: Identity
    visitor: Visitor

    @property
    def principal(self) -> Principal:
        return self.identity.principal

    @property
    def context(self) -> Context:
        return self.visitor.context

    async def write(self, message: Any) -> None:
        """Send a message of a stream. Raises what has ended the stream meanwhile."""
        assert self.visitor.stream is not None
        await self.visitor.stream.write(self.visitor.context, message)

    async def read(self) -> bytes | None:
        """Return the next message of a stream, None at its end. Raises what has ended it."""
        assert self.visitor.stream is not None
        message = await self.visitor.context.read()
        self.visitor.stream.check()
        return None if message is grpc.aio.EOF else cast("bytes", message)

    @property
    def traceparent(self) -> str | None:
        return self.visitor.metadata.get("traceparent")

    def require(self, role: Role) -> None:
        """Raise what ends a stream unless its caller has the role, which then it has to keep.

        It may have lost it since it was let in, when nobody knew that it would be needed.
        """
        assert self.visitor.stream is not None
        self.visitor.needed = (role,)
        self.visitor.stream.look()


class Gate:
    """Lets callers in. Without an `Access` everybody may do everything."""

    def __init__(
        self,
        access: Access | None,
        limits: AccessLimits,
        *,
        certificates: bool,
        reflection_is_open: bool,
    ) -> None:
        self._access = access
        self._certificates = certificates
        self._reflection_is_open = reflection_is_open
        self.arrivals = Arrivals(limits.request_seconds)
        self._go_betweens = GoBetweens(access)
        self._streams = OpenStreams(limits.streams_per_principal)
        self._by_principal = _rates(limits.calls_per_principal)
        self._by_address = _rates(limits.calls_per_address)

    def needed(self, path: str) -> Needed:
        """Return what a call needs; a method that the table does not know is a fault of ours."""
        if self._reflection_is_open and path in REFLECTION:
            return STRANGERS
        return NEEDED[path]

    def recognize(self, visitor: Visitor) -> Call | None:
        """Let a caller in whose credential is known; None: `identify` has to check it.

        Raises `Unauthenticated`, `RoleMissing`, `TenantNotPermitted`, `RateLimited`,
        `InvalidFields` and `LimitExceeded`.
        """
        visitor.introduce()
        if visitor.relayed:
            self._go_betweens.recognize(visitor)
            if visitor.unproven:
                return None
        return self._admit(visitor)

    def _admit(self, visitor: Visitor) -> Call | None:
        """Let in, once it is known from where it comes, whoever can be let in at once."""
        if self._by_address is not None:
            self._by_address.take(network_of(visitor.address))
        if not visitor.needed:
            return self._let_in(visitor, _STRANGER)
        if self._access is None:
            return self._let_in(visitor, _ANYBODY)
        identity = self._access.known(self._presented(visitor))
        return None if identity is None else self._let_in(visitor, identity)

    async def identify(self, visitor: Visitor) -> Call:
        """Check a credential and let its owner in. Raises what `recognize` raises."""
        assert self._access is not None
        if visitor.unproven:
            await self._go_betweens.check(visitor)
            if call := self._admit(visitor):
                return call
        presented = self._presented(visitor)
        identity = await self._access.identify(presented, visitor.address)
        return self._let_in(visitor, identity)

    def _presented(self, visitor: Visitor) -> Presented:
        header = visitor.authorization
        if header is not None:
            return header
        if self._certificates and not visitor.relayed:
            certificate = certificate_of(visitor.context.auth_context())
            if certificate is not None:
                return certificate
        raise Unauthenticated("who is calling? there is no credential")

    def _let_in(self, visitor: Visitor, identity: Identity) -> Call:
        principal = identity.principal
        if visitor.needed:
            visitor.principal = principal.name
            if self._by_principal is not None:
                self._by_principal.take(principal.name)
            require_one(principal, visitor.needed)
            visitor.tenant = _tenant(principal, visitor)
        caller = Caller(
            visitor.tenant,
            principal.name,
            visitor.request_id,
            visitor.address,
            principal.stream,
        )
        return Call(caller, identity, visitor)

    def api_key_matches(self, call: Call) -> bool | None:
        """Whether the api-key of a call is the principal's; None: it has none."""
        if self._access is None:
            return None
        shown = call.visitor.metadata.get("api-key") or ""
        return self._access.matches_api_key(call.principal, shown)

    @contextmanager
    def stream(self, call: Call) -> Generator[None]:
        """Count a stream while it is served, and end it when its caller is revoked.

        Raises `RateLimited` if there are too many, and then what has ended it.
        """
        name = call.principal.name
        owner = (name, "" if name else call.visitor.address)
        expires, visitor = call.identity.expires, call.visitor
        with self._streams.entered(owner, lambda: self._look(call), expires) as visitor.stream:
            yield

    def _look(self, call: Call) -> None:
        """Raise what a caller would be told now, that was let in once."""
        visitor = call.visitor
        if self._access is None or not visitor.needed:
            return
        principal = self._access.still(call.identity)
        if principal is None:
            raise Unauthenticated("the credential has been revoked")
        require_one(principal, visitor.needed)
        _tenant(principal, visitor)
        if visitor.path in _BY_PRINCIPAL and principal != call.principal:
            raise Unauthenticated("what you may do has changed: come again")

    async def watch_over(self) -> None:
        """End the streams of those who may not go on any more, until it is cancelled."""
        if self._access is None:
            return
        generation = self._access.generation
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            seen, generation = generation, self._access.generation
            self._streams.look_again(time.time(), at_all=generation != seen)


def _tenant(principal: Principal, visitor: Visitor) -> str:
    if visitor.tenant == ANY and visitor.path == _WORK and ANY in principal.tenants:
        return ANY
    return principal.tenant(visitor.tenant)


def _rates(per_second: float | None) -> Rates | None:
    return None if per_second is None else Rates(per_second, time.monotonic)

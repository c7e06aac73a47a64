"""Access: how a server learns who calls it, whatever the credentials are."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from longshore.core.principals import Principal


class Certificate(NamedTuple):
    """A client certificate that the connection has verified."""

    subject: str  #: As RFC 4514 writes it, such as `CN=press,O=Longshore`; may be empty.
    names: tuple[str, ...]  #: Its subject alternative names, without their types.


Presented: TypeAlias = str | Certificate
"""What a caller shows: an `authorization` header as it came, or a certificate."""


class Identity(NamedTuple):
    """A principal, and by which of its credentials it is known."""

    principal: Principal
    #: Names the credential and holds no secret, such as `token 7h2k…` or `certificate CN=…`.
    credential: str
    expires: float | None = None  #: Seconds since 1970; None: not by itself.


class Access(Protocol):
    """Knows who may call. What is known is forgotten within a second of its revocation."""

    #: Raised by every change of what is configured.
    generation: int

    def known(self, presented: Presented) -> Identity | None:
        """Return whose credential it is if it was checked before. Takes microseconds."""
        ...

    async def identify(self, presented: Presented, address: str) -> Identity:
        """Check a credential. Raises `Unauthenticated`, which never repeats it.

        Who fails often from an address is answered ever later, and then `RateLimited`.
        """
        ...

    def still(self, identity: Identity) -> Principal | None:
        """Return the principal as it is configured now; None if the credential is revoked."""
        ...

    def matches_api_key(self, principal: Principal, api_key: str) -> bool | None:
        """Whether it is the principal's api-key; None if none is configured for it."""
        ...

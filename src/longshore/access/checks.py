"""Checks what callers show against what is configured now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from longshore.access import certificates, credentials, jwts, tokens
from longshore.access.authorities import Authority
from longshore.access.book import Book, Known
from longshore.access.credentials import NameAndPassword, SignedToken
from longshore.access.errors import Refused
from longshore.access.passwords import PasswordChecks
from longshore.core.access import Certificate, Identity, Presented
from longshore.core.principals import Principal


class Checks:
    """All checks, by one state of the configuration."""

    def __init__(
        self,
        book: Book,
        authorities: Sequence[Authority],
        passwords: PasswordChecks,
        clock: Callable[[], float],
    ) -> None:
        self._book = book
        self._authorities = authorities
        self._passwords = passwords
        self._clock = clock

    async def identify(self, presented: Presented) -> Identity:
        """Return whose credential it is. Raises `Refused`."""
        if isinstance(presented, Certificate):
            return self._of_certificate(presented).identity
        credential = credentials.parse(presented)
        match credential:
            case tokens.Parts():
                return self._of_token(credential).identity
            case NameAndPassword():
                return (await self._of_password(credential)).identity
            case SignedToken():
                return await self._of_jwt(credential.text)
        assert_never(credential)

    def of_token(self, presented: Presented) -> Identity | None:
        """Return whose API token it is; None if it is wrong, or no such token."""
        if isinstance(presented, Certificate):
            return None
        try:
            credential = credentials.parse(presented)
            found = self._of_token(credential) if isinstance(credential, tokens.Parts) else None
        except Refused:
            return None
        return found.identity if found else None

    def still(self, identity: Identity) -> Principal | None:
        """Return the principal as it is now; None if its credential counts no longer."""
        if self._over(identity.expires):
            return None
        if known := self._book.standing(identity):
            return None if self._over(known.expires) else known.principal
        if any(one.stands(identity.credential) for one in self._authorities):
            return identity.principal
        return None

    def matches_api_key(self, principal: Principal, api_key: str) -> bool | None:
        """Whether it is the principal's; None if none is configured for it."""
        kept = self._book.api_keys.get(principal.name)
        return None if kept is None else tokens.matches(api_key, kept)

    def _of_token(self, token: tokens.Parts) -> Known:
        known = self._book.tokens.get(token.id)
        if known is None:
            raise Refused("unknown_token")
        name = known.principal.name
        if not tokens.matches(token.secret, known.hash):
            raise Refused("wrong_secret", name)
        if self._over(known.expires):
            raise Refused("expired", name)
        return known

    async def _of_password(self, shown: NameAndPassword) -> Known:
        known = self._book.passwords.get(shown.name)
        kept = known.hash if known else None
        fits = await self._passwords.matches(shown.password, kept)
        if known is None:
            raise Refused("unknown_principal")
        if not fits:
            raise Refused("wrong_password", known.principal.name)
        return known

    def _of_certificate(self, certificate: Certificate) -> Known:
        for name in certificates.names(certificate):
            if known := self._book.certificates.get(name):
                return known
        raise Refused("unknown_certificate")

    async def _of_jwt(self, text: str) -> Identity:
        token = jwts.peek(text)
        for authority in self._authorities:
            if authority.speaks_of(token):
                return await authority.identify(token, self._clock())
        raise Refused("unknown_issuer")

    def _over(self, expires: float | None) -> bool:
        return expires is not None and expires <= self._clock()

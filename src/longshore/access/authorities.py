"""An authority: an issuer, and where its keys are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from longshore.access import claims, jwts
from longshore.access.book import mark
from longshore.access.errors import Refused
from longshore.access.issuers import Issuer
from longshore.access.keys import Key, Keys, fitting
from longshore.core.access import Identity


class KeySource(Protocol):
    """Has keys, and can look for newer ones."""

    @property
    def keys(self) -> Keys: ...

    async def renew(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys of a file: read again with the configuration, whenever they change."""

    keys: Keys

    async def renew(self) -> None:
        return


class Authority:
    """Believes what one issuer signs."""

    def __init__(self, issuer: Issuer, source: KeySource) -> None:
        self.issuer = issuer
        self._source = source
        # Who was let in by other rules shows the token again.
        self._mark = mark(issuer.model_dump_json())

    def speaks_of(self, token: jwts.Unverified) -> bool:
        """Whether a token says that it is of this issuer, and for us."""
        return token.issuer == self.issuer.issuer and self.issuer.audience in token.audiences

    async def identify(self, token: jwts.Unverified, now: float) -> Identity:
        """Return whom a token is about. Raises `Refused`."""
        candidates = await self._candidates(token)
        found = jwts.verified(token.text, self.issuer, candidates, now)
        principal = claims.principal(found.claims, self.issuer)
        return Identity(principal, self._credential(found.key), found.expires)

    def stands(self, credential: str) -> bool:
        """Whether the issuer is as it was, and still has the key that made this credential."""
        return any(credential == self._credential(key) for key in self._source.keys)

    async def _candidates(self, token: jwts.Unverified) -> Sequence[Key]:
        if token.algorithm not in self.issuer.algorithms:
            raise Refused("algorithm_not_permitted")
        found = fitting(self._source.keys, token.key_id, token.algorithm)
        if not found:
            await self._source.renew()
            found = fitting(self._source.keys, token.key_id, token.algorithm)
        if not found:
            raise Refused("unknown_key" if self._source.keys else "keys_unavailable")
        return found

    def _credential(self, key: Key) -> str:
        return f"jwt {self.issuer.name} {key.id} #{self._mark}{key.fingerprint}"

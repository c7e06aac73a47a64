"""The book of credentials: whose each of them is, as the configuration says it now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from longshore.access.configuration import Configuration
from longshore.access.entries import ConfiguredPrincipal
from longshore.core.access import Identity
from longshore.core.principals import Principal


class Known(NamedTuple):
    """A credential that counts."""

    principal: Principal
    name: str  #: Of the credential: changes with its secret, and tells nothing of it.
    hash: str = ""  #: Of its secret; empty for a certificate, which the connection has checked.
    expires: float | None = None  #: Seconds since 1970.

    @property
    def identity(self) -> Identity:
        return Identity(self.principal, self.name, self.expires)


class OwnToken(NamedTuple):
    """A token that is in no file."""

    principal: Principal
    id: str
    hash: str


class Book:
    """Finds credentials by what callers show of them."""

    def __init__(self, configuration: Configuration, own: Iterable[OwnToken] = ()) -> None:
        self.tokens: dict[str, Known] = {}  #: By id.
        self.passwords: dict[str, Known] = {}  #: By the principal's name.
        self.certificates: dict[str, Known] = {}  #: By subject or alternative name.
        self.api_keys: dict[str, str] = {}  #: Hashes by the principal's name.
        for one in configuration.principals:
            self._add(one)
        for token in own:
            name = f"token {token.id}"
            self.tokens[token.id] = Known(token.principal, name, token.hash)
        kinds = (self.tokens, self.passwords, self.certificates)
        self._standing = {known.name: known for kind in kinds for known in kind.values()}

    def standing(self, identity: Identity) -> Known | None:
        """Return the credential by which somebody is known if it is still that principal's."""
        known = self._standing.get(identity.credential)
        if known is None or known.principal.name != identity.principal.name:
            return None
        return known

    def _add(self, configured: ConfiguredPrincipal) -> None:
        principal = configured.principal
        for token in configured.tokens:
            name = f"token {token.id} #{mark(token.hash)}"
            expires = token.expires.timestamp() if token.expires else None
            self.tokens[token.id] = Known(principal, name, token.hash, expires)
        if configured.password:
            name = f"password {principal.name} #{mark(configured.password)}"
            self.passwords[principal.name] = Known(principal, name, configured.password)
        for certificate in configured.certificates:
            self.certificates[certificate] = Known(principal, f"certificate {certificate}")
        if configured.api_key:
            self.api_keys[principal.name] = configured.api_key


def mark(text: str) -> str:
    """Return what changes when a text does, short and without telling it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]

"""Go-betweens: who asks for others may say from which address these call.

`x-caller-address` names the address, and marks a call as one that somebody passes on;
`x-go-between` has the credential of who passes it on, as `authorization` would. Whoever may not
say so, or cannot prove it, is served as if nothing had been said.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from longshore.core.access import Access
from longshore.core.errors import RateLimited, Unauthenticated
from longshore.server.visitors import RELAYED_FOR, Visitor

_PROOF: Final = "x-go-between"
_REMEMBERED: Final = 1_000
_LONGEST: Final = 45  #: Characters of an address: one of version 4 written as one of version 6.


class GoBetweens:
    """Puts the address of who calls in the place of that of a go-between that says it."""

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._wrong = _Wrong()

    def recognize(self, visitor: Visitor) -> None:
        """Believe what is said if that can be told at once; else leave the visitor unproven."""
        address = plain(visitor.metadata[RELAYED_FOR])
        if address is None or visitor.repeats(RELAYED_FOR):
            return
        if self._access is None:
            if is_near(visitor.address):
                visitor.relay(address)
            return
        proof = visitor.metadata.get(_PROOF)
        if not proof or visitor.repeats(_PROOF):
            return
        identity = self._access.known(proof)
        if identity is None:
            visitor.unproven = not self._wrong.has(proof, self._access.generation)
        elif identity.principal.go_between:
            visitor.relay(address)

    async def check(self, visitor: Visitor) -> None:
        """Believe what an unproven visitor says if its proof is right.

        Who guesses proofs waits as all do who guess credentials from that address, and is told
        nothing.
        """
        assert self._access is not None
        visitor.unproven = False
        address = plain(visitor.metadata[RELAYED_FOR])
        assert address is not None
        proof, generation = visitor.metadata[_PROOF], self._access.generation
        try:
            identity = await self._access.identify(proof, visitor.address)
        except Unauthenticated:
            self._wrong.add(proof, generation)
        except RateLimited:
            pass  # It may have been right.
        else:
            if identity.principal.go_between:
                visitor.relay(address)


class _Wrong:
    """Proofs that were wrong. A go-between whose token was revoked shows it with every call, and
    neither its callers nor the log need to learn of that each time.

    Only hashes are kept, by a secret of the process, and only until something is configured anew.
    """

    def __init__(self) -> None:
        self._hashes = set[int]()
        self._generation = 0

    def has(self, proof: str, generation: int) -> bool:
        return generation == self._generation and hash(proof) in self._hashes

    def add(self, proof: str, generation: int) -> None:
        """Remember a proof, and forget the others if they are too many or no longer wrong."""
        if generation != self._generation or len(self._hashes) >= _REMEMBERED:
            self._hashes.clear()
        self._generation = generation
        self._hashes.add(hash(proof))


def plain(text: str) -> str | None:
    """Return an IP address in the one way to write it; None if it is none."""
    return _plain(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4_096)
def _plain(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.scope_id is not None:  # It may hold anything, and means nothing elsewhere.
        return None
    return str(address.ipv4_mapped or address)


def is_near(address: str) -> bool:
    """Whether a peer is of this machine."""
    host = plain(address)
    return address == "unix" if host is None else ipaddress.ip_address(host).is_loopback

"""The cache of credentials that were checked: what makes the next call of a caller cheap."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, TypeAlias

from longshore.core.access import Certificate, Identity, Presented

_Key: TypeAlias = bytes | Certificate

CAPACITY: Final = 10_000


class Cache:
    """Knows callers by a keyed hash of what they show; nothing of it could be shown again."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._identities: dict[_Key, Identity] = {}

    def get(self, presented: Presented) -> Identity | None:
        return self._identities.get(self._key(presented))

    def put(self, presented: Presented, identity: Identity) -> None:
        """Keep who somebody is, in the place of the oldest if there are too many."""
        self._identities[self._key(presented)] = identity
        if len(self._identities) > CAPACITY:
            del self._identities[next(iter(self._identities))]

    def clear(self) -> None:
        self._identities.clear()

    def _key(self, presented: Presented) -> _Key:
        if isinstance(presented, Certificate):
            return presented
        text = presented.encode(errors="surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._secret).digest()

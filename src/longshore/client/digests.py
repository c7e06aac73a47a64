"""The digest of bytes that pass, computed while they do."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from longshore.client.threads import Helper

#: Less is hashed in less time than it takes to hand it to a thread.
_SMALL_BYTES: Final = 64 * 1024


class Digest:
    """A SHA-256, which a helper computes while its caller deals with the next piece."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self._sha256 = hashlib.sha256()
        self._adding: asyncio.Future[None] | None = None

    async def add(self, piece: bytes) -> None:
        """Take a piece as soon as the one before is done with."""
        await self._settle()
        if len(piece) <= _SMALL_BYTES:
            self._sha256.update(piece)
        else:
            self._adding = self._helper.call(self._sha256.update, piece)

    async def hex(self) -> str:
        """Return the digest of all pieces: 64 hexadecimal digits."""
        await self._settle()
        return self._sha256.hexdigest()

    async def _settle(self) -> None:
        if self._adding is not None:
            adding, self._adding = self._adding, None
            await adding

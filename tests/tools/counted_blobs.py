"""The real blobs, which also know who reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from longshore.stores.blobs import ObstoreBlobs


class CountedBlobs(ObstoreBlobs):
    """Counts its readers."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.readers = 0
        self.left = asyncio.Event()  #: Set when a reader has gone.

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        self.readers += 1
        try:
            async with aclosing(super().read(name)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.readers -= 1
            self.left.set()

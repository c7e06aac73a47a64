"""Prefetching: the next chunk is on its way while the present one is being used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing


async def ahead(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the same chunks; whatever the producer raises comes in its place.

    Closes the producer, also if it is waiting just then.
    """
    async with aclosing(chunks):
        fetching = asyncio.create_task(_next(chunks))
        try:
            while (chunk := await fetching) is not None:
                fetching = asyncio.create_task(_next(chunks))
                yield chunk
        finally:
            fetching.cancel()
            await asyncio.wait([fetching])
            if not fetching.cancelled():
                fetching.exception()  # Nobody is left to be told.


async def _next(chunks: AsyncGenerator[bytes]) -> bytes | None:
    return await anext(chunks, None)

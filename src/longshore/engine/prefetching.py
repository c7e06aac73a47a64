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
            await _over(fetching)
            if not fetching.cancelled():
                fetching.exception()  # Nobody is left to be told.


async def _over(fetching: asyncio.Task[bytes | None]) -> None:
    """Wait for the end of a task, however often the wait itself is cancelled.

    A reader that goes away is cancelled, and perhaps once more when its write has failed.
    """
    cancelled: asyncio.CancelledError | None = None
    while not fetching.done():
        try:
            await asyncio.wait([fetching])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _next(chunks: AsyncGenerator[bytes]) -> bytes | None:
    return await anext(chunks, None)

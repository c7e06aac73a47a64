"""The pump: bytes that are drawn in the thread of an action, and sent from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from queue import SimpleQueue
from typing import cast

from longshore.client.sources import Source, is_repeatable


def is_drawn(source: Source) -> bool:
    """Whether a source yields its bytes step by step, in the thread that draws them."""
    return not is_repeatable(source) and not isinstance(source, AsyncIterable)


class Pump:
    """Draws from an iterator in the thread that gave it, which waits for the saving anyway.

    Some iterators, such as those of a database, are at home in one thread only.
    """

    def __init__(self, parts: Generator[object]) -> None:
        self._parts = parts
        self._wanted: SimpleQueue[asyncio.Future[object] | None] = SimpleQueue()

    def serve(self) -> None:
        """Draw what is asked for, until `stop`."""
        while (wanted := self._wanted.get()) is not None:
            part: object = None
            fault: Exception | None = None
            try:
                part = next(self._parts, None)
            except Exception as error:  # noqa: BLE001  # raised where the part is wanted
                fault = error
            wanted.get_loop().call_soon_threadsafe(_settle, wanted, part, fault)
        self._parts.close()

    def stop(self) -> None:
        self._wanted.put(None)

    async def drawn(self) -> AsyncGenerator[bytes]:
        """Yield what the iterator yields, on the event loop."""
        while True:
            wanted: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            self._wanted.put(wanted)
            part = await wanted
            if part is None:
                return
            yield cast("bytes", part)  # checked by whoever sends it


def _settle(wanted: asyncio.Future[object], part: object, fault: Exception | None) -> None:
    if wanted.done():
        return
    if fault is None:
        wanted.set_result(part)
    else:
        wanted.set_exception(fault)

"""Listening: when others may have committed.

A notification comes at once, but may be lost on its way; so whoever listens is called back
now and then anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from longshore.core.errors import StoreUnavailable
from longshore.stores.postgres.connections import DATABASE_ERRORS, Address, Writing, connect

#: What batches are notified of, with their revision.
CHANNEL: Final = "longshore"

_LATEST: Final = 0.5  #: Seconds between two calls at most.
_CHECKED_AFTER: Final = 3.0  #: Seconds between two looks at whether the connection is alive.
_BACKOFF: Final = 1.0  #: Seconds after which a lost connection is taken again.


class Listener:
    """Calls back on the event loop when others may have committed, until it is closed."""

    def __init__(
        self, address: Address, writing: Writing, callback: Callable[[], None]
    ) -> None:
        self._address = address
        self._writing = writing
        self._callback = callback
        self._tasks = [asyncio.create_task(self._poll())]
        if not address.pooled:
            # Shared connections are nobody's for long enough to be notified of anything.
            self._tasks.append(asyncio.create_task(self._hear()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_LATEST)
            self._callback()

    async def _hear(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable, *DATABASE_ERRORS):
                await self._hear_until_lost()
            await asyncio.sleep(_BACKOFF)

    async def _hear_until_lost(self) -> None:
        connection = await connect(self._address)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._notified)
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CHECKED_AFTER):
                        await lost.wait()
                # Who only listens does not notice that nobody can speak to it any more.
                await connection.execute("SELECT pg_listening_channels()")
        finally:
            connection.terminate()

    def _notified(self, _connection: Any, sender: int, _channel: str, _payload: object) -> None:
        if sender != self._writing.pid:
            self._callback()

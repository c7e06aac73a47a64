"""Arrivals: how long the request of a call may take to come.

Every call waits here, mostly for an instant. So there is one look at all of them every now
and then, and no timer for each.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, cast

import grpc.aio

from longshore.core.errors import InvalidFields, Violation
from longshore.server.visitors import Context

_LOOK_SECONDS: Final = 1.0


class Arrivals:
    """Reads the one request of each call, and gives up those that take too long."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._since: dict[asyncio.Task[Any] | None, float] = {}

    async def read(self, context: Context) -> bytes:
        """Return the request of a call. Raises `InvalidFields` if there is none in time."""
        task = asyncio.current_task()
        self._since[task] = time.monotonic()
        try:
            data = await context.read()
        except asyncio.CancelledError:
            if task is None or task in self._since or task.uncancel():
                raise
            data = grpc.aio.EOF
        finally:
            self._since.pop(task, None)
        if data is grpc.aio.EOF:
            raise InvalidFields([Violation("request", "it did not come", "MISSING")])
        return cast("bytes", data)

    async def watch_over(self) -> None:
        """Give up those that take too long, until it is cancelled."""
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._patience_seconds / 2))
            begun_before = time.monotonic() - self._patience_seconds
            for task, since in tuple(self._since.items()):
                if task is not None and since < begun_before:
                    del self._since[task]
                    task.cancel()

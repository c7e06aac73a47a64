"""Departures: who has gone away waits for nothing any more, and so neither does the gateway."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

from starlette.types import Receive

#: Most calls are answered sooner than it would cost to look out for their clients.
_SECONDS: Final = 0.1


class Departure:
    """Cancels what runs inside of it once the client has gone away.

    The body of the request has to be read before. `gone` says afterwards whether that was it.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[object] | None = None
        self._watching: asyncio.Task[None] | None = None
        self.gone = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow the cancellation that is this object's own."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if not self.gone or self._task is None or kind is not asyncio.CancelledError:
            return False
        return self._task.uncancel() == 0

    def _watch(self) -> None:
        self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()

"""Pouring: bodies that are written piece by piece. What cannot be written to its end is broken
off, by which whoever reads it can tell that something is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from longshore.client import CallError

log = structlog.get_logger()


class Streamed(StreamingResponse):
    """A response whose body is iterated over, and broken off if that raises a `CallError`."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except CallError as error:
            _note(error)


class Unfinished(Exception):
    """A body is not written to its end: nobody is there any more, or it is not his."""


class Outlet:
    """Where a body is written to."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.gone = False  #: Whether whoever was to read it has left.

    async def write(self, data: bytes) -> None:
        """Write the next bytes when those before are on their way. Raises `Unfinished`."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if self.gone:
            raise Unfinished

    async def flush(self) -> None:
        """Wait until all bytes are on their way. Raises `Unfinished`."""
        await self.write(b"")
        await asyncio.sleep(0)  # Who was cut off meanwhile is known to be gone by now.
        await self.write(b"")


class Poured(StreamingResponse):
    """A response whose body a coroutine writes.

    It ends as complete when the coroutine returns. If that raises a `CallError` or `Unfinished`,
    it is broken off; if the client leaves, the coroutine is cancelled. What is `held` is let go
    afterwards.
    """

    def __init__(
        self,
        pour: Callable[[Outlet], Awaitable[None]],
        media_type: str,
        headers: Mapping[str, str],
        held: AsyncExitStack | None = None,
    ) -> None:
        super().__init__((), media_type=media_type, headers=headers)
        self._pour = pour
        self._held = held or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        async with self._held:
            await send({"type": "http.response.start", **head})
            if await self._poured(receive, send):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _poured(self, receive: Receive, send: Send) -> bool:
        """Return whether the body is complete."""
        outlet = Outlet(send)
        pouring = asyncio.ensure_future(self._pour(outlet))
        leaving = asyncio.create_task(_left(outlet, receive))
        try:
            await asyncio.wait({pouring, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            pouring.cancel()
            await asyncio.wait({pouring, leaving})
        try:
            await pouring
        except CallError as error:
            _note(error)
            return False
        except (Unfinished, asyncio.CancelledError):
            return False
        return True


async def _left(outlet: Outlet, receive: Receive) -> None:
    """Wait until whoever reads has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    outlet.gone = True


def _note(error: CallError) -> None:
    log.info("broken_off", reason=error.reason, error=str(error))

"""Leaving: streams that would go on for ever come to a good end when the gateway does."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What is sent in whole pieces, and by which the reader takes up again where it was.
_LASTING: Final = ("application/x-ndjson", "text/event-stream")


class Leaving:
    """Ends lasting streams, between two of their pieces, when it is told to.

    Whatever else is being answered is left to come to its own end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lasting: set[asyncio.Task[Any]] = set()
        self._left = False

    def leave(self) -> None:
        """End all lasting streams, and from now on each as soon as it begins."""
        self._left = True
        for task in self._lasting:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None

        async def told(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start" and _lasts(message):
                self._lasting.add(task)
                if self._left:
                    task.cancel()

        try:
            await self._app(scope, receive, told)
        except asyncio.CancelledError:
            if not self._left or task not in self._lasting:
                raise
            task.uncancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._lasting.discard(task)


def _lasts(start: Message) -> bool:
    kind = Headers(raw=list(start["headers"])).get("content-type", "")
    return kind.partition(";")[0].strip() in _LASTING

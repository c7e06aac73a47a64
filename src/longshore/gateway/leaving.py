"""Leaving: streams that would go on for ever come to a good end when the gateway does, and what
has none is broken off.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What is sent in whole pieces, and after which the reader takes up again where it was.
_RESUMED: Final = ("application/x-ndjson", "text/event-stream")

#: The extension of a scope whose `close` closes the connection once all that was sent has gone.
BREAK_OFF: Final = "longshore.break_off"


class Leaving:
    """Ends lasting streams when it is told to; all else comes to its own end.

    Those that are resumed end as if they were complete, between two of their pieces. Others last
    if they say that no proxy may hold them back; they are broken off.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lasting: dict[asyncio.Task[Any], bool] = {}  #: Whether each is resumed.
        self._left = False

    def leave(self) -> None:
        """End all lasting streams, and from now on each as soon as it begins."""
        self._left = True
        for task in self._lasting:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        is_open = False

        async def told(message: Message) -> None:
            nonlocal is_open
            await send(message)
            begins = message["type"] == "http.response.start"
            is_open = begins or message.get("more_body", False)
            if begins:
                self._note(task, Headers(raw=list(message["headers"])))

        try:
            await self._app(scope, receive, told)
        except asyncio.CancelledError:
            if not self._left or task not in self._lasting:
                raise
            task.uncancel()
            if self._lasting[task]:
                await told({"type": "http.response.body", "body": b""})
        finally:
            self._lasting.pop(task, None)
        if is_open:
            await _break_off(scope, receive)

    def _note(self, task: asyncio.Task[Any], headers: Headers) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip()
        is_resumed = kind in _RESUMED
        if is_resumed or headers.get("x-accel-buffering") == "no":
            self._lasting[task] = is_resumed
            if self._left:
                task.cancel()


async def _break_off(scope: Scope, receive: Receive) -> None:
    """End an answer that did not come to its end, so that whoever reads it can tell."""
    scope["extensions"][BREAK_OFF]["close"]()
    while (await receive())["type"] != "http.disconnect":
        pass

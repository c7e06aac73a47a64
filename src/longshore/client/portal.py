"""The event loop of all callers that have none: one for the process, on a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final

_making: Final = threading.Lock()


class Portal:
    """Runs what other threads want to have run on its loop. Its thread ends with the process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="longshore-client", daemon=True
        )
        self._thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function on the loop, await what it returns if it can be, and return that.

        Whatever ends the wait, such as Ctrl-C, cancels the call. Raises `RuntimeError` where it
        would never end: on the loop's own thread, and in a fork, which has only one thread.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the loop of the sync client would wait for itself: use Client")
        if not self._thread.is_alive():
            raise RuntimeError("the sync client does not outlive a fork: spawn the process")
        running = asyncio.run_coroutine_threadsafe(
            _called(function, arguments, named), self._loop
        )
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def soon(self, function: Callable[[], object]) -> None:
        """Call a function on the loop as `call` does, without waiting for it."""
        asyncio.run_coroutine_threadsafe(_called(function, (), {}), self._loop)


def portal() -> Portal:
    """Return the one of this process."""
    with _making:
        return _portal()


@cache
def _portal() -> Portal:
    return Portal()


async def _called(
    function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    answer = function(*arguments, **named)
    return await answer if inspect.isawaitable(answer) else answer

"""The one place where acceptance tests wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

#: Nothing takes so long, even on a loaded machine, unless it is broken.
PATIENCE_SECONDS = 90.0

_LOOK_EVERY_SECONDS = 0.01


async def within(awaitable: Awaitable[T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Return what something gives, or fail naming what was waited for."""
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s in vain for {what}") from None


async def eventually(look: Callable[[], T], what: str) -> T:
    """Look again and again until what is seen is true, and return it."""

    async def ask() -> T:
        return look()

    return await eventually_answered(ask, what)


async def eventually_answered(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask again and again until the answer is true, and return it."""

    async def asking() -> T:
        while not (answer := await ask()):
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return answer

    return await within(asking(), what)

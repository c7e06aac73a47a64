"""The store: a result is handed out once. It is removed when its last byte has been handed over,
and stays if the client is cut off before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from typing import Final

from longshore.client import CallError, FailedPrecondition, Fetching, Relayed
from longshore.gateway.pouring import Outlet, Poured, Unfinished

_HEADERS: Final = {"cache-control": "no-store"}

#: So long somebody waits for another who fetches the same. Not longer: that may be himself, cut
#: off by something that nobody has noticed here.
PATIENCE_SECONDS: Final = 5.0


class _Result:
    """A result that is being fetched."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.fetchers = 0
        self.taken = False  #: Whether one of them has had all of it.


class Store:
    """Hands results out: at one gateway each to one after the other, until somebody has it."""

    def __init__(self) -> None:
        self._results: dict[str, _Result] = {}

    async def handing_out(self, client: Relayed, task_id: str) -> Poured:
        """Return the response that hands a result out.

        Raises `CallError` if there is none, and if that cannot be told.
        """
        async with AsyncExitStack() as held:
            result = await held.enter_async_context(self._turn(task_id))
            fetching = held.enter_context(
                closing(client.tasks.fetch(task_id, acknowledge=False))
            )
            content_type = await fetching.begin()

            async def pour(outlet: Outlet) -> None:
                await _pour(outlet, fetching)
                # Its end is what tells that it is whole: from then on it is not there twice.
                await asyncio.shield(_take(client, task_id, result))

            return Poured(pour, content_type, _HEADERS, held.pop_all())

    @asynccontextmanager
    async def _turn(self, task_id: str) -> AsyncGenerator[_Result]:
        result = self._results.setdefault(task_id, _Result())
        result.fetchers += 1
        try:
            async with AsyncExitStack() as turn:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await turn.enter_async_context(result.turn)
                yield result
        finally:
            result.fetchers -= 1
            if not result.fetchers:
                del self._results[task_id]


async def _pour(outlet: Outlet, fetching: Fetching) -> None:
    async for piece in fetching:
        await outlet.write(piece)
    await outlet.flush()


async def _take(client: Relayed, task_id: str, result: _Result) -> None:
    """Remove a result for whoever has it. Raises `Unfinished` if that is somebody else."""
    if result.taken:
        raise Unfinished
    result.taken = True
    try:
        await client.tasks.acknowledge(task_id)
    except CallError as error:
        result.taken = False
        if not isinstance(error, FailedPrecondition):
            raise  # Else nobody asked for it to be delivered: it stays with its task.

"""The store: a result is handed out once. It is removed when its last byte has been handed over,
and stays if the client is cut off before.
"""

from __future__ import annotations

import asyncio
from typing import Final

from longshore.client import FailedPrecondition, Fetching, Relayed
from longshore.gateway.pouring import Outlet, Poured

_HEADERS: Final = {"cache-control": "no-store"}


async def handing_out(client: Relayed, task_id: str) -> Poured:
    """Return the response that hands a result out.

    Raises `CallError` if there is none, and if that cannot be told.
    """
    fetching = client.tasks.fetch(task_id, acknowledge=False)
    try:
        content_type = await fetching.begin()
    except BaseException:
        fetching.close()
        raise

    async def pour(outlet: Outlet) -> None:
        await _pour(outlet, fetching)
        # Its end is what tells the client that it has all: from then on it is not there twice.
        await asyncio.shield(_acknowledged(client, task_id))

    return Poured(pour, content_type, _HEADERS)


async def _pour(outlet: Outlet, fetching: Fetching) -> None:
    async with fetching:
        async for piece in fetching:
            await outlet.write(piece)
        await outlet.flush()


async def _acknowledged(client: Relayed, task_id: str) -> None:
    try:
        await client.tasks.acknowledge(task_id)
    except FailedPrecondition:
        return  # Nobody asked for it to be delivered: it stays with its task.

"""A bridge from decisions, which are plain functions, to a database that is awaited.

A decision runs in a greenlet. When it must read what was not read beforehand, it switches to
the event loop's side, which awaits the answer and switches back. So `core` stays free of
asyncio, and nothing of it needs to know how far away the rows are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

from longshore.core.operations import Operation
from longshore.stores.postgres.connections import Connection, Row
from longshore.stores.postgres.values import operation_of

_T = TypeVar("_T")


async def run(function: Callable[[], _T]) -> _T:
    """Return what a function returns that may call `wait_for`."""
    side = greenlet(function)
    asked = side.switch()
    while not side.dead:
        try:
            answer = await cast("Awaitable[Any]", asked)
        except BaseException as error:  # noqa: BLE001  The function decides what it means.
            asked = side.throw(error)
        else:
            asked = side.switch(answer)
    return cast("_T", asked)


def wait_for(awaitable: Awaitable[_T]) -> _T:
    """Return what is awaited meanwhile. To be called within `run` only."""
    waiting = getcurrent().parent
    assert waiting is not None, "nobody runs the event loop for this function"
    return cast("_T", waiting.switch(awaitable))


class Reader:
    """Reads on a connection without awaiting. To be used within `run` only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """Return the rows of a query. Raises asyncpg's errors."""
        return wait_for(self._connection.fetch(sql, *parameters))

    def fetch_one(self, sql: str, *parameters: Any) -> Any:
        """Return the first row of a query, or None."""
        rows = self.fetch(sql, *parameters)
        return rows[0] if rows else None

    def fetch_operations(self, sql: str, *parameters: Any) -> list[Operation]:
        """Return the operations of a query's rows, which begin with the columns `OPERATION`."""
        return [operation_of(row) for row in self.fetch(sql, *parameters)]

"""Scripts: several writes sent as one statement, so that a batch takes one round trip."""

from __future__ import annotations

import functools
from typing import Any

from longshore.stores.postgres.connections import Connection


class Script:
    """Writes of which no two touch the same row: they all see what was before.

    Each is a statement with `{}` for every parameter.
    """

    def __init__(self) -> None:
        self._statements: list[str] = []
        self._parameters: list[Any] = []

    def add(self, statement: str, *parameters: Any) -> None:
        self._statements.append(statement)
        self._parameters += parameters

    async def send(self, connection: Connection) -> None:
        """Execute all of it. Raises asyncpg's errors."""
        if self._statements:
            await connection.execute(_as_one(tuple(self._statements)), *self._parameters)


@functools.lru_cache(maxsize=512)
def _as_one(statements: tuple[str, ...]) -> str:
    """Return one statement; that of a combination is always the same, so it is kept prepared."""
    *others, last = statements
    named = ", ".join(f"part_{at} AS ({statement})" for at, statement in enumerate(others))
    text = f"WITH {named} {last}" if named else last
    return text.format(*(f"${at}" for at in range(1, text.count("{}") + 1)))

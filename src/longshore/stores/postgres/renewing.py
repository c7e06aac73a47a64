"""Renewals: servers say that they are alive, and so are the workers whose streams they have.

All of it is by the clock of the database, so that clocks of servers may differ. Nobody is held
to be silent who could not be heard: after a pause in which no server was heard of everybody
gets as much time anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Final

from longshore.core.errors import StoreUnavailable
from longshore.core.store import Renewal
from longshore.stores.postgres.connections import Address, Connection, Writing, translated

#: What is lost with a crash need not be on disk.
_BEGIN: Final = """
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = '5s';
    SET LOCAL lock_timeout = '5s';
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SET LOCAL synchronous_commit = off
"""
_NOW: Final = """
    SELECT coalesce($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), time FROM head
"""
#: The row that all servers write comes first: so they write one after another.
_RENEW_ALL: Final = """
    INSERT INTO heartbeats AS latest (session, time, since) VALUES (0, $1, $1)
    ON CONFLICT (session) DO UPDATE SET time = $1,
        since = CASE WHEN $1 - latest.time > $2 THEN $1 ELSE least(latest.since, $1) END
    RETURNING since
"""
_RENEW_SERVER: Final = """
    INSERT INTO servers (id, time) VALUES ($2, $1) ON CONFLICT (id) DO UPDATE SET time = $1
"""
_RENEW_SESSIONS: Final = """
    INSERT INTO heartbeats (session, time, since)
    SELECT number, $1, $1 FROM sessions
    WHERE number = ANY($2::bigint[]) AND NOT ended ORDER BY number
    ON CONFLICT (session) DO UPDATE SET time = $1
"""
#: Servers that have gone without a word are forgotten in the end.
_FORGET: Final = "DELETE FROM servers WHERE time < $1 - 10 * $2::bigint"
#: A server may have renewed a session in the moment in which it ended.
_FORGET_ENDED: Final = """
    DELETE FROM heartbeats WHERE session > 0 AND time < $1 - 10 * $2::bigint AND NOT EXISTS (
        SELECT FROM sessions WHERE number = heartbeats.session AND NOT ended
    )
"""
_OTHERS: Final = "SELECT count(*) FROM servers WHERE id <> $1 AND time >= $2"
_SILENT: Final = """
    SELECT number, epoch FROM sessions LEFT JOIN heartbeats ON session = number
    WHERE NOT ended AND number <> ALL($1::bigint[]) AND coalesce(heartbeats.time, open_time) < $2
    ORDER BY number
"""
_LEAVE: Final = "DELETE FROM servers WHERE id = $1"


class Renewer:
    """Renews on a connection of its own: batches may take long, and beats may not wait."""

    def __init__(self, address: Address, clock: Callable[[], int] | None) -> None:
        self._writing = Writing(address)
        self._clock = clock
        self._id = os.urandom(16)

    async def renew(self, live: Sequence[int], silent_ms: int) -> Renewal:
        """Say that this server and some sessions are alive; return who is silent.

        Raises `StoreUnavailable`.
        """
        with translated():
            connection = await self._writing.connection()
            try:
                await connection.execute(_BEGIN)
                renewal = await self._renew(live, silent_ms, connection)
                await connection.execute("COMMIT")
            except BaseException:
                self._writing.drop()
                raise
        return renewal

    async def _renew(
        self, live: Sequence[int], silent_ms: int, connection: Connection
    ) -> Renewal:
        told = None if self._clock is None else self._clock()
        ((now, latest),) = await connection.fetch(_NOW, told)
        since = await connection.fetchval(_RENEW_ALL, now, silent_ms)
        await connection.execute(_RENEW_SERVER, now, self._id)
        await connection.execute(_FORGET, now, silent_ms)
        await connection.execute(_FORGET_ENDED, now, silent_ms)
        if live:
            await connection.execute(_RENEW_SESSIONS, now, live)
        others = await connection.fetchval(_OTHERS, self._id, now - silent_ms)
        silent: list[tuple[int, int]] = []
        if now - since >= silent_ms:
            rows = await connection.fetch(_SILENT, live, now - silent_ms)
            silent = [(number, epoch) for number, epoch in rows]
        return Renewal(now if told is not None else max(now, latest), others, silent)

    async def close(self) -> None:
        """Tell the others that this server has gone, if they have heard of it."""
        if self._writing.pid is None:
            return
        with contextlib.suppress(StoreUnavailable), translated():
            connection = await self._writing.connection()
            async with connection.transaction():
                await connection.execute(_LEAVE, self._id)
        await self._writing.close()

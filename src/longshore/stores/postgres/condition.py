"""How a database is: its schema, how much is in it, and who keeps it from being tidied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from longshore.stores.condition import Condition
from longshore.stores.copying import UNFINISHED
from longshore.stores.postgres import migrating
from longshore.stores.postgres.connections import (
    Address,
    AnyConnection,
    Row,
    connect,
    translated,
)
from longshore.stores.postgres.copying import is_unfinished

#: A transaction that is older is open for no reason of ours: reads take 30 s at most.
OLD_SECONDS: Final = 60
#: Others' sessions may hide since when they are open; then this many transactions are many.
OLD_TRANSACTIONS: Final = 10_000
_MOST: Final = 10  #: Warnings at once.

#: Whoever sees the rows of this database as they were once. Snapshots of other databases do no
#: harm here, nor do those of vacuuming itself.
_HOLDERS: Final = f"""
    SELECT * FROM (
        SELECT 'session' AS sort, pid::text AS name, usename::text AS who, application_name,
            state, extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds,
            greatest(age(backend_xmin), age(backend_xid)) AS transactions
        FROM pg_stat_activity
        WHERE (datname = current_database() OR datid IS NULL) AND pid <> pg_backend_pid()
            AND coalesce(backend_type, '') NOT LIKE 'autovacuum%'
            AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
            AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)
        UNION ALL
        SELECT 'prepared', gid, owner::text, '', '',
            extract(epoch FROM clock_timestamp() - prepared)::bigint, age(transaction)
        FROM pg_prepared_xacts WHERE database = current_database()
        UNION ALL
        SELECT 'slot', slot_name::text, '', '', '', NULL, age(xmin)
        FROM pg_replication_slots WHERE xmin IS NOT NULL AND active_pid IS NULL
    ) AS holders
    WHERE seconds >= $1
        OR seconds IS NULL AND transactions > $2
    ORDER BY transactions DESC, name LIMIT {_MOST}
"""
_REVISION: Final = "SELECT revision FROM head"
_COUNTS: Final = """
    SELECT kind, state, sum(count)::bigint FROM counts
    GROUP BY kind, state HAVING sum(count) > 0 ORDER BY kind, state
"""
_SIZE: Final = "SELECT pg_database_size(current_database())"


async def condition(url: str) -> Condition:
    """Return how a database is, without changing it. Raises `StoreUnavailable`."""
    connection = await connect(Address.parse(url))
    try:
        with translated():
            return await _read(connection)
    finally:
        connection.terminate()


async def _read(connection: AnyConnection) -> Condition:
    applied, pending = await migrating.status(connection)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        size = int(await connection.fetchval(_SIZE))
        if not applied:
            return Condition(applied, pending, size)
        unfinished = [UNFINISHED] if await is_unfinished(connection) else []
        return Condition(
            applied,
            pending,
            size,
            int(await connection.fetchval(_REVISION)),
            {(kind, state): count for kind, state, count in await connection.fetch(_COUNTS)},
            [*unfinished, *await warnings(connection)],
        )


async def warnings(connection: AnyConnection) -> Sequence[str]:
    """Return who keeps rows from being removed that nobody needs any more, in sentences."""
    return [
        _warning(row) for row in await connection.fetch(_HOLDERS, OLD_SECONDS, OLD_TRANSACTIONS)
    ]


def _warning(row: Row) -> str:
    seconds, transactions = row["seconds"], row["transactions"]
    how_long = f"{transactions} transactions" if seconds is None else _span(seconds)
    return (
        f"{_HOLDER[row['sort']].format(**dict(row))} has kept the database from being tidied for "
        f"{how_long}: everything becomes slower until it is ended"
    )


_HOLDER: Final = {
    "session": "a transaction of {who!r} (process {name}, {application_name!r}, {state})",
    "prepared": "the prepared transaction {name!r} of {who!r}",
    "slot": "the replication slot {name!r}, which nobody reads,",
}


def _span(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds < 7_200 else f"{seconds // 3_600} h"

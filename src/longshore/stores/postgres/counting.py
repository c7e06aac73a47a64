"""Counts: how many operations there are, from the table that every batch keeps level."""

from __future__ import annotations

from typing import Final

import asyncpg

from longshore.core.installation import RESERVED_QUEUES
from longshore.core.limits import PRIORITY_HIGHEST
from longshore.core.store import Counts
from longshore.stores import scanning
from longshore.stores.postgres.connections import AnyConnection
from longshore.stores.postgres.where import Sql

_COUNTS: Final = """
    SELECT queue, kind, state, sum(count)::bigint
    FROM counts JOIN lanes ON lanes.number = counts.lane
    WHERE tenant = $1 AND NOT starts_with(queue, $2)
    GROUP BY queue, kind, state HAVING sum(count) > 0
"""
_TOTAL: Final = """
    SELECT coalesce(sum(count), 0)::bigint
    FROM counts JOIN lanes ON lanes.number = counts.lane
    WHERE tenant = $1 AND ($2::int IS NULL OR kind = $2) AND ($3 OR NOT starts_with(queue, $4))
"""
#: Of one priority the first to start is the oldest, unless somebody moved it.
_OLDEST: Final = f"""
    SELECT queue, min(first.create_time)
    FROM lanes CROSS JOIN generate_series(0, {PRIORITY_HIGHEST}) AS rank CROSS JOIN LATERAL (
        SELECT create_time FROM operations
        WHERE lane = lanes.number AND priority = rank AND state = 2 AND wake_time IS NULL
        ORDER BY position LIMIT 1
    ) AS first
    WHERE tenant = $1 AND NOT starts_with(queue, $2) GROUP BY queue
"""


async def counts(tenant: str, connection: AnyConnection) -> Counts:
    """Return how many operations a tenant has, and how long its queues have waited."""
    rows = await connection.fetch(_COUNTS, tenant, RESERVED_QUEUES)
    oldest = await connection.fetch(_OLDEST, tenant, RESERVED_QUEUES)
    return Counts(
        {(queue, kind, state): count for queue, kind, state, count in rows},
        {row["queue"]: row["min"] for row in oldest},
    )


async def total(
    tenant: str, kind: int | None, connection: AnyConnection, *, reserved: bool
) -> int:
    """Return how many operations a list of everything has."""
    return int(await connection.fetchval(_TOTAL, tenant, kind, reserved, RESERVED_QUEUES))


async def count_in_time(connection: AnyConnection, query: Sql) -> int | None:
    """Return the number that a query gives, or None if it takes too long.

    Then its snapshot is over as well: it must be the last that is asked.
    """
    milliseconds = max(1, round(scanning.SCAN_SECONDS * 1_000))  # 0 would be without an end.
    await connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
    try:
        return int(await connection.fetchval(query.numbered, *query.parameters))
    except asyncpg.QueryCanceledError:
        return None

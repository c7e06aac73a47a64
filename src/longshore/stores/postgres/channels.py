"""Channels: what has ended and waits until its result is acknowledged."""

from __future__ import annotations

import math
from typing import Final

from longshore.core.store import Channel
from longshore.stores.postgres.connections import AnyConnection

_CHANNEL: Final = """
    SELECT revision, number, (
        SELECT sum(octet_length(data)) FROM documents
        WHERE documents.number = channels.number
    ) FROM channels
    WHERE tenant = $1 AND stream = $2 AND revision > $3 AND end_time >= $4
    ORDER BY revision LIMIT $5
"""
#: The last of those that are left out because too many are newer.
_BEYOND: Final = """
    SELECT revision FROM channels WHERE tenant = $1 AND stream = $2
    ORDER BY revision DESC LIMIT 1 OFFSET $3
"""


async def arrivals(asked: Channel, connection: AnyConnection) -> list[tuple[int, int]]:
    """Return what waits in a channel; the connection is in a snapshot."""
    tenant, stream, after, limit, since, newest, room = asked
    if newest:
        beyond = await connection.fetchval(_BEYOND, tenant, stream, newest)
        after = max(after, beyond or 0)
    found: list[tuple[int, int]] = []
    left = math.inf if room is None else room
    for revision, number, size in await connection.fetch(
        _CHANNEL, tenant, stream, after, since, limit
    ):
        left -= size or 0
        if found and left < 0:
            break
        found.append((revision, number))
    return found

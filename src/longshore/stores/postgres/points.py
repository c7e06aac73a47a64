"""Point reads: operations by id or number, what stands before one, files by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from longshore.core.callers import Target
from longshore.core.files import File
from longshore.core.installation import RULESETS_QUEUE
from longshore.core.operations import Facts, Glance, Operation, Part, Record
from longshore.core.store import Attendance, Standing
from longshore.stores.postgres.connections import AnyConnection, Readers
from longshore.stores.postgres.files import TAKEN
from longshore.stores.postgres.values import FACTS, KEPT, NO_DOCUMENTS, OPERATION, record_of

_BY_NUMBER: Final = "operations.number = ANY($2::bigint[])"
_BY_ID: Final = "operations.id = ANY($3::bytea[])"
#: Both parameters are named whatever is asked for, so that each has its place.
_NO_NUMBERS: Final = "$2::bigint[] IS NOT NULL"
_NO_IDS: Final = "$3::bytea[] IS NOT NULL"

_LANES: Final = "operations JOIN lanes ON lanes.number = operations.lane"
#: One statement is one snapshot, and one way to the database and back.
_DOCUMENTS: Final = f"""
    LEFT JOIN LATERAL (
        SELECT array_agg(part) AS parts, array_agg(data) AS texts FROM documents
        WHERE documents.number = operations.number
            AND (part = ANY($4::int[]) OR $5::boolean AND part >= {Part.STEPS:d})
    ) AS kept ON TRUE
"""
_RECORD: Final = f"SELECT {OPERATION}, {FACTS}, lanes.queue"
_GLANCE: Final = f"SELECT {', '.join(Glance._fields)} FROM operations"
_QUEUE: Final = len(Operation._fields) + len(Facts._fields)

_LANES_OF_QUEUE: Final = """
    SELECT array_agg(number) FROM lanes WHERE (tenant, queue) = (
        SELECT tenant, queue FROM lanes WHERE number = $1
    )
"""
#: Two ranges of each lane's index: higher priorities, then earlier places of the same one.
_AHEAD: Final = """
    SELECT count(*) FROM (
        SELECT 1 FROM operations
        WHERE lane = ANY($1) AND state = 2 AND wake_time IS NULL AND priority > $2
        UNION ALL
        SELECT 1 FROM operations
        WHERE lane = ANY($1) AND state = 2 AND wake_time IS NULL AND priority = $2
            AND position <= $3 AND (position < $3 OR number < $4)
        LIMIT $5
    ) AS ahead
"""
#: All tenants share the limit of the queue of rule sets.
_RUNNING_IN: Final = """
    SELECT coalesce(sum(count), 0)::bigint FROM counts WHERE state = 3 AND (
        lane = ANY($1) OR lane IN (
            SELECT number FROM lanes WHERE queue = $3 AND queue = (
                SELECT queue FROM lanes WHERE number = $2
            )
        )
    )
"""
_HOLDERS: Final = """
    SELECT id FROM operations
    WHERE session IS NOT NULL AND tenant = $1 AND lane = ANY($2) LIMIT 10
"""
_WITH_KEY: Final = """
    FROM operations
    WHERE tenant = $1 AND concurrency_key IS NOT NULL AND concurrency_key = $2
        AND session IS NOT NULL
"""
_KEY_RUNNING: Final = f"SELECT count(*) {_WITH_KEY}"
_KEY_HOLDERS: Final = f"SELECT id {_WITH_KEY} LIMIT 10"
_ATTENDANCE: Final = """
    SELECT asked, (SELECT count(*) FROM operations WHERE operations.session = asked),
        heartbeats.since, heartbeats.time
    FROM unnest($1::bigint[]) AS asked LEFT JOIN heartbeats ON heartbeats.session = asked
"""
_FILES: Final = f"""
    SELECT {", ".join(File._fields)} FROM files
    WHERE tenant = $1 AND id = ANY($2::bytea[])
        AND (expire_time IS NULL OR expire_time > $3 OR {TAKEN})
"""


async def get(
    tenant: str, targets: Sequence[Target], parts: Sequence[int], readers: Readers
) -> list[Record | None]:
    """Return records in the order asked for."""
    numbers, ids = _by_kind(targets)
    condition = _condition(numbers, ids)
    if not parts:
        sql = f"{_RECORD} FROM {_LANES} {condition}"
        rows = await readers.fetch(sql, tenant, numbers, ids)
        records = [record_of(row, row[_QUEUE], NO_DOCUMENTS) for row in rows]
    else:
        sql = f"{_RECORD}, kept.parts, kept.texts FROM {_LANES} {_DOCUMENTS} {condition}"
        steps = Part.STEPS in parts
        rows = await readers.fetch(sql, tenant, numbers, ids, list(map(int, parts)), steps)
        records = [record_of(row, row[_QUEUE], _documents(*row[_QUEUE + 1 :])) for row in rows]
    found: dict[Target, Record] = {}
    if numbers:
        found = {record.operation.number: record for record in records}
    if ids:
        found.update({record.operation.id: record for record in records})
    return list(map(found.get, targets))


def _documents(parts: Sequence[int] | None, texts: Sequence[bytes]) -> dict[int, bytes]:
    return NO_DOCUMENTS if parts is None else dict(zip(parts, texts, strict=True))


async def glance(
    tenant: str, targets: Sequence[Target], readers: Readers
) -> list[Glance | None]:
    """Return how operations stand, in the order asked for."""
    numbers, ids = _by_kind(targets)
    sql = f"{_GLANCE} {_condition(numbers, ids)}"
    glances = list(map(Glance._make, await readers.fetch(sql, tenant, numbers, ids)))
    found: dict[Target, Glance] = {}
    if numbers:
        found = {one.number: one for one in glances}
    if ids:
        found.update({one.id: one for one in glances})
    return list(map(found.get, targets))


def _by_kind(targets: Sequence[Target]) -> tuple[list[int], list[bytes]]:
    """Return the numbers and the ids among what was asked for."""
    numbers = [target for target in targets if isinstance(target, int)]
    return numbers, [target for target in targets if not isinstance(target, int)]


def _condition(numbers: Sequence[int], ids: Sequence[bytes]) -> str:
    """Return the condition on the tables, which names an index only if it is needed."""
    if not ids:
        named = f"{_BY_NUMBER} AND {_NO_IDS}"
    elif not numbers:
        named = f"{_BY_ID} AND {_NO_NUMBERS}"
    else:
        named = f"({_BY_NUMBER} OR {_BY_ID})"
    return f"WHERE operations.tenant = $1 AND {KEPT} AND {named}"


async def standing(operation: Operation, most: int, connection: AnyConnection) -> Standing:
    """Return what an operation waits for, counting those before it to `most`."""
    tenant, key = operation.tenant, operation.concurrency_key
    lanes = await connection.fetchval(_LANES_OF_QUEUE, operation.lane)
    place = (operation.priority, operation.position, operation.number)
    return Standing(
        await connection.fetchval(_AHEAD, lanes, *place, most),
        await connection.fetchval(_RUNNING_IN, lanes, operation.lane, RULESETS_QUEUE),
        await _ids(connection, _HOLDERS, tenant, lanes),
        await connection.fetchval(_KEY_RUNNING, tenant, key),
        await _ids(connection, _KEY_HOLDERS, tenant, key),
    )


async def _ids(connection: AnyConnection, sql: str, *parameters: Any) -> list[bytes]:
    return [id_ for (id_,) in await connection.fetch(sql, *parameters)]


async def files(
    tenant: str, ids: Sequence[bytes], now: int, readers: Readers
) -> list[File | None]:
    """Return files in the order asked for."""
    rows = await readers.fetch(_FILES, tenant, ids, now)
    found = {file.id: file for file in map(File._make, rows)}
    return [found.get(one) for one in ids]


async def attendance(sessions: Sequence[int], readers: Readers) -> dict[int, Attendance]:
    """Return by session how many leases it holds, and since when and when it was heard of."""
    rows = await readers.fetch(_ATTENDANCE, sessions)
    return {session: Attendance(*known) for session, *known in rows}

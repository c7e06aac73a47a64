"""The small state that every batch starts from: how it is kept and how it is found again.

Several servers write, one at a time. Each keeps the small state in memory and, when another
has committed since, reads again what that has changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from longshore.core.batch import Batch
from longshore.core.changes import Mode
from longshore.core.installation import Queue
from longshore.core.lanes import Lane, Session
from longshore.core.operations import PARKED
from longshore.core.rows import Head
from longshore.stores.postgres.connections import Connection, Row
from longshore.stores.postgres.installation import upsert
from longshore.stores.postgres.listening import CHANNEL
from longshore.stores.postgres.script import Script


class Tip(NamedTuple):
    """The row `head`, and what its clock says."""

    version: int
    time: int  #: Milliseconds since 1970; the latest that any batch has had.
    revision: int
    compacted: int
    last_number: int
    last_session: int
    last_template: int
    mode: int
    resume_on_restart: bool
    forgotten: int
    lanes_changed: int
    sessions_changed: int
    queues_changed: int
    circles_changed: int
    now: int  #: Milliseconds since 1970, by the clock of the database.


_COLUMNS: Final = ", ".join(Tip._fields[:-1])
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_TIP: Final = f"SELECT {_COLUMNS}, {_NOW} FROM head"
#: The clock is read once the row is locked, not before.
_LOCK: Final = f"SELECT {_COLUMNS}, {_NOW} FROM (SELECT * FROM head FOR UPDATE) AS locked"

_LANES: Final = "SELECT number, tenant, queue, actions FROM lanes"
_SESSIONS: Final = f"SELECT {', '.join(Session._fields)}, ended FROM sessions"
_QUEUES: Final = 'SELECT tenant, name, paused_by, pause_time, "limit" FROM queues'
_CIRCLES: Final = "SELECT tenant, queue, priority, plain FROM circles"
_SINCE: Final = "WHERE changed > $1"
#: When something is due, and one probe of the index per lane, however many wait in it.
_WAITING: Final = f"""
    SELECT least(
        (SELECT min(wake_time) FROM operations WHERE wake_time < {PARKED} AND state < 4),
        (SELECT min(wake_time) FROM operations WHERE state >= 4)
    ), ARRAY(
        SELECT number FROM lanes CROSS JOIN LATERAL (
            SELECT FROM operations
            WHERE lane = lanes.number AND state = 2 AND wake_time IS NULL
            ORDER BY priority DESC, position LIMIT 1
        ) AS waiting
    )
"""

_INSERT_LANE: Final = """
    INSERT INTO lanes (number, tenant, queue, actions, changed) VALUES ($1, $2, $3, $4, $5)
"""
_PUT_SESSION: Final = upsert(
    "sessions", ("number",), (*Session._fields[1:], "ended", "changed")
)
#: Whoever opens a session, or takes one up again, is heard of. Who writes for all waits for
#: no heartbeat that somebody else holds, which is one that is being renewed.
_HEARTBEAT: Final = "(SELECT session FROM heartbeats WHERE session = $1 FOR UPDATE SKIP LOCKED)"
_HEAR: Final = f"""
    WITH heard AS (
        UPDATE heartbeats SET time = $2, since = $2 WHERE session = {_HEARTBEAT}
    )
    INSERT INTO heartbeats (session, time, since) SELECT $1, $2, $2
    WHERE NOT EXISTS (SELECT FROM heartbeats WHERE session = $1) ON CONFLICT DO NOTHING
"""
_END_SESSION: Final = "UPDATE sessions SET ended = TRUE, changed = $2 WHERE number = $1"
_FORGET: Final = f"DELETE FROM heartbeats WHERE session = {_HEARTBEAT}"
_PUT_CIRCLE: Final = upsert("circles", ("tenant", "queue", "priority"), ("plain", "changed"))

#: Rows of ended sessions are kept for so many commits.
_REMEMBERED: Final = 10_000
_FORGET_SESSIONS: Final = "DELETE FROM sessions WHERE ended AND changed <= $1"

#: What of the small state a batch has changed, by column of `head`.
_PARTS: Final[Mapping[str, Callable[[Batch], object]]] = {
    "lanes_changed": lambda batch: batch.lanes.new,
    "sessions_changed": lambda batch: batch.sessions,
    "queues_changed": lambda batch: batch.installation.queues,
    "circles_changed": lambda batch: batch.turns.circles,
    "services_changed": lambda batch: batch.installation.services,
    "contracts_changed": lambda batch: batch.installation.contracts,
    "schedules_changed": lambda batch: batch.installation.schedules,
}
_TOLD: Final = (*Tip._fields[: Tip._fields.index("lanes_changed")],)
_UPDATE: Final = f"""
    UPDATE head SET {", ".join(f"{name} = {{}}" for name in _TOLD)},
        {", ".join(f"{name} = greatest({name}, {{}})" for name in _PARTS)}
    RETURNING pg_notify('{CHANNEL}', {{}})
"""


def lane_of(row: Row) -> Lane:
    number, tenant, queue, actions = row
    return Lane(number, tenant, queue, tuple(json.loads(actions)))


def session_of(row: Row) -> Session:
    """Return the session of a row that begins with its columns."""
    kept = Session._make(row[: len(Session._fields)])
    queues, offers = json.loads(row["queues"]), json.loads(row["offers"])
    return kept._replace(queues=tuple(queues), offers=tuple(offers))


async def lock_tip(connection: Connection) -> Tip:
    """Keep all others from writing until this transaction ends."""
    (row,) = await connection.fetch(_LOCK)
    return Tip._make(row)


async def read_tip(connection: Connection) -> Tip:
    (row,) = await connection.fetch(_TIP)
    return Tip._make(row)


class Changed(NamedTuple):
    """What others have changed of the small state, or all of it."""

    lanes: list[Row]
    sessions: list[Row]
    queues: list[Row]
    circles: list[Row]
    next_wake: int | None
    open_lanes: set[int]


async def read_changed(version: int, tip: Tip, connection: Connection) -> Changed:
    """Read what has changed after a version. What is read is of the transaction's snapshot."""

    async def read(sql: str, changed: int) -> list[Row]:
        return await connection.fetch(f"{sql} {_SINCE}", version) if changed > version else []

    lanes = await read(_LANES, tip.lanes_changed)
    sessions = await read(_SESSIONS, tip.sessions_changed)
    queues = await read(_QUEUES, tip.queues_changed)
    circles = await read(_CIRCLES, tip.circles_changed)
    ((next_wake, open_lanes),) = await connection.fetch(_WAITING)
    return Changed(lanes, sessions, queues, circles, next_wake, set(open_lanes))


def take_over(changed: Changed, tip: Tip, head: Head) -> None:
    """Bring a head up to what was read."""
    head.revision, head.compacted = tip.revision, tip.compacted
    head.last_number, head.last_session = tip.last_number, tip.last_session
    head.last_template = tip.last_template
    head.mode, head.resume_on_restart = Mode(tip.mode), tip.resume_on_restart
    head.next_wake, head.open_lanes = changed.next_wake, changed.open_lanes
    for row in changed.lanes:
        head.lanes.add(lane_of(row))
    for row in changed.sessions:
        _take_session(row, head)
    for tenant, name, *queue in changed.queues:
        head.queues[tenant, name] = Queue(*queue)
    for tenant, queue, priority, plain in changed.circles:
        head.circles[tenant, queue, priority] = plain


def _take_session(row: Row, head: Head) -> None:
    session, ended = session_of(row), row["ended"]
    earlier = head.sessions.pop(session.number, None)
    if earlier is not None:
        head.lanes.forget(earlier)
    if not ended:
        head.sessions[session.number] = session


async def write_head(
    batch: Batch, tip: Tip, version: int, script: Script, connection: Connection
) -> None:
    """Write the lanes, sessions and circles that are new; add how far all has come."""
    lanes = [(*lane[:3], _encoded(lane.actions), version) for lane in batch.lanes.new]
    if lanes:
        await connection.executemany(_INSERT_LANE, lanes)
    if batch.sessions:
        await _write_sessions(batch, version, connection)
    circles = [(*at, plain, version) for at, plain in batch.turns.circles.items()]
    if circles:
        await connection.executemany(_PUT_CIRCLE, circles)
    forgotten = tip.forgotten
    if batch.compacted != batch.head.compacted:
        forgotten = max(forgotten, version - _REMEMBERED)
        await connection.execute(_FORGET_SESSIONS, forgotten)
    told = (
        version,
        max(batch.now, tip.time),
        batch.revision,
        batch.compacted,
        batch.last_number,
        batch.last_session,
        batch.last_template,
        int(batch.mode),
        batch.resume_on_restart,
        forgotten,
    )
    changed = (version if part(batch) else 0 for part in _PARTS.values())
    script.add(_UPDATE, *told, *changed, str(batch.revision))


async def _write_sessions(batch: Batch, version: int, connection: Connection) -> None:
    # In their order, as heartbeats are written: whoever waits for another then waits for an end.
    for number, session in sorted(batch.sessions.items(), key=itemgetter(0)):
        if session is None:
            await connection.execute(_END_SESSION, number, version)
            await connection.execute(_FORGET, number)
            continue
        lists = {"queues": _encoded(session.queues), "offers": _encoded(session.offers)}
        row = {**session._asdict(), **lists}
        await connection.execute(_PUT_SESSION, *row.values(), False, version)
        await connection.execute(_HEAR, number, batch.now)


def _encoded(texts: Sequence[str]) -> str:
    return json.dumps(texts, ensure_ascii=False)

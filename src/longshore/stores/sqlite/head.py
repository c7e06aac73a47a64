"""The small state that every batch starts from: how it is kept and how it is found again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from sqlite_utils import Database

from longshore.core.batch import Batch
from longshore.core.changes import Mode
from longshore.core.lanes import Lane, LaneBook, Session
from longshore.core.rows import Head
from longshore.stores.sqlite import installation
from longshore.stores.sqlite.rows import NEXT_WAKE

_HEAD: Final = (
    "SELECT revision, compacted, last_number, last_session, last_template, mode, "
    "resume_on_restart FROM head"
)
_UPDATE_HEAD: Final = """
    UPDATE head SET revision = ?, compacted = ?, last_number = ?, last_session = ?,
        last_template = ?, mode = ?,
        resume_on_restart = ?
"""
#: One probe of the index per lane, however many operations wait in it.
_OPEN_LANES: Final = """
    SELECT number FROM lanes WHERE EXISTS (
        SELECT 1 FROM operations
        WHERE lane = lanes.number AND state = 2 AND wake_time IS NULL
    )
"""
_CIRCLES: Final = "SELECT tenant, queue, priority, plain FROM circles"


def load_head(connection: sqlite3.Connection) -> Head:
    """Return what the latest commit left behind."""
    revision, compacted, *last, mode, resume = connection.execute(_HEAD).fetchone()
    last_number, last_session, last_template = last
    return Head(
        revision=revision,
        compacted=compacted,
        last_number=last_number,
        last_session=last_session,
        last_template=last_template,
        mode=Mode(mode),
        resume_on_restart=bool(resume),
        next_wake=connection.execute(NEXT_WAKE, (0,)).fetchone()[0],
        lanes=LaneBook(read_lanes(connection).values()),
        sessions=read_sessions(connection),
        queues=installation.queues(connection),
        circles={
            (tenant, queue, priority): plain
            for tenant, queue, priority, plain in connection.execute(_CIRCLES)
        },
        open_lanes={number for (number,) in connection.execute(_OPEN_LANES)},
    )


def read_lanes(connection: sqlite3.Connection) -> dict[int, Lane]:
    """Return all lanes by number."""
    rows = connection.execute("SELECT number, tenant, queue, actions FROM lanes")
    return {
        number: Lane(number, tenant, queue, tuple(json.loads(actions)))
        for number, tenant, queue, actions in rows
    }


def read_sessions(connection: sqlite3.Connection) -> dict[int, Session]:
    """Return the sessions that have not ended, by number."""
    rows = connection.execute(f"SELECT {', '.join(Session._fields)} FROM sessions")
    return {row[0]: _session(row) for row in rows}


def _session(row: tuple[Any, ...]) -> Session:
    kept = Session._make(row)
    return kept._replace(queues=tuple(json.loads(row[5])), offers=tuple(json.loads(row[6])))


def write_head(batch: Batch, database: Database) -> None:
    """Write the lanes, sessions, services and circles that are new, and how far all has come."""
    for lane in batch.lanes.new:
        _upsert(database, "lanes", lane._asdict())
    for number, session in batch.sessions.items():
        if session is None:
            database.conn.execute("DELETE FROM sessions WHERE number = ?", (number,))
        else:
            _upsert(database, "sessions", session._asdict())
    for (tenant, slug), document in batch.installation.services.items():
        row = {"tenant": tenant, "slug": slug, "document": document}
        _upsert(database, "services", row)
    for (tenant, queue, priority), plain in batch.turns.circles.items():
        circle = {"tenant": tenant, "queue": queue, "priority": priority, "plain": plain}
        _upsert(database, "circles", circle)
    told = (
        batch.revision,
        batch.compacted,
        batch.last_number,
        batch.last_session,
        batch.last_template,
        int(batch.mode),
        int(batch.resume_on_restart),
    )
    database.conn.execute(_UPDATE_HEAD, told)


def _upsert(database: Database, table: str, row: Mapping[str, Any]) -> None:
    """Insert or update a row; sequences become JSON, and the primary key is the table's."""
    target = database.table(table)
    target.upsert(dict(row), pk=target.pks)

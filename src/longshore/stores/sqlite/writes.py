"""Writes what a batch has decided, in as few statements as there are tables.

sqlite3 binds exact `int`, `str` and `bytearray` directly, but looks for an adapter for
everything else, `None` and `bytes` and enums included, at half a microsecond each: that would
be half the time of a write. So unset values are bound as 0 or '' and become NULL by `nullif`,
and bytes travel as `bytearray`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from longshore.core import origins
from longshore.core.batch import Batch
from longshore.core.callers import Caller
from longshore.core.operations import Facts, Operation
from longshore.stores.sqlite.files import write_files

#: Events without an operation that one compaction removes at most.
_SYSTEM_EVENTS: Final = 5_000

_UNSET_NUMBER: Final = "nullif(?, 0)"
_UNSET_TEXT: Final = "nullif(?, '')"
_OPTIONAL: Final = {
    "session": _UNSET_NUMBER,
    "worker": _UNSET_TEXT,
    "wake_time": _UNSET_NUMBER,
    "start_time": _UNSET_NUMBER,
    "end_time": _UNSET_NUMBER,
    "policy": _UNSET_TEXT,
    "message": _UNSET_TEXT,
    "concurrency_key": _UNSET_TEXT,
    "traceparent": _UNSET_TEXT,
    "attributes": _UNSET_TEXT,
}
_CHANGING: Final = (
    "state",
    "lane",
    "priority",
    "position",
    "attempt",
    "step",
    "session",
    "worker",
    "token",
    "reports",
    "cancel",
    "wake_time",
    "revision",
    "start_time",
    "update_time",
    "end_time",
    "message",
)
_COLUMNS: Final = (*Operation._fields, *Facts._fields)

#: What an operation begins to have when it is leased or ended, and the keys that few have.
_LATER: Final = {
    "attempt",
    "step",
    "session",
    "worker",
    "token",
    "reports",
    "cancel",
    "start_time",
    "end_time",
    "message",
    "concurrency_key",
    "fairness_key",
}


def _insert(columns: Iterable[str]) -> str:
    names = list(columns)
    values = (_OPTIONAL.get(name, "?") for name in names)
    return f"INSERT INTO operations ({', '.join(names)}) VALUES ({', '.join(values)})"


_INSERT_OPERATION: Final = _insert(_COLUMNS)
_INSERT_FRESH: Final = _insert(name for name in _COLUMNS if name not in _LATER)
_UPDATE_OPERATION: Final = (
    "UPDATE operations SET "
    + ", ".join(f"{name} = {_OPTIONAL.get(name, '?')}" for name in _CHANGING)
    + " WHERE number = ?"
)
_UPDATE_FAIRNESS: Final = "UPDATE operations SET fairness_key = ? WHERE number = ?"
_PUT_DOCUMENT: Final = "INSERT OR REPLACE INTO documents (number, part, data) VALUES (?, ?, ?)"
_DROP_DOCUMENT: Final = "DELETE FROM documents WHERE number = ? AND part = ?"
_PUT_ARRIVAL: Final = (
    "INSERT OR REPLACE INTO channels (number, tenant, stream, revision, end_time) "
    "VALUES (?, ?, ?, ?, ?)"
)
_INSERT_EVENT: Final = (
    "INSERT INTO events (revision, number, kind, state, time, detail, origin) "
    f"VALUES (?, ?, ?, ?, ?, {_UNSET_TEXT}, {_UNSET_TEXT})"
)
_INSERT_KEY: Final = (
    "INSERT INTO keys (number, tenant, submitter, key, digest) VALUES (?, ?, ?, ?, ?)"
)
_COUNT: Final = """
    INSERT INTO counts (lane, kind, state, count) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_DELETE_SYSTEM_EVENTS: Final = """
    DELETE FROM events WHERE revision IN (
        SELECT revision FROM events WHERE number = 0 AND revision <= ?
        ORDER BY revision LIMIT ?
    )
"""


def write(batch: Batch, connection: sqlite3.Connection) -> None:
    """Write all rows that the batch has made, changed and removed."""
    _write_operations(batch, connection)
    documents = [
        (number, int(part), bytearray(data)) for (number, part), data in batch.documents.items()
    ]
    connection.executemany(_DROP_DOCUMENT, batch.dropped)
    connection.executemany(_PUT_DOCUMENT, documents)
    connection.executemany(_INSERT_EVENT, _event_rows(batch))
    _forget_expired(batch, connection)
    keys = [
        (keyed.number, *identity, bytearray(keyed.digest))
        for identity, keyed in batch.keys.items()
    ]
    connection.executemany(_INSERT_KEY, keys)
    _write_arrivals(batch, connection)
    write_files(batch.files, connection)
    _write_counts(batch, connection)
    _remove(batch, connection)


def _write_operations(batch: Batch, connection: sqlite3.Connection) -> None:
    created, operations = batch.created, batch.operations
    fresh: list[tuple[Any, ...]] = []
    new: list[tuple[Any, ...]] = []
    for number, facts in created.items():
        operation = operations[number]
        if (
            operation.attempt
            or operation.step
            or operation.ended
            or operation.concurrency_key is not None
            or operation.fairness_key is not None
        ):
            new.append(_new_row(operation, facts))
        else:
            fresh.append(_fresh_row(operation, facts))
    changed = [_changed_row(one) for one in operations.values() if one.number not in created]
    connection.executemany(_INSERT_FRESH, fresh)
    connection.executemany(_INSERT_OPERATION, new)
    connection.executemany(_UPDATE_OPERATION, changed)
    connection.executemany(_UPDATE_FAIRNESS, _changed_keys(batch))


def _changed_keys(batch: Batch) -> list[tuple[str | None, int]]:
    """Return fairness keys that differ: an unset one is bound as None, which takes long."""
    before = batch.before
    return [
        (one.fairness_key, number)
        for number, one in batch.operations.items()
        if number in before and one.fairness_key != before[number].fairness_key
    ]


def _fresh_row(operation: Operation, facts: Facts) -> tuple[Any, ...]:
    """Return the row of what waits or is held: half of the columns are as they are by default."""
    return (
        operation.number,
        bytearray(operation.id),
        operation.tenant,
        int(operation.kind),
        int(operation.state),
        operation.lane,
        operation.priority,
        operation.position,
        operation.steps,
        operation.wake_time or 0,
        operation.revision,
        operation.update_time,
        operation.policy or "",
        facts.submitter,
        facts.request_id,
        facts.create_time,
        facts.traceparent or "",
        facts.attributes or "",
    )


def _new_row(operation: Operation, facts: Facts) -> tuple[Any, ...]:
    return (
        operation.number,
        bytearray(operation.id),
        operation.tenant,
        int(operation.kind),
        int(operation.state),
        operation.lane,
        operation.priority,
        operation.position,
        operation.attempt,
        operation.step,
        operation.steps,
        operation.session or 0,
        operation.worker or "",
        operation.token,
        operation.reports,
        int(operation.cancel),
        operation.wake_time or 0,
        operation.revision,
        operation.start_time or 0,
        operation.update_time,
        operation.end_time or 0,
        operation.policy or "",
        operation.message or "",
        operation.concurrency_key or "",
        operation.fairness_key,
        facts.submitter,
        facts.request_id,
        facts.create_time,
        facts.traceparent or "",
        facts.attributes or "",
    )


def _changed_row(operation: Operation) -> tuple[Any, ...]:
    return (
        int(operation.state),
        operation.lane,
        operation.priority,
        operation.position,
        operation.attempt,
        operation.step,
        operation.session or 0,
        operation.worker or "",
        operation.token,
        operation.reports,
        int(operation.cancel),
        operation.wake_time or 0,
        operation.revision,
        operation.start_time or 0,
        operation.update_time,
        operation.end_time or 0,
        operation.message or "",
        operation.number,
    )


def _event_rows(batch: Batch) -> Iterator[tuple[Any, ...]]:
    latest: Caller | None = None
    origin = ""
    for event, caller in zip(batch.events, batch.origins, strict=True):
        if (
            caller is not latest
        ):  # One change may have many events, and one worker many changes.
            latest, origin = caller, origins.encode(caller)
        revision, number, kind, state, time, detail = event[:6]
        yield revision, number, int(kind), int(state), time, detail or "", origin


def _write_arrivals(batch: Batch, connection: sqlite3.Connection) -> None:
    arrivals = batch.arrivals
    gone = [(number,) for number, arrival in arrivals.items() if arrival is None]
    new = [(number, *one) for number, one in arrivals.items() if one is not None]
    connection.executemany("DELETE FROM channels WHERE number = ?", gone)
    connection.executemany(_PUT_ARRIVAL, new)


def _forget_expired(batch: Batch, connection: sqlite3.Connection) -> None:
    """Free what expired operations held; their rows stay until compaction."""
    expired = [(number,) for number in batch.expired]
    connection.executemany("DELETE FROM documents WHERE number = ?", expired)
    for table in ("keys", "uses", "channels"):
        connection.executemany(f"DELETE FROM {table} WHERE number = ?", expired)


def _remove(batch: Batch, connection: sqlite3.Connection) -> None:
    """Remove what compaction leaves no trace of."""
    removed = [(number,) for number in batch.removed]
    connection.executemany("DELETE FROM operations WHERE number = ?", removed)
    connection.executemany("DELETE FROM events WHERE number = ?", removed)
    if batch.removed or batch.compacted != batch.head.compacted:
        connection.execute(_DELETE_SYSTEM_EVENTS, (batch.compacted, _SYSTEM_EVENTS))


def _write_counts(batch: Batch, connection: sqlite3.Connection) -> None:
    # Counted by kind, state and lane, which stand side by side in the value.
    counts = Counter(one[3:6] for one in batch.operations.values())
    before = (batch.before.get(number) for number in batch.operations)
    counts.subtract(one[3:6] for one in before if one is not None)
    counts.subtract(batch.operations[number][3:6] for number in batch.expired)
    changed = [
        (lane, int(kind), int(state), count)
        for (kind, state, lane), count in counts.items()
        if count
    ]
    connection.executemany(_COUNT, changed)

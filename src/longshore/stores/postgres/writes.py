"""Writes what a batch has decided, as arrays: most batches take one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from longshore.core import origins
from longshore.core.batch import Batch
from longshore.core.callers import Caller
from longshore.core.operations import Facts, Operation
from longshore.stores.postgres.connections import Connection
from longshore.stores.postgres.script import Script
from longshore.stores.postgres.values import kept_text

#: Events without an operation that one compaction removes at most.
_SYSTEM_EVENTS: Final = 5_000

_TYPES: Final = {
    "id": "bytea",
    "tenant": "text",
    "kind": "smallint",
    "state": "smallint",
    "lane": "integer",
    "priority": "smallint",
    "attempt": "integer",
    "step": "integer",
    "steps": "integer",
    "worker": "text",
    "cancel": "smallint",
    "policy": "text",
    "message": "text",
    "concurrency_key": "text",
    "fairness_key": "text",
    "submitter": "text",
    "request_id": "text",
    "traceparent": "text",
    "attributes": "text",
}  #: Of the columns of operations; all others are `bigint`.

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
#: What never changes.
_FIXED: Final = {"number", "id", "tenant", "kind", "steps", "policy", "concurrency_key"}

#: Of what had ended before and is to be found no more, nothing else changes.
_EXPIRING: Final = ("revision", "wake_time")

_COLUMNS: Final = (*Operation._fields, *Facts._fields)
_FRESH: Final = tuple(name for name in _COLUMNS if name not in _LATER)
_CHANGING: Final = tuple(name for name in Operation._fields if name not in _FIXED)

_AT_FRESH: Final = tuple(_COLUMNS.index(name) for name in _FRESH)
_AT_EXPIRING: Final = tuple(_COLUMNS.index(name) for name in ("number", *_EXPIRING))
_AT_CHANGING: Final = tuple(Operation._fields.index(name) for name in _CHANGING)
_MESSAGE: Final = _COLUMNS.index("message")
_REQUEST_ID: Final = _COLUMNS.index("request_id")


def _arrays(names: Iterable[str]) -> str:
    """Return rows of arrays, in the order of the names."""
    arrays = (f"{{}}::{_TYPES.get(name, 'bigint')}[]" for name in names)
    return f"unnest({', '.join(arrays)})"


def _insert(names: Sequence[str]) -> str:
    return f"INSERT INTO operations ({', '.join(names)}) SELECT * FROM {_arrays(names)}"


_INSERT_OPERATIONS: Final = _insert(_COLUMNS)
_INSERT_FRESH: Final = _insert(_FRESH)


def _update(names: Sequence[str]) -> str:
    return (
        f"UPDATE operations SET {', '.join(f'{name} = changed.{name}' for name in names)} "
        f"FROM {_arrays(('number', *names))} AS changed (number, {', '.join(names)}) "
        "WHERE operations.number = changed.number"
    )


_UPDATE_OPERATIONS: Final = _update(_CHANGING)
_EXPIRE_OPERATIONS: Final = _update(_EXPIRING)
_INSERT_DOCUMENTS: Final = """
    INSERT INTO documents (number, part, data)
    SELECT * FROM unnest({}::bigint[], {}::integer[], {}::bytea[])
"""
_PUT_DOCUMENTS: Final = f"""
    {_INSERT_DOCUMENTS} ON CONFLICT (number, part) DO UPDATE SET data = excluded.data
"""
_DROP_DOCUMENTS: Final = """
    DELETE FROM documents USING unnest({}::bigint[], {}::integer[]) AS dropped (number, part)
    WHERE documents.number = dropped.number AND documents.part = dropped.part
"""
_INSERT_EVENTS: Final = """
    INSERT INTO events (revision, number, kind, state, time, detail, tenant, origin)
    SELECT * FROM unnest(
        {}::bigint[], {}::bigint[], {}::smallint[], {}::smallint[], {}::bigint[],
        {}::text[], {}::text[], {}::text[]
    )
"""
_INSERT_KEYS: Final = """
    INSERT INTO keys (tenant, submitter, key, number, digest)
    SELECT * FROM unnest({}::text[], {}::text[], {}::text[], {}::bigint[], {}::bytea[])
"""
_PUT_ARRIVALS: Final = """
    INSERT INTO channels (number, tenant, stream, revision, end_time)
    SELECT * FROM unnest({}::bigint[], {}::text[], {}::text[], {}::bigint[], {}::bigint[])
    ON CONFLICT (number) DO UPDATE SET
        stream = excluded.stream, revision = excluded.revision, end_time = excluded.end_time
"""
_DROP_ARRIVALS: Final = "DELETE FROM channels WHERE number = ANY({}::bigint[])"
_COUNT: Final = """
    INSERT INTO counts (lane, kind, state, count)
    SELECT * FROM unnest({}::integer[], {}::smallint[], {}::smallint[], {}::bigint[])
    ON CONFLICT (lane, kind, state) DO UPDATE SET count = counts.count + excluded.count
"""
_OF_NUMBERS: Final = "DELETE FROM {} WHERE number = ANY({{}}::bigint[])"
_FORGET_EXPIRED: Final = tuple(
    _OF_NUMBERS.format(table) for table in ("documents", "keys", "uses", "channels")
)
_REMOVE: Final = tuple(_OF_NUMBERS.format(table) for table in ("operations", "events"))
_REMOVE_SYSTEM_EVENTS: Final = """
    DELETE FROM events WHERE revision IN (
        SELECT revision FROM events WHERE number = 0 AND revision <= {}
        ORDER BY revision LIMIT {}
    )
"""


async def write(batch: Batch, script: Script, connection: Connection) -> None:
    """Add all rows that the batch has made and changed; remove at once what is to be removed."""
    await _remove(batch, connection)
    _add_operations(batch, script)
    _add_documents(batch, script)
    if batch.events:
        script.add(_INSERT_EVENTS, *_events(batch))
    if batch.keys:
        script.add(_INSERT_KEYS, *_keys(batch))
    _add_arrivals(batch, script)
    _add_counts(batch, script)


async def _remove(batch: Batch, connection: Connection) -> None:
    """Free what expired operations held, whose keys may be used anew by this very batch.

    Remove what compaction leaves no trace of.
    """
    removing = Script()
    if batch.expired:
        for statement in _FORGET_EXPIRED:
            removing.add(statement, batch.expired)
    if batch.removed:
        for statement in _REMOVE:
            removing.add(statement, batch.removed)
    if batch.removed or batch.compacted != batch.head.compacted:
        removing.add(_REMOVE_SYSTEM_EVENTS, batch.compacted, _SYSTEM_EVENTS)
    await removing.send(connection)


def _add_operations(batch: Batch, script: Script) -> None:
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
            new.append(operation + facts)
        else:
            fresh.append(operation + facts)
    if fresh:
        columns = _columns(fresh)
        script.add(_INSERT_FRESH, *(columns[at] for at in _AT_FRESH))
    if new:
        script.add(_INSERT_OPERATIONS, *_columns(new))
    expired = {number for number in batch.expired if _had_ended(number, batch)}
    if expired:
        columns = [*zip(*(operations[number] for number in expired), strict=True)]
        script.add(_EXPIRE_OPERATIONS, *(columns[at] for at in _AT_EXPIRING))
    others = created.keys() | expired
    changed = [one for number, one in operations.items() if number not in others]
    if changed:
        columns = _columns(changed)
        script.add(_UPDATE_OPERATIONS, columns[0], *(columns[at] for at in _AT_CHANGING))


def _had_ended(number: int, batch: Batch) -> bool:
    before = batch.before.get(number)
    return before is not None and before.ended


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[Sequence[Any]]:
    """Return the columns of operations, with or without their facts."""
    columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
    columns[_MESSAGE] = [one and kept_text(one) for one in columns[_MESSAGE]]
    if len(columns) > _REQUEST_ID:
        columns[_REQUEST_ID] = [kept_text(one) for one in columns[_REQUEST_ID]]
    return columns


def _add_documents(batch: Batch, script: Script) -> None:
    gone = set(batch.expired)
    new: list[tuple[int, int, bytes]] = []
    put: list[tuple[int, int, bytes]] = []
    for (number, part), data in batch.documents.items():
        if number in batch.created:
            if number not in gone:
                new.append((number, part, data))
        elif number not in gone:
            put.append((number, part, data))
    if new:
        script.add(_INSERT_DOCUMENTS, *zip(*new, strict=True))
    if put:
        script.add(_PUT_DOCUMENTS, *zip(*put, strict=True))
    dropped = batch.dropped - batch.documents.keys()
    if dropped:
        script.add(_DROP_DOCUMENTS, *zip(*dropped, strict=True))


def _events(batch: Batch) -> list[Sequence[Any]]:
    revisions, numbers, kinds, states, times, details, _, tenants, _ = zip(
        *batch.events, strict=True
    )
    own = [None if number else tenant for number, tenant in zip(numbers, tenants, strict=True)]
    return [revisions, numbers, kinds, states, times, details, own, _origins(batch)]


def _origins(batch: Batch) -> list[str | None]:
    encoded: list[str | None] = []
    latest: Caller | None = None
    origin: str | None = None
    for caller in batch.origins:
        if (
            caller is not latest
        ):  # One change may have many events, and one worker many changes.
            latest, origin = caller, origins.encode(caller) or None
        encoded.append(origin)
    return encoded


def _keys(batch: Batch) -> Iterable[Sequence[Any]]:
    rows = [(*map(kept_text, identity), *keyed) for identity, keyed in batch.keys.items()]
    return zip(*rows, strict=True)


def _add_arrivals(batch: Batch, script: Script) -> None:
    arrivals = batch.arrivals
    gone = [number for number, arrival in arrivals.items() if arrival is None]
    new = [(number, *one) for number, one in arrivals.items() if one is not None]
    if gone:
        script.add(_DROP_ARRIVALS, gone)
    if new:
        script.add(_PUT_ARRIVALS, *zip(*new, strict=True))


def _add_counts(batch: Batch, script: Script) -> None:
    # Counted by kind, state and lane, which stand side by side in the value.
    counts = Counter(one[3:6] for one in batch.operations.values())
    before = (batch.before.get(number) for number in batch.operations)
    counts.subtract(one[3:6] for one in before if one is not None)
    counts.subtract(batch.operations[number][3:6] for number in batch.expired)
    changed = [
        (lane, kind, state, count) for (kind, state, lane), count in counts.items() if count
    ]
    if changed:
        script.add(_COUNT, *zip(*changed, strict=True))

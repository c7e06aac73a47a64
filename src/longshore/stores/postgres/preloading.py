"""What a batch will read is read in bulk before: a few round trips instead of thousands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from longshore.core import policies
from longshore.core.batch import Batch
from longshore.core.changes import Change, Lease, Mode, Submit
from longshore.core.decide import wanted
from longshore.core.file_changes import KeepFile, OpenBlob
from longshore.core.operations import Operation, Part, plan_part
from longshore.core.reports import (
    Completed,
    Logged,
    Progressed,
    PropertySet,
    Report,
)
from longshore.core.rows import Circle
from longshore.stores.postgres.rows import PostgresRows

#: Heads that are read of each lane at least, if many lanes compete for few slots.
_HEADS_OF_A_LANE: Final = 8

#: What a report is added to.
_ADDED_TO: Final[dict[type, int]] = {
    Progressed: Part.ACTIVITY,
    Logged: Part.ACTIVITY,
    PropertySet: Part.PROPERTIES,
}


def preload(changes: Sequence[Change], batch: Batch, rows: PostgresRows) -> None:
    """Read what the changes will ask for. To be called within `bridge.run`."""
    needed = wanted(changes)
    batch.remember(rows.read_operations(needed.numbers, needed.ids))
    batch.remember(rows.read_keys(needed.keys))
    _preload_files(changes, rows)
    reports = [change for change in changes if type(change) is Report]
    if reports:
        _preload_reports(reports, batch, rows)
    heads: list[Operation] = []
    if batch.mode == Mode.ACTIVE:
        for change in changes:
            if type(change) is Lease:
                heads += _preload_heads(change, len(reports), batch, rows)
    _preload_leases([*batch.before.values(), *heads], rows)
    _preload_turns(changes, batch, rows)


def _preload_files(changes: Iterable[Change], rows: PostgresRows) -> None:
    files: list[bytes] = []
    blobs: list[bytes] = []
    for change in changes:
        if type(change) is Submit:
            files += change.files
        elif type(change) is KeepFile:
            blobs.append(change.file.blob)
        elif type(change) is OpenBlob and change.again:
            blobs.append(change.blob)
    rows.read_files(files)
    rows.read_blobs(blobs)


def _preload_reports(reports: Iterable[Report], batch: Batch, rows: PostgresRows) -> None:
    """Read the documents that reports are added to, and what follows the end of work."""
    parts: defaultdict[int, list[int]] = defaultdict(list)
    plans: defaultdict[int, list[int]] = defaultdict(list)
    called_back: list[int] = []
    for report in reports:
        number, body = report.number, report.body
        part = _ADDED_TO.get(type(body))
        if part is not None:
            parts[part].append(number)
        operation = batch.before.get(number)
        if operation is None or type(body) is not Completed:
            continue
        if operation.steps:
            plans[plan_part(operation.kind)].append(number)
            parts[Part.CONTEXT].append(number)
        _note_what_follows(operation, parts, called_back)
    for part, numbers in plans.items():
        rows.read_requests(numbers, part)
    for part, numbers in parts.items():
        batch.read_documents(dict.fromkeys(numbers), part)
    if called_back:
        rows.read_facts(called_back)


def _note_what_follows(
    operation: Operation, parts: defaultdict[int, list[int]], called_back: list[int]
) -> None:
    if operation.policy is None:
        return
    policy = policies.decode(operation.policy)
    if policy.delivery:
        parts[Part.DELIVERY].append(operation.number)
    if policy.callback:
        parts[Part.REQUEST].append(operation.number)
        called_back.append(operation.number)


def _preload_heads(
    change: Lease, reports: int, batch: Batch, rows: PostgresRows
) -> list[Operation]:
    """Read as many heads as may be leased, among them those for slots that become free."""
    head = batch.head
    free = reports
    lanes: set[int] = set()
    for grant in change.grants:
        session = head.sessions.get(grant.session)
        if session is not None and session.epoch == grant.epoch:
            free += grant.free
            lanes.update(head.lanes.served(session))
    lanes &= head.open_lanes
    if not lanes or free <= 0:
        return []
    share = 2 * free // len(lanes) if len(lanes) > 1 else free
    return rows.read_heads(sorted(lanes), max(share, _HEADS_OF_A_LANE))


def _preload_leases(operations: Iterable[Operation], rows: PostgresRows) -> None:
    """Read how many run with each key that will be asked for or given up."""
    keys = {
        (one.tenant, one.concurrency_key)
        for one in operations
        if one.concurrency_key is not None
    }
    if keys:
        rows.read_leases(sorted(keys))


def _preload_turns(changes: Iterable[Change], batch: Batch, rows: PostgresRows) -> None:
    """Read whose turn came last in each queue and priority where turns are given."""
    keys: defaultdict[Circle, set[str]] = defaultdict(set)
    for change in changes:
        if type(change) is Submit and (change.fairness_key or batch.head.circles):
            circle = (change.caller.tenant, change.queue, change.priority)
            keys[circle].add(change.fairness_key or "")
    for (tenant, queue, priority), named in keys.items():
        lanes = batch.lanes.in_queue(tenant, queue)
        if lanes:
            rows.read_turns(lanes, priority, sorted(named))

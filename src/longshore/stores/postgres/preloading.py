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
    if batch.mode == Mode.ACTIVE:
        for change in changes:
            if type(change) is Lease:
                _preload_heads(change, len(reports), batch, rows)


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


def _preload_heads(change: Lease, reports: int, batch: Batch, rows: PostgresRows) -> None:
    """Read as many heads as may be leased, among them those for slots that become free."""
    head = batch.head
    if not head.open_lanes:
        return
    free = 0
    lanes: set[int] = set()
    for grant in change.grants:
        session = head.sessions.get(grant.session)
        if session is not None and session.epoch == grant.epoch:
            free += grant.free
            lanes.update(head.lanes.served(session))
    lanes &= head.open_lanes
    if lanes and free + reports > 0:
        share = 2 * (free + reports) // len(lanes) if len(lanes) > 1 else free + reports
        rows.read_heads(sorted(lanes), max(share, _HEADS_OF_A_LANE))

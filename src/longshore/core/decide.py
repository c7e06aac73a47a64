"""Which decision each kind of change calls for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from longshore.core import (
    administration,
    catalog,
    concurrency,
    deliveries,
    ending,
    filing,
    launches,
    leasing,
    lifecycle,
    queues,
    reporting,
    sessions,
    submitting,
    waking,
)
from longshore.core.batch import Batch
from longshore.core.catalog_changes import (
    ApplyContract,
    ApplySchedule,
    DeleteContract,
    DeleteSchedule,
    DeregisterAccount,
    RegisterAccount,
    UpdateQueue,
)
from longshore.core.changes import (
    Acknowledge,
    Cancel,
    Change,
    CloseSession,
    Compact,
    Delete,
    ExpireSessions,
    FireSchedule,
    Lease,
    Move,
    MoveLaunches,
    OpenSession,
    OpenStream,
    Recall,
    Resubmit,
    Resume,
    SetMode,
    Submit,
    Suspend,
    Wake,
)
from longshore.core.errors import LongshoreError
from longshore.core.file_changes import DeleteFile, ForgetBlobs, KeepFile, OpenBlob, SweepFiles
from longshore.core.reports import Report

_DECISIONS: Final[dict[type, Callable[[Any, Batch], object]]] = {
    Submit: submitting.submit,
    Recall: submitting.recall,
    Cancel: lifecycle.cancel,
    Suspend: lifecycle.suspend,
    Resume: lifecycle.resume,
    Resubmit: submitting.resubmit,
    Move: queues.move,
    MoveLaunches: launches.move_launches,
    UpdateQueue: queues.update_queue,
    ApplyContract: catalog.apply_contract,
    DeleteContract: catalog.delete_contract,
    ApplySchedule: catalog.apply_schedule,
    DeleteSchedule: catalog.delete_schedule,
    FireSchedule: catalog.fire_schedule,
    RegisterAccount: catalog.register_account,
    DeregisterAccount: catalog.deregister_account,
    OpenSession: sessions.open_session,
    CloseSession: sessions.close_session,
    ExpireSessions: sessions.expire_sessions,
    Report: reporting.report,
    Lease: leasing.lease,
    Delete: ending.delete,
    Acknowledge: deliveries.acknowledge,
    OpenStream: administration.open_stream,
    OpenBlob: filing.open_blob,
    KeepFile: filing.keep_file,
    DeleteFile: filing.delete_file,
    SweepFiles: filing.sweep_files,
    ForgetBlobs: filing.forget_blobs,
    Wake: lambda _change, batch: waking.wake(batch),
    SetMode: administration.set_mode,
    Compact: administration.compact,
}


class Wanted(NamedTuple):
    """The operations and keys that changes name, so that a store can read them in bulk."""

    numbers: list[int]
    ids: list[bytes]
    keys: list[tuple[str, str, str]]  #: Tenant, submitter and request id.


def wanted(changes: Iterable[Change]) -> Wanted:
    """Return what the changes name."""
    numbers: list[int] = []
    ids: list[bytes] = []
    keys: list[tuple[str, str, str]] = []
    for change in changes:
        if isinstance(change, (Submit, Recall)):
            caller = change.caller
            if change.key is not None:
                keys.append((caller.tenant, caller.principal, change.key.request_id))
            if change.external_key is not None:
                keys.append((caller.tenant, caller.principal, change.external_key))
        elif isinstance(change, (MoveLaunches, Acknowledge)):
            numbers += (one for one in change.targets if isinstance(one, int))
            ids += (one for one in change.targets if not isinstance(one, int))
        elif isinstance(change, Report):
            numbers.append(change.number)
        elif isinstance(change, KeepFile):
            if change.file.number is not None:
                numbers.append(change.file.number)
        elif isinstance(change, (Cancel, Suspend, Resume, Resubmit, Move, Delete)):
            target = change.target
            if isinstance(target, int):
                numbers.append(target)
            else:
                ids.append(target)
    return Wanted(numbers, ids, keys)


def decide_all(changes: Iterable[Change], batch: Batch) -> list[object]:
    """Return the outcomes of a batch's changes, in their order.

    A change that is refused has its domain error as the outcome. Anything else that is raised
    means that the batch can no longer be trusted.
    """
    outcomes = [_decide(change, batch) for change in changes]
    concurrency.reopen(batch)
    return outcomes


def _decide(change: Change, batch: Batch) -> object:
    batch.caller = getattr(change, "caller", None)
    try:
        return _DECISIONS[type(change)](change, batch)
    except LongshoreError as refusal:
        return refusal

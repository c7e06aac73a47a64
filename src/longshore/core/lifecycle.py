"""How an operation lives: submitted, held, canceled, tried again, ended, expired."""

from __future__ import annotations

from longshore.core import limits, policies
from longshore.core.batch import Batch
from longshore.core.changes import (
    Cancel,
    Resume,
    Suspend,
    Target,
)
from longshore.core.errors import (
    OperationNotFound,
    WrongState,
)
from longshore.core.events import EventKind, attempt_detail, detail
from longshore.core.failures import Code, Failure
from longshore.core.fairness import placed_anew
from longshore.core.ids import text_of
from longshore.core.operations import PARKED, Operation, Part, State
from longshore.core.operations import Cancel as CancelState


def wake_time_of(not_before: int | None, now: int, *, held: bool) -> int | None:
    """Return when what is queued, or held, begins to wait; None: now, or not by itself."""
    if held or not_before is None or not_before <= now:
        return None
    return not_before


def find(target: Target, tenant: str, kind: int | None, batch: Batch) -> Operation:
    """Return an operation of a tenant. Raises `OperationNotFound`."""
    operation = batch.find(target, tenant, kind)
    if operation is None:
        raise OperationNotFound(str(target) if isinstance(target, int) else text_of(target))
    return operation


def refusal(operation: Operation, wanted: str) -> WrongState:
    """Return what says that an operation is in another state than was wanted."""
    return WrongState(text_of(operation.id), State(operation.state).name, wanted)


def cancel(change: Cancel, batch: Batch) -> Operation:
    """End what waits, ask the worker of what runs; with `force` end that too."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.ended:
        raise refusal(operation, "SUSPENDED, QUEUED or RUNNING")
    message = change.message or None
    if operation.state != State.RUNNING or change.force:
        return end(operation, State.CANCELED, batch, message=message or operation.message)
    if operation.cancel:
        return operation
    grace_end = batch.now + limits.CANCEL_GRACE_MS
    deadline = operation.wake_time
    revision = batch.emit(
        operation, EventKind.CANCEL_REQUESTED, operation.state, detail(message=message)
    )
    canceling = operation._replace(
        cancel=CancelState.REQUESTED,
        wake_time=grace_end if deadline is None else min(grace_end, deadline),
        message=message or operation.message,
        update_time=batch.now,
        revision=revision,
    )
    batch.put(canceling)
    return canceling


def suspend(change: Suspend, batch: Batch) -> Operation:
    """Hold what is queued, so that it does not start until resumed."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.state != State.QUEUED:
        raise refusal(operation, "QUEUED")
    return move_to(operation, State.SUSPENDED, batch, wake_time=None)


def resume(change: Resume, batch: Batch) -> Operation:
    """Let what is suspended wait for a worker again."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.state != State.SUSPENDED:
        raise refusal(operation, "SUSPENDED")
    not_before = policies.decode(operation.policy).not_before
    wake_time = wake_time_of(not_before, batch.now, held=False)
    if wake_time is None:
        operation = placed_anew(operation, batch)
    return move_to(operation, State.QUEUED, batch, wake_time=wake_time)


def move_to(
    operation: Operation, state: State, batch: Batch, *, wake_time: int | None
) -> Operation:
    """Change the state of what does not run."""
    revision = batch.emit(
        operation,
        EventKind.STATE_CHANGED,
        state,
        detail(**{"from": State(operation.state).name}),
    )
    moved = operation._replace(
        state=state, wake_time=wake_time, update_time=batch.now, revision=revision
    )
    batch.put(moved)
    return moved


def end(
    operation: Operation,
    state: State,
    batch: Batch,
    *,
    message: str | None = None,
    failure: Failure | None = None,
    reports: int | None = None,
) -> Operation:
    """Bring an operation to the state that it never leaves."""
    expire_after = policies.decode(operation.policy).expire_after
    attempt, worker = operation.attempt, operation.worker
    if message is None and failure is None and state == State.SUCCEEDED:
        told: str | None = attempt_detail(attempt, worker or "")
    else:
        told = detail(
            **{"from": State(operation.state).name},
            attempt=attempt or None,
            worker=worker,
            message=message,
            error=_error(failure),
        )
    revision = batch.emit(operation, EventKind.STATE_CHANGED, state, told)
    reports = operation.reports if reports is None else reports
    expire_time = batch.now + expire_after
    ended = operation.over(state, reports, expire_time, revision, batch.now, message)
    batch.put(ended)
    if failure is not None:
        batch.documents[operation.number, Part.ERROR] = failure.document
    return ended


def fail_attempt(
    operation: Operation,
    failure: Failure,
    batch: Batch,
    *,
    permanent: bool = False,
    reports: int | None = None,
) -> Operation:
    """End an attempt that failed, timed out or was lost: try again later, or never."""
    if operation.cancel:
        return end(operation, State.CANCELED, batch, message=operation.message, reports=reports)
    policy = policies.decode(operation.policy)
    if permanent or operation.attempt >= policy.max_attempts:
        return end(
            operation,
            State.FAILED,
            batch,
            message=failure.message,
            failure=failure,
            reports=reports,
        )
    not_before = batch.now + policy.backoff(operation.attempt)
    return requeue(operation, batch, not_before, failure=failure, reports=reports)


def requeue(
    operation: Operation,
    batch: Batch,
    not_before: int | None,
    *,
    failure: Failure | None = None,
    reports: int | None = None,
) -> Operation:
    """Put what was leased back to its old place in the queue."""
    revision = batch.emit(
        operation,
        EventKind.STATE_CHANGED,
        State.QUEUED,
        detail(
            **{"from": "RUNNING"},
            attempt=operation.attempt,
            worker=operation.worker,
            not_before=not_before,
            error=_error(failure),
        ),
    )
    queued = operation._replace(
        state=State.QUEUED,
        session=None,
        reports=operation.reports if reports is None else reports,
        wake_time=not_before,
        revision=revision,
        update_time=batch.now,
        message=None if failure is None else failure.message,
    )
    batch.put(queued)
    return queued


def _error(failure: Failure | None) -> dict[str, object] | None:
    # Events stay small; the whole error is a document of the operation.
    return failure and {"code": failure.code, "message": failure.message[:1_000]}


def wake(batch: Batch, limit: int = limits.WRITER_CHANGES) -> None:
    """Do what is due: admit, time out, end the grace of cancels, expire."""
    if batch.next_wake is None or batch.next_wake > batch.now:
        return
    stored = batch.rows.due(batch.now, limit)
    batch.remember(stored)
    numbers = {one.number for one in stored} | batch.operations.keys()
    for number in sorted(numbers):
        operation = batch.operations.get(number) or batch.before[number]
        if operation.wake_time is not None and operation.wake_time <= batch.now:
            _wake_one(operation, batch)
    batch.next_wake = _earliest_after(batch, more=len(stored) == limit)


def _wake_one(operation: Operation, batch: Batch) -> None:
    if operation.state == State.QUEUED:
        # What is tried again keeps its place.
        due = operation if operation.attempt else placed_anew(operation, batch)
        batch.put(due._replace(wake_time=None))
    elif operation.state == State.RUNNING:
        if operation.cancel:
            end(operation, State.CANCELED, batch, message=operation.message)
        else:
            fail_attempt(operation, timed_out(operation, batch), batch)
    elif operation.ended:
        _expire(operation, batch)


def timed_out(operation: Operation, batch: Batch) -> Failure:
    seconds = (policies.decode(operation.policy).run_timeout or 0) / 1_000
    return batch.codec.failure(
        Code.DEADLINE_EXCEEDED,
        f"attempt {operation.attempt} did not end within its run_timeout of {seconds:g} s",
        "RUN_TIMEOUT",
        {"attempt": str(operation.attempt), "run_timeout_seconds": f"{seconds:g}"},
    )


def _expire(operation: Operation, batch: Batch) -> None:
    revision = batch.emit(operation, EventKind.EXPIRED, operation.state)
    batch.put(operation._replace(wake_time=None, revision=revision))
    batch.expired.append(operation.number)


def _earliest_after(batch: Batch, *, more: bool) -> int | None:
    """Return when to wake next, from what is stored and what the batch has changed."""
    if more:
        return batch.now
    times = [
        one.wake_time
        for one in batch.operations.values()
        if one.wake_time is not None and one.wake_time != PARKED
    ]
    stored = batch.rows.next_wake(after=batch.now)
    if stored is not None:
        times.append(stored)
    return min(times, default=None)

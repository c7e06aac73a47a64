"""How an operation lives: held, canceled, tried again."""

from __future__ import annotations

from longshore.core import limits, policies
from longshore.core.batch import Batch
from longshore.core.changes import Cancel, Resume, Suspend
from longshore.core.ending import brief, end
from longshore.core.events import EventKind, detail
from longshore.core.failures import Failure
from longshore.core.fairness import placed_anew
from longshore.core.operations import Cancel as CancelState
from longshore.core.operations import Operation, State
from longshore.core.targets import find, refusal, wake_time_of


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
    return move_to(
        operation,
        State.SUSPENDED,
        batch,
        wake_time=None if operation.parked else operation.wake_time,
    )


def resume(change: Resume, batch: Batch) -> Operation:
    """Let what is suspended wait for a worker again."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.state != State.SUSPENDED:
        raise refusal(operation, "SUSPENDED")
    not_before = policies.decode(operation.policy).not_before
    # The time before which an attempt may not begin goes on while it is held.
    latest = max(not_before or 0, operation.wake_time or 0)
    wake_time = wake_time_of(latest, batch.now, held=False)
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


def fail_attempt(
    operation: Operation,
    failure: Failure,
    batch: Batch,
    *,
    permanent: bool = False,
    reports: int | None = None,
    wait: int = 0,
) -> Operation:
    """End an attempt that failed, timed out or was lost: try again later, or never.

    `wait` is how many milliseconds that is off at least.
    """
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
    not_before = batch.now + max(policy.backoff(operation.attempt), wait)
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
            error=brief(failure),
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

"""Ending: how an operation comes to the state that it never leaves, and what follows."""

from __future__ import annotations

from longshore.core import callbacks, deliveries, filing, policies
from longshore.core.batch import Batch
from longshore.core.changes import Delete
from longshore.core.events import EventKind, attempt_detail, detail
from longshore.core.failures import Failure
from longshore.core.operations import Operation, Part, State
from longshore.core.policies import Policy
from longshore.core.targets import find, refusal


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
    policy = policies.decode(operation.policy)
    stream = deliveries.settle(operation, state, batch) if policy.delivery else None
    attempt, worker = operation.attempt, operation.worker
    plain = message is None and failure is None and stream is None
    if plain and state == State.SUCCEEDED:
        told: str | None = attempt_detail(attempt, worker or "")
    else:
        told = detail(
            **{"from": State(operation.state).name},
            attempt=attempt or None,
            worker=worker,
            message=message,
            error=brief(failure),
            stream=stream,
        )
    revision = batch.emit(operation, EventKind.STATE_CHANGED, state, told)
    reports = operation.reports if reports is None else reports
    expire_time = batch.now + policy.expire_after
    ended = operation.over(state, reports, expire_time, revision, batch.now, message)
    batch.put(ended)
    if failure is not None:
        batch.documents[operation.number, Part.ERROR] = failure.document
    if stream is not None:
        deliveries.arrive(ended, stream, batch)
    if policy.callback or policy.callback_of:
        _call_back(ended, policy, failure, batch)
    return ended


def _call_back(ended: Operation, policy: Policy, failure: Failure | None, batch: Batch) -> None:
    """Submit the callback of an operation, or tell an operation what became of its callback."""
    if policy.callback:
        callbacks.ask(ended, policy.expire_after, batch)
    if policy.callback_of:
        met = "" if failure is None else failure.message
        callbacks.tell(ended, policy.callback_of, met or _said(ended, batch), batch)


def _said(ended: Operation, batch: Batch) -> str:
    """Return what the worker of a callback has said of the answer."""
    document = batch.document(ended.number, Part.RESULT)
    said = {} if document is None else batch.codec.decode(document)
    return str(said.get("message") or said.get("status") or ended.message or "")


def brief(failure: Failure | None) -> dict[str, object] | None:
    # Events stay small; the whole error is a document of the operation.
    return failure and {"code": failure.code, "message": failure.message[:1_000]}


def delete(change: Delete, batch: Batch) -> None:
    """Let what has ended expire before its time."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if not operation.ended:
        raise refusal(operation, "FAILED, SUCCEEDED or CANCELED")
    expire(operation, batch)


def expire(operation: Operation, batch: Batch) -> None:
    """Let an operation be found no more."""
    filing.let_go(operation, batch)
    revision = batch.emit(operation, EventKind.EXPIRED, operation.state)
    batch.put(operation._replace(wake_time=None, revision=revision))
    batch.forget(operation.number)

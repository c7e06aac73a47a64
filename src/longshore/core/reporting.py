"""Reports: what a worker says under its lease, applied once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from longshore.core import deliveries, leasing, limits, plans, policies, publishing
from longshore.core.batch import Batch
from longshore.core.ending import end
from longshore.core.errors import LeaseLost, SessionTakenOver
from longshore.core.events import EventKind, detail
from longshore.core.failures import Code
from longshore.core.leasing import StepState
from longshore.core.lifecycle import fail_attempt, requeue
from longshore.core.operations import Operation, Part, State
from longshore.core.reports import (
    Completed,
    Failed,
    Logged,
    LogKind,
    Progressed,
    PropertySet,
    Released,
    Report,
    Reported,
    Stopped,
)

ENDED: Final = Reported(ended=True)
GOES_ON: Final = Reported(ended=False)


def report(change: Report, batch: Batch) -> Reported:
    """Apply a report, acknowledge a repeat, refuse a stale one.

    Raises `SessionTakenOver` if a younger stream has the session, `LeaseLost` if the lease
    is no longer this session's.
    """
    session = batch.session(change.session)
    if session is None or session.epoch != change.epoch:
        raise SessionTakenOver("" if session is None else session.worker)
    operation = batch.operation(change.number)
    if operation is None or operation.token != change.token:
        raise LeaseLost(change.number, change.token)
    running = operation.state == State.RUNNING and operation.session == change.session
    if change.sequence <= operation.reports:
        return GOES_ON if running else ENDED
    if not running:
        raise LeaseLost(change.number, change.token)
    body = change.body
    if type(body) is Completed and not operation.steps:
        return _complete(operation, body, change.sequence, batch)
    return _APPLY[type(body)](operation._replace(reports=change.sequence), body, batch)


def _complete(operation: Operation, body: Completed, sequence: int, batch: Batch) -> Reported:
    """End the common operation: one action with literal arguments."""
    results = body.results
    if len(results) > limits.PAYLOAD_BYTES:
        return _too_large(operation._replace(reports=sequence), len(results), batch)
    publishing.succeed(operation, results, batch, reports=sequence)
    return _free(operation, batch)


def _too_large(operation: Operation, size: int, batch: Batch) -> Reported:
    failure = batch.codec.failure(
        Code.INVALID_ARGUMENT,
        f"the result has {size} bytes; at most {limits.PAYLOAD_BYTES} are kept: "
        "save larger data as files",
        "PAYLOAD_TOO_LARGE",
        {"limit": str(limits.PAYLOAD_BYTES), "value": str(size)},
    )
    if operation.step + 1 >= operation.steps:  # The result of all, not of a step before.
        deliveries.fail(operation, batch)
    return _fail(operation, Failed(failure, permanent=True), batch)


def _complete_step(operation: Operation, body: Completed, batch: Batch) -> Reported:
    """Write a plan's checkpoint and hand out the next action, or end the operation."""
    if len(body.results) > limits.PAYLOAD_BYTES:
        return _too_large(operation, len(body.results), batch)
    request, traceparent = batch.requests([operation])[operation.number]
    plan = batch.codec.plan(request)
    results = batch.codec.decode(body.results)
    context = leasing.context_of(operation, plan, batch)
    try:
        context = plans.absorb(plan, operation.step, context, results)
        document = batch.codec.encode(context)
    except plans.StepFailed as failed:
        return _fail(operation, Failed(failed.failure(batch.codec), permanent=True), batch)
    if len(document) > limits.PAYLOAD_BYTES:
        return _too_large(operation, len(document), batch)
    batch.documents[operation.number, Part.CONTEXT] = document
    action, last = plan.calls[operation.step].action, operation.step + 1 == len(plan.calls)
    if last and policies.decode(operation.policy).delivery:
        results = {}  # What all of it gave is for its consumer alone.
    stepped = _checkpoint(operation, action, results, batch)
    if last:
        publishing.succeed(stepped, body.results, batch, reports=stepped.reports)
        return _free(operation, batch)
    if stepped.cancel:
        end(stepped, State.CANCELED, batch, message=stepped.message)
        return _free(operation, batch)
    following = leasing.next_step(stepped, request, traceparent, batch)
    if following is None:
        return _free(operation, batch)
    return Reported(ended=False, next=following)


def _checkpoint(
    operation: Operation, action: str, results: plans.Object, batch: Batch
) -> Operation:
    step = operation.step
    began = operation.start_time or batch.now
    if step:
        earlier = batch.document(operation.number, Part.STEPS + step - 1)
        began = max(began, StepState.decode(earlier).end_time if earlier else 0)
    state = StepState(State.SUCCEEDED, began, batch.now, results)
    batch.documents[operation.number, Part.STEPS + step] = state.encode()
    told = detail(
        index=step,
        action=action,
        state=State.SUCCEEDED.name,
        start_time=began,
        end_time=batch.now,
    )
    revision = batch.emit(operation, EventKind.ACTION_CHANGED, operation.state, told)
    stepped = operation._replace(step=step + 1, update_time=batch.now, revision=revision)
    batch.put(stepped)
    return stepped


def _free(operation: Operation, batch: Batch) -> Reported:
    batch.freed[operation.session or 0] += 1
    return ENDED


def _fail(operation: Operation, body: Failed, batch: Batch) -> Reported:
    failure = body.failure
    if body.bare:
        failure = batch.codec.explained(failure, _action_of(operation, batch))
    fail_attempt(operation, failure, batch, permanent=body.permanent, wait=body.wait)
    return _free(operation, batch)


def _action_of(operation: Operation, batch: Batch) -> str:
    """Return the action that is under way."""
    request, _ = batch.requests([operation])[operation.number]
    if operation.steps:
        return batch.codec.plan(request).calls[operation.step].action
    return batch.codec.call(request).action


def _release(operation: Operation, _body: Released, batch: Batch) -> Reported:
    if operation.cancel:
        end(operation, State.CANCELED, batch, message=operation.message)
    else:
        requeue(operation._replace(attempt=operation.attempt - 1), batch, None)
    return _free(operation, batch)


def _stop(operation: Operation, _body: Stopped, batch: Batch) -> Reported:
    if operation.cancel:
        end(operation, State.CANCELED, batch, message=operation.message)
    else:
        # A stop that nobody ordered: the worker gave the attempt up.
        facts = {"action": _action_of(operation, batch)}
        failure = batch.codec.failure(
            Code.ABORTED, "the worker stopped the work", "WORKER_STOPPED", facts
        )
        fail_attempt(operation, failure, batch)
    return _free(operation, batch)


def _tell(operation: Operation, kind: EventKind, told: str | None, batch: Batch) -> Reported:
    revision = batch.emit(operation, kind, operation.state, told)
    batch.put(operation._replace(update_time=batch.now, revision=revision))
    return GOES_ON


def _activity(operation: Operation, batch: Batch) -> dict[str, Any]:
    document = batch.document(operation.number, Part.ACTIVITY)
    kept: dict[str, Any] = {} if document is None else json.loads(document)
    return kept


def _keep_activity(operation: Operation, activity: dict[str, Any], batch: Batch) -> None:
    document = json.dumps(activity, separators=(",", ":")).encode()
    batch.documents[operation.number, Part.ACTIVITY] = document


def _progress(operation: Operation, body: Progressed, batch: Batch) -> Reported:
    """Keep the latest progress; tell it at most once a second."""
    activity = _activity(operation, batch)
    activity["progress"] = json.loads(body.detail)
    told_before = activity.get("told_time", 0)
    tell = not told_before <= batch.now < told_before + limits.PROGRESS_EVERY_MS
    if tell:
        activity["told_time"] = batch.now
    _keep_activity(operation, activity, batch)
    if tell:
        return _tell(operation, EventKind.PROGRESS, body.detail, batch)
    batch.put(operation)
    return GOES_ON


def _log(operation: Operation, body: Logged, batch: Batch) -> Reported:
    """Append to the log; after the limit of an attempt one warning, then nothing."""
    activity = _activity(operation, batch)
    count = activity.get("logs", 0) + 1 if activity.get("logs_of") == operation.attempt else 1
    activity.update(logs=count, logs_of=operation.attempt)
    _keep_activity(operation, activity, batch)
    if count > limits.LOGS_PER_ATTEMPT + 1:
        batch.put(operation)
        return GOES_ON
    kind, message = body.kind, clipped(body.message, limits.LOG_BYTES)
    if count > limits.LOGS_PER_ATTEMPT:
        kind = LogKind.WARNING
        message = f"more than {limits.LOGS_PER_ATTEMPT} log entries; the rest is not kept"
    told = detail(kind=LogKind(kind).name, message=message, start_time=operation.start_time)
    return _tell(operation, EventKind.LOG, told, batch)


def clipped(text: str, limit: int) -> str:
    """Return the text, cut to a number of UTF-8 bytes."""
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")


def _set_property(operation: Operation, body: PropertySet, batch: Batch) -> Reported:
    document = batch.document(operation.number, Part.PROPERTIES)
    properties: dict[str, str] = {} if document is None else json.loads(document)
    properties[body.name] = body.value
    encoded = json.dumps(properties, separators=(",", ":"), ensure_ascii=False).encode()
    if len(encoded) > limits.PROPERTIES_BYTES:
        failure = batch.codec.failure(
            Code.INVALID_ARGUMENT,
            f"property {body.name!r}: all properties together may have at most "
            f"{limits.PROPERTIES_BYTES} bytes, got {len(encoded)}",
            "PAYLOAD_TOO_LARGE",
            {"limit": str(limits.PROPERTIES_BYTES), "value": str(len(encoded))},
        )
        return _fail(operation, Failed(failure, permanent=True), batch)
    batch.documents[operation.number, Part.PROPERTIES] = encoded
    told = detail(name=body.name, value=body.value)
    return _tell(operation, EventKind.PROPERTY_SET, told, batch)


_APPLY: Final[dict[type, Callable[[Operation, Any, Batch], Reported]]] = {
    Completed: _complete_step,
    Failed: _fail,
    Progressed: _progress,
    Logged: _log,
    PropertySet: _set_property,
    Released: _release,
    Stopped: _stop,
}

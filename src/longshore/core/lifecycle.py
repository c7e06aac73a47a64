"""How an operation lives: submitted, held, canceled, tried again, ended, expired."""

from __future__ import annotations

import json
from typing import Any

from longshore.core import limits, policies
from longshore.core.batch import Batch
from longshore.core.changes import (
    Account,
    Cancel,
    Key,
    Mode,
    Recall,
    Resubmit,
    Resume,
    Submit,
    Submitted,
    Suspend,
    Target,
)
from longshore.core.errors import (
    AccountNotFound,
    Maintenance,
    OperationNotFound,
    RequestIdReused,
    WrongState,
)
from longshore.core.events import EventKind, attempt_detail, detail
from longshore.core.failures import Code, Failure
from longshore.core.fairness import place, placed_anew
from longshore.core.ids import text_of
from longshore.core.operations import PARKED, Facts, Kind, Operation, Part, State
from longshore.core.operations import Cancel as CancelState
from longshore.core.rows import Keyed


def submit(change: Submit, batch: Batch) -> Submitted:
    """Accept a new operation, or find the one that the same key submitted before."""
    return find_first(change, batch) or _accept(change, batch)


def find_first(change: Submit, batch: Batch) -> Submitted | None:
    """Return what was submitted with a key of this submit; None if it is to be accepted.

    Raises what refuses it.
    """
    earlier = recall(change, batch)
    if earlier is not None:
        return earlier
    if batch.mode == Mode.MAINTENANCE:
        raise Maintenance
    account = change.account
    if account is not None and batch.account(change.caller, account) is None:
        raise AccountNotFound(*account)
    return None


def recall(change: Submit | Recall, batch: Batch) -> Submitted | None:
    """Return what was submitted with one of these keys; the request id is looked at first."""
    caller, key = change.caller, change.key
    if key is not None:
        keyed = batch.keyed(caller.tenant, caller.principal, key.request_id)
        earlier = None if keyed is None else batch.operation(keyed.number)
        if keyed is not None and earlier is not None:
            return _submitted_before(keyed, earlier, key, batch)
    if change.external_key is not None:
        keyed = batch.keyed(caller.tenant, caller.principal, change.external_key)
        earlier = None if keyed is None else batch.operation(keyed.number)
        if earlier is not None:
            return Submitted(earlier, batch.facts(earlier.number), created=False)
    return None


def _accept(change: Submit, batch: Batch) -> Submitted:
    caller, key = change.caller, change.key
    lane = batch.lane(caller.tenant, change.queue, change.actions)
    number = batch.last_number + 1
    wake_time = _wake_time(change.not_before, batch.now, held=change.suspended)
    position, fairness_key = number, None
    if (
        change.kind == Kind.LAUNCH
        or change.fairness_key is not None
        or batch.circles
        or batch.head.circles
    ):
        position, fairness_key = _placed(change, lane, number, wake_time, batch)
    facts = Facts(
        caller.principal,
        change.facts_request_id,
        batch.now,
        change.traceparent,
        change.attributes,
    )
    # By position: naming so many members would take four times as long.
    operation = Operation(
        number,
        change.id,
        caller.tenant,
        change.kind,
        State.SUSPENDED if change.suspended else State.QUEUED,
        lane,
        change.priority,
        position,
        0,  # attempt
        0,  # step
        change.steps,
        None,  # session
        None,  # worker
        0,  # token
        0,  # reports
        CancelState.NO,
        wake_time,
        batch.revision + 1,
        None,  # start_time
        batch.now,  # update_time
        None,  # end_time
        change.policy,
        None,  # message
        change.concurrency_key,
        fairness_key,
    )
    batch.emit(operation, EventKind.SUBMITTED, operation.state)
    batch.create(operation, facts, change.request, change.plan)
    if key is not None:
        identity = (caller.tenant, caller.principal, key.request_id)
        batch.keys[identity] = Keyed(number, key.digest)
    if change.external_key is not None:
        batch.keys[caller.tenant, caller.principal, change.external_key] = Keyed(number, b"")
    return Submitted(operation, facts, created=True)


def _placed(
    change: Submit, lane: int, number: int, wake_time: int | None, batch: Batch
) -> tuple[int, str | None]:
    """Return the position of a new operation, and the fairness key that it counts for."""
    tenant, key = change.caller.tenant, change.fairness_key or None
    if change.kind == Kind.LAUNCH:
        # One that was moved to the bottom may stand beyond the next number.
        return max(number, batch.last_launch(tenant, change.priority) + 1), None
    if change.suspended or wake_time is not None:
        return number, key  # It gets its place when it begins to wait.
    return place(batch, batch.lane_of(lane), change.priority, key, number)


def _submitted_before(keyed: Keyed, operation: Operation, key: Key, batch: Batch) -> Submitted:
    if keyed.digest != key.digest:
        raise RequestIdReused(key.request_id, text_of(operation.id))
    return Submitted(operation, batch.facts(operation.number), created=False)


def _wake_time(not_before: int | None, now: int, *, held: bool) -> int | None:
    if held or not_before is None or not_before <= now:
        return None
    return not_before


def find(target: Target, tenant: str, kind: int | None, batch: Batch) -> Operation:
    """Return an operation of a tenant. Raises `OperationNotFound`."""
    operation = batch.find(target, tenant, kind)
    if operation is None:
        raise OperationNotFound(str(target) if isinstance(target, int) else text_of(target))
    return operation


def _refuse(operation: Operation, wanted: str) -> WrongState:
    return WrongState(text_of(operation.id), State(operation.state).name, wanted)


def cancel(change: Cancel, batch: Batch) -> Operation:
    """End what waits, ask the worker of what runs; with `force` end that too."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.ended:
        raise _refuse(operation, "SUSPENDED, QUEUED or RUNNING")
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
        raise _refuse(operation, "QUEUED")
    return move_to(operation, State.SUSPENDED, batch, wake_time=None)


def resume(change: Resume, batch: Batch) -> Operation:
    """Let what is suspended wait for a worker again."""
    operation = find(change.target, change.caller.tenant, change.kind, batch)
    if operation.state != State.SUSPENDED:
        raise _refuse(operation, "SUSPENDED")
    not_before = policies.decode(operation.policy).not_before
    wake_time = _wake_time(not_before, batch.now, held=False)
    if wake_time is None:
        operation = placed_anew(operation, batch)
    return move_to(operation, State.QUEUED, batch, wake_time=wake_time)


def resubmit(change: Resubmit, batch: Batch) -> Submitted:
    """Run what has ended as a new operation, from the start or from the failed action."""
    source = find(change.target, change.caller.tenant, change.kind, batch)
    if not source.ended:
        raise _refuse(source, "FAILED, SUCCEEDED or CANCELED")
    if change.from_failed and source.state != State.FAILED:
        raise _refuse(source, "FAILED")
    request = batch.document(source.number, Part.REQUEST)
    if request is None:
        raise OperationNotFound(text_of(source.id))
    facts = batch.facts(source.number)
    attributes = _attributes_of_next(facts, change)
    lane = batch.lane_of(source.lane)
    policy = policies.decode(source.policy)._replace(not_before=None)
    done = submit(
        Submit(
            caller=change.caller,
            kind=source.kind,
            id=change.id,
            queue=lane.queue,
            actions=lane.actions,
            steps=source.steps,
            request=request,
            priority=source.priority,
            policy=policy.encode(),
            facts_request_id=change.caller.request_id,
            traceparent=facts.traceparent,
            attributes=_encoded(attributes),
            plan=batch.document(source.number, Part.PLAN),
            account=_account_of(attributes),
            concurrency_key=source.concurrency_key,
            fairness_key=source.fairness_key,
        ),
        batch,
    )
    return _go_on_from(source, done, batch) if change.from_failed else done


def _attributes_of_next(facts: Facts, change: Resubmit) -> dict[str, Any]:
    """Return what lists filter by of the next in a chain of resubmits."""
    attributes: dict[str, Any] = json.loads(facts.attributes) if facts.attributes else {}
    attributes.pop("external_id", None)  # It stays with the first.
    if "lcid" in attributes:
        attributes["lcid"] = change.caller.request_id
    return attributes


def _encoded(attributes: dict[str, Any]) -> str | None:
    if not attributes:
        return None
    return json.dumps(attributes, separators=(",", ":"), ensure_ascii=False)


def _account_of(attributes: dict[str, Any]) -> Account | None:
    username = attributes.get("account")
    return Account(attributes.get("service", ""), username) if username else None


def _go_on_from(source: Operation, done: Submitted, batch: Batch) -> Submitted:
    """Copy the checkpoints of the steps that had ended."""
    operation = done.operation._replace(step=source.step)
    batch.put(operation)
    parts = [Part.CONTEXT, *(Part.STEPS + step for step in range(source.step))]
    for part in parts:
        document = batch.document(source.number, part)
        if document is not None:
            batch.documents[operation.number, part] = document
    return done._replace(operation=operation)


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

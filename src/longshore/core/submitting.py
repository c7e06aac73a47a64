"""Submits and resubmits: what is accepted as a new operation, and what was submitted before."""

from __future__ import annotations

import json
from typing import Any

from longshore.core import deliveries, filing, policies
from longshore.core.batch import Batch
from longshore.core.callers import Account
from longshore.core.changes import Key, Mode, Recall, Resubmit, Submit, Submitted
from longshore.core.errors import (
    AccountNotFound,
    Maintenance,
    OperationNotFound,
    RequestIdReused,
)
from longshore.core.events import EventKind
from longshore.core.fairness import place
from longshore.core.ids import text_of
from longshore.core.operations import Cancel as CancelState
from longshore.core.operations import Facts, Kind, Operation, Part, State
from longshore.core.rows import Keyed
from longshore.core.targets import find, refusal, wake_time_of


def submit(change: Submit, batch: Batch) -> Submitted:
    """Accept a new operation, or find the one that the same key submitted before."""
    return find_first(change, batch) or accept(change, batch)


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
    if account is not None and batch.installation.account(change.caller, account) is None:
        raise AccountNotFound(*account)
    if change.files:
        filing.refuse_missing(change.files, change.caller.tenant, batch)
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


def accept(change: Submit, batch: Batch) -> Submitted:
    """Accept a new operation, whatever may speak against it."""
    caller, key = change.caller, change.key
    lane = batch.lanes.number_of(caller.tenant, change.queue, change.actions)
    number = batch.last_number + 1
    wake_time = wake_time_of(change.not_before, batch.now, held=change.suspended)
    position, fairness_key = number, None
    if change.kind == Kind.LAUNCH or change.fairness_key is not None or batch.turns.in_use:
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
    # Not always who asked for the change: callbacks are the server's, schedules somebody's.
    batch.emit(operation, EventKind.SUBMITTED, operation.state, caller=caller)
    batch.create(operation, facts, change.request, change.plan)
    if change.policy is not None:
        deliveries.begin(number, change.policy, caller.stream_id, batch)
    if change.files:
        filing.take(number, change.files, batch)
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
    return place(batch, batch.lanes.of(lane), change.priority, key, number)


def _submitted_before(keyed: Keyed, operation: Operation, key: Key, batch: Batch) -> Submitted:
    if keyed.digest != key.digest:
        raise RequestIdReused(key.request_id, text_of(operation.id))
    return Submitted(operation, batch.facts(operation.number), created=False)


def resubmit(change: Resubmit, batch: Batch) -> Submitted:
    """Run what has ended as a new operation, from the start or from the failed action."""
    source = find(change.target, change.caller.tenant, change.kind, batch)
    if not source.ended:
        raise refusal(source, "FAILED, SUCCEEDED or CANCELED")
    if change.from_failed and source.state != State.FAILED:
        raise refusal(source, "FAILED")
    request = batch.document(source.number, Part.REQUEST)
    if request is None:
        raise OperationNotFound(text_of(source.id))
    facts = batch.facts(source.number)
    attributes = _attributes_of_next(facts, change)
    lane = batch.lanes.of(source.lane)
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
            files=_files_of_next(source, change, batch),
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


def _files_of_next(source: Operation, change: Resubmit, batch: Batch) -> tuple[bytes, ...]:
    """Return what the first takes and, for what goes on from there, what its steps made."""
    files = batch.files.uses_of(source.number)
    made = batch.files.made_by(source.number) if change.from_failed else []
    return (*files, *(file.id for file in made if file.step < source.step))


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

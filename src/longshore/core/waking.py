"""Waking: what becomes due without anybody asking for it."""

from __future__ import annotations

from longshore.core import limits, policies, publishing
from longshore.core.batch import Batch
from longshore.core.ending import end, expire
from longshore.core.failures import Code, Failure
from longshore.core.fairness import placed_anew
from longshore.core.lifecycle import fail_attempt
from longshore.core.operations import PARKED, Operation, Part, State


def wake(batch: Batch) -> None:
    """Do what is due: admit, time out, end the grace of cancels, deliver, expire.

    However much there is to expire, the rest does not wait for it.
    """
    if batch.next_wake is None or batch.next_wake > batch.now:
        return
    urgent = batch.rows.due(batch.now, limits.WRITER_DUE)
    expiring = batch.rows.expiring(batch.now, limits.WRITER_EXPIRING)
    more = len(urgent) == limits.WRITER_DUE or len(expiring) == limits.WRITER_EXPIRING
    stored = urgent + expiring
    batch.remember(stored)
    batch.read_documents((one.number for one in stored if one.publishing), Part.DELIVERY)
    batch.files.read_made(one.number for one in expiring)
    numbers = {one.number for one in stored} | batch.operations.keys()
    for number in sorted(numbers):
        touched = batch.operations.get(number)
        operation = touched or batch.before[number]
        if operation.publishing and touched:
            continue  # Each stage has a commit of its own.
        if operation.wake_time is not None and operation.wake_time <= batch.now:
            _wake_one(operation, batch)
    batch.next_wake = _earliest_after(batch, more=more)


def _wake_one(operation: Operation, batch: Batch) -> None:
    if operation.state == State.QUEUED:
        # What is tried again keeps its place.
        due = operation if operation.attempt else placed_anew(operation, batch)
        batch.put(due._replace(wake_time=None))
    elif operation.state == State.SUSPENDED:
        batch.put(operation._replace(wake_time=None))
    elif operation.publishing:
        publishing.advance(operation, batch)
    elif operation.state == State.RUNNING:
        if operation.cancel:
            end(operation, State.CANCELED, batch, message=operation.message)
        else:
            fail_attempt(operation, _timed_out(operation, batch), batch)
    elif operation.ended:
        expire(operation, batch)


def _timed_out(operation: Operation, batch: Batch) -> Failure:
    seconds = (policies.decode(operation.policy).run_timeout or 0) / 1_000
    return batch.codec.failure(
        Code.DEADLINE_EXCEEDED,
        f"attempt {operation.attempt} did not end within its run_timeout of {seconds:g} s",
        "RUN_TIMEOUT",
        {"attempt": str(operation.attempt), "run_timeout_seconds": f"{seconds:g}"},
    )


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

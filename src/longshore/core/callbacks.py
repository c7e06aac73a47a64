"""Callbacks: what is called when an operation has ended is an operation itself.

The decision that ends the work submits it, so it is neither lost nor made twice. Its worker,
lease, retries and history are the ordinary ones; its own end is told to the first operation.
"""

from __future__ import annotations

from typing import Final

from longshore.core.batch import Batch
from longshore.core.callers import SERVER
from longshore.core.changes import Submit
from longshore.core.events import EventKind, detail
from longshore.core.ids import derived
from longshore.core.operations import Kind, Operation, Part, State
from longshore.core.policies import Policy
from longshore.core.submitting import accept

CALLBACKS_QUEUE: Final = "longshore.callbacks"
CALLBACK_ACTION: Final = "longshore.callback"

_NAMED: Final = '{"name":"callback"}'  #: What lists filter by.
_ATTEMPTS: Final = 20  #: About an hour, at most five minutes apart.


def ask(ended: Operation, expire_after: int, batch: Batch) -> None:
    """Submit the callback of an operation that has ended."""
    asked = batch.document(ended.number, Part.REQUEST)
    if asked is None:
        return
    policy = Policy(max_attempts=_ATTEMPTS, expire_after=expire_after, callback_of=ended.number)
    submit = Submit(
        caller=SERVER._replace(tenant=ended.tenant),
        kind=Kind.TASK,
        id=derived(ended.id, batch.now),
        queue=CALLBACKS_QUEUE,
        actions=(CALLBACK_ACTION,),
        steps=0,
        request=batch.codec.callback(asked, ended, CALLBACK_ACTION),
        policy=policy.encode(),
        traceparent=batch.facts(ended.number).traceparent,
        attributes=_NAMED,
    )
    accept(submit, batch)


def tell(callback: Operation, number: int, message: str, batch: Batch) -> None:
    """Write on the first operation what became of its callback."""
    first = batch.operation(number)
    if first is None:
        return  # It has expired.
    given_up = callback.state != State.SUCCEEDED
    told = detail(
        given_up=given_up or None,
        attempts=callback.attempt,
        message=message[:1_000] or None,
    )
    revision = batch.emit(first, EventKind.CALLBACK_SENT, first.state, told)
    batch.put(first._replace(update_time=batch.now, revision=revision))

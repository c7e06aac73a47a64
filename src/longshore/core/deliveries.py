"""Deliveries: how far the result of a task is on its way to its consumer.

The work is done (PENDING), its result can be fetched (ONGOING), all of it is held (COMPLETE):
each stage is a commit of its own, and after the last the task has SUCCEEDED. Meanwhile the
server itself holds the lease.
"""

from __future__ import annotations

import enum
import functools
import json
from typing import NamedTuple

from longshore.core import filing, policies
from longshore.core.batch import Batch
from longshore.core.changes import Acknowledge
from longshore.core.errors import WrongState
from longshore.core.events import EventKind, detail
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Operation, Part, State
from longshore.core.rows import Arrival
from longshore.core.targets import find


class Way(enum.IntEnum):
    """How a result reaches its consumer."""

    NONE = 1  #: It does not: it stays with the operation.
    STORE = 2
    CHANNEL = 3


class Stage(enum.IntEnum):
    """How far a result is."""

    NONE = 1  #: The work goes on.
    PENDING = 2  #: The work is done.
    ONGOING = 3  #: The result can be fetched.
    COMPLETE = 4
    FAILED = 5


class Delivery(NamedTuple):
    """The document of a delivery."""

    way: int
    stage: int
    stream: str = ""  #: Of a channel.
    retrieve_time: int | None = None  #: When it was acknowledged; milliseconds since 1970.

    def encode(self) -> bytes:
        return _encoded(self)

    @classmethod
    def decode(cls, document: bytes) -> Delivery:
        return _decoded(document)


# Within a stream, and of what is acknowledged together, most deliveries are alike.


@functools.lru_cache(maxsize=1_024)
def _encoded(delivery: Delivery) -> bytes:
    return json.dumps(delivery, separators=(",", ":"), ensure_ascii=False).encode()


@functools.lru_cache(maxsize=1_024)
def _decoded(document: bytes) -> Delivery:
    return Delivery(*json.loads(document))


@functools.lru_cache(maxsize=1_024)
def _told(delivery: Delivery) -> str | None:
    """Return the detail of the event that tells how far a delivery is."""
    return detail(
        mode=delivery.way,
        stream=delivery.stream or None,
        state=delivery.stage,
        retrieve_time=delivery.retrieve_time,
    )


def begin(number: int, policy: str | None, stream: str, batch: Batch) -> None:
    """Write the document of a new operation, if it is to be delivered at all."""
    document = at_first(policy, stream)
    if document is not None:
        batch.documents[number, Part.DELIVERY] = document


def at_first(policy: str | None, stream: str) -> bytes | None:
    """Return the document of a new operation; None if it is not to be delivered."""
    way = policies.decode(policy).delivery
    if not way:
        return None
    return Delivery(way, Stage.NONE, stream if way == Way.CHANNEL else "").encode()


def delivery_of(operation: Operation, batch: Batch) -> Delivery | None:
    if not policies.decode(operation.policy).delivery:
        return None
    document = batch.document(operation.number, Part.DELIVERY)
    return None if document is None else Delivery.decode(document)


def note(operation: Operation, delivery: Delivery, batch: Batch) -> int:
    """Write a delivery and tell of it; return the revision of the event."""
    batch.documents[operation.number, Part.DELIVERY] = delivery.encode()
    return batch.emit(operation, EventKind.DELIVERY_CHANGED, operation.state, _told(delivery))


def fail(operation: Operation, batch: Batch) -> None:
    """Note that a result which the work gave cannot be delivered."""
    delivery = delivery_of(operation, batch)
    if delivery is not None and delivery.stage < Stage.COMPLETE:
        note(operation, delivery._replace(stage=Stage.FAILED), batch)
        batch.drop(operation.number, Part.RESULT)


def settle(operation: Operation, state: State, batch: Batch) -> str | None:
    """Give up what is on its way when an operation ends otherwise; return its stream."""
    delivery = delivery_of(operation, batch)
    if delivery is None:
        return None
    if state != State.SUCCEEDED and delivery.stage in (Stage.PENDING, Stage.ONGOING):
        fail(operation, batch)
    awaited = delivery.way == Way.CHANNEL and delivery.retrieve_time is None
    return delivery.stream if awaited else None


def arrive(ended: Operation, stream: str, batch: Batch) -> None:
    """Put an operation that has ended into its channel."""
    arrival = Arrival(ended.tenant, stream, ended.revision, batch.now)
    batch.arrivals[ended.number] = arrival


def acknowledge(change: Acknowledge, batch: Batch) -> None:
    """Remove results that have arrived: all of them or, if one is refused, none."""
    named = [find(one, change.caller.tenant, Kind.TASK, batch) for one in change.targets]
    numbers = [operation.number for operation in named]
    batch.read_documents(numbers, Part.DELIVERY)
    batch.files.read_made(numbers)
    for operation in named:
        _refuse_too_early(operation, batch)
    for number in numbers:
        _acknowledge(number, batch)


def _refuse_too_early(operation: Operation, batch: Batch) -> None:
    delivery = delivery_of(operation, batch)
    if delivery is None:
        wanted = "a delivery to be acknowledged"
    elif not operation.ended and delivery.stage < Stage.ONGOING:
        wanted = "a result that can be fetched"
    else:
        return
    raise WrongState(text_of(operation.id), State(operation.state).name, wanted)


def _acknowledge(number: int, batch: Batch) -> None:
    operation = batch.operation(number)
    delivery = None if operation is None else delivery_of(operation, batch)
    if operation is None or delivery is None or delivery.retrieve_time is not None:
        return
    revision = note(operation, delivery._replace(retrieve_time=batch.now), batch)
    batch.put(operation._replace(update_time=batch.now, revision=revision))
    batch.drop(number, Part.RESULT)
    filing.let_go(operation, batch)
    batch.arrivals[number] = None

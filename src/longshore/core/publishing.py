"""Publishing: how the result of work that is done comes to where its consumer finds it."""

from __future__ import annotations

from longshore.core import deliveries, policies
from longshore.core.batch import Batch
from longshore.core.deliveries import Stage
from longshore.core.ending import end
from longshore.core.operations import AT_ONCE, PUBLISHER, Operation, Part, State


def succeed(operation: Operation, results: bytes, batch: Batch, *, reports: int) -> None:
    """End work that was done or, if its result is to be delivered, begin with that."""
    if results:
        batch.documents[operation.number, Part.RESULT] = results
    delivery = None
    if policies.decode(operation.policy).delivery:
        delivery = deliveries.delivery_of(operation, batch)
    if delivery is None:
        end(operation, State.SUCCEEDED, batch, reports=reports)
        return
    revision = deliveries.note(operation, delivery._replace(stage=Stage.PENDING), batch)
    held = operation._replace(session=PUBLISHER, reports=reports)
    _next_stage_of(held, revision, batch)


def advance(operation: Operation, batch: Batch) -> None:
    """Take a delivery to its next stage; after the last the operation has succeeded."""
    delivery = deliveries.delivery_of(operation, batch)
    if delivery is None:
        end(operation, State.SUCCEEDED, batch)
    elif delivery.stage == Stage.PENDING:
        revision = deliveries.note(operation, delivery._replace(stage=Stage.ONGOING), batch)
        _next_stage_of(operation, revision, batch)
    else:
        deliveries.note(operation, delivery._replace(stage=Stage.COMPLETE), batch)
        end(operation, State.SUCCEEDED, batch)


def _next_stage_of(operation: Operation, revision: int, batch: Batch) -> None:
    """Let the next stage be due at once, but in a commit of its own."""
    batch.put(operation._replace(wake_time=AT_ONCE, update_time=batch.now, revision=revision))

"""Targets: the operation that a change names, and what refuses the change."""

from __future__ import annotations

from longshore.core.batch import Batch
from longshore.core.callers import Target
from longshore.core.errors import OperationNotFound, WrongState
from longshore.core.ids import text_of
from longshore.core.operations import Operation, State


def find(target: Target, tenant: str, kind: int | None, batch: Batch) -> Operation:
    """Return an operation of a tenant. Raises `OperationNotFound`."""
    operation = batch.find(target, tenant, kind)
    if operation is None:
        raise OperationNotFound(str(target) if isinstance(target, int) else text_of(target))
    return operation


def refusal(operation: Operation, wanted: str) -> WrongState:
    """Return what says that an operation is in another state than was wanted."""
    return WrongState(text_of(operation.id), State(operation.state).name, wanted)


def wake_time_of(not_before: int | None, now: int, *, held: bool) -> int | None:
    """Return when what is queued, or held, begins to wait; None: now, or not by itself."""
    if held or not_before is None or not_before <= now:
        return None
    return not_before

"""Concurrency keys: at most so many live leases of operations that share one.

What cannot be leased for its key is parked, outside the index that leasing reads, so that a
thousand of one key are not looked at again and again. Whenever a lease with the key ends, the
first of the parked compete again. The first of each lane, because the next of another may
wait for its worker or its queue; and the first of each limit, because limits may differ.

So of each lane and limit as many compete, before the first that is parked, as it could have
more leases. For that one more must compete for every lease that ends, and also for every
competitor that is held, canceled or moved; `LeaseLedger.given_up` counts both.
"""

from __future__ import annotations

from longshore.core.batch import Batch
from longshore.core.operations import PARKED, Operation
from longshore.core.policies import limit_of


def admits(operation: Operation, batch: Batch) -> bool:
    """Tell whether another lease with the key of an operation would keep to its limit."""
    key = operation.concurrency_key
    return key is None or batch.leases.count((operation.tenant, key)) < limit_of(operation)


def park(operation: Operation, batch: Batch) -> None:
    """Put an operation aside until a lease with its key ends. Nobody is told: it waits on."""
    batch.put(operation._replace(wake_time=PARKED))


def reopen(batch: Batch) -> None:
    """Let as many of the parked compete again as leases and places were given up."""
    leases = batch.leases
    while leases.given_up:
        key, count = leases.given_up.popitem()
        for operation in leases.parked(key, count):
            batch.put(competing(operation))


def competing(operation: Operation) -> Operation:
    """Return an operation that is parked no more."""
    return operation._replace(wake_time=None) if operation.parked else operation

"""Concurrency keys: at most so many live leases of operations that share one.

What cannot be leased for its key is parked, outside the index that leasing reads, so that a
thousand of one key are not looked at again and again. When a lease with the key ends, the
first of the parked compete again, in the order of their places.
"""

from __future__ import annotations

from typing import Final

from longshore.core import policies
from longshore.core.batch import Batch
from longshore.core.operations import PARKED, Operation

#: Parked operations that one ended lease is offered to, should their limits differ.
_LOOKED_AT: Final = 8


def limit_of(operation: Operation) -> int:
    """Return how many leases with its key there may be when it is leased."""
    return policies.decode(operation.policy).concurrency_limit


def admits(operation: Operation, batch: Batch) -> bool:
    """Tell whether another lease with the key of an operation would keep to its limit."""
    key = operation.concurrency_key
    return key is None or batch.leases(operation.tenant, key) < limit_of(operation)


def park(operation: Operation, batch: Batch) -> None:
    """Put an operation aside until a lease with its key ends. Nobody is told: it waits on."""
    batch.put(operation._replace(wake_time=PARKED))


def reopen(tenant: str, key: str, batch: Batch) -> None:
    """Let as many of the parked compete again as may now be leased."""
    leases = batch.leases(tenant, key)
    for operation in batch.parked(tenant, key, _LOOKED_AT):
        if leases < limit_of(operation):
            batch.put(operation._replace(wake_time=None))
            leases += 1

"""How long an operation may run, how often it is tried, and how long it is kept."""

from __future__ import annotations

import functools
import json
from typing import NamedTuple

from longshore.core import limits
from longshore.core.operations import Operation


class Policy(NamedTuple):
    """The options that decisions need later. Times and spans are milliseconds."""

    max_attempts: int = 3
    initial_backoff: int = 1_000
    backoff_multiplier: float = 2.0
    max_backoff: int = 300_000
    run_timeout: int | None = None  #: Of one attempt, from its lease.
    expire_after: int = limits.EXPIRE_AFTER_MS  #: From the end.
    not_before: int | None = None  #: Milliseconds since 1970.
    concurrency_limit: int = 0  #: Leases with its concurrency key, at most; 0: it has no key.
    delivery: int = 0  #: How its result is delivered, see `deliveries.Way`; 0: it is not.
    callback: bool = False  #: Whether its request asks for one.
    callback_of: int = 0  #: The number of the operation whose callback this is; 0: none.

    def encode(self) -> str | None:
        """Return the JSON of what differs from the defaults, or None if nothing does."""
        if self == DEFAULT:
            return None
        kept = {
            name: value
            for name, value, usual in zip(self._fields, self, DEFAULT, strict=True)
            if value != usual
        }
        return json.dumps(kept, separators=(",", ":"))

    def backoff(self, attempt: int) -> int:
        """Return the wait after the given failed attempt (from 1)."""
        # Bounded exponent: 2.0 ** 2000 would overflow long after max_backoff is reached.
        factor = self.backoff_multiplier ** min(attempt - 1, 64)
        return int(min(self.initial_backoff * factor, self.max_backoff))


DEFAULT = Policy()


@functools.lru_cache(maxsize=1_024)
def decode(text: str | None) -> Policy:
    """Return the policy that `Policy.encode` gave this text for."""
    return DEFAULT if text is None else Policy(**json.loads(text))


def limit_of(operation: Operation) -> int:
    """Return how many leases with its concurrency key there may be once it is leased."""
    return decode(operation.policy).concurrency_limit

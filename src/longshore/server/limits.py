"""Limits: how much one principal, and one address, may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLimits:
    """What is refused with `RateLimited`, or given up; None: no limit."""

    calls_per_principal: float | None = None  #: In a second, with bursts of a second's worth.
    #: The same, whoever calls; of version 6, networks of 64 bits count as one address.
    calls_per_address: float | None = None
    #: Watches, channels, uploads and workers that are open at once; of strangers by address.
    streams_per_principal: int = 2_000
    request_seconds: float = 60.0  #: In which the request of a call must have come whole.


DEFAULT: Final = AccessLimits()

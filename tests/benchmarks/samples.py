"""Numbers out of samples: medians, percentiles and spreads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least `share` (above 0, to 1) of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Sample:
    """What several rounds of one measurement gave: the middle, and how far they spread."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Self:
        """Sum up the rounds of a measurement. Raises `StatisticsError` without any."""
        return cls(median(rounds), min(rounds), max(rounds))

    @classmethod
    def ratio(cls, candidate: Sequence[float], baseline: Sequence[float]) -> Self:
        """Return the ratio round by round, so that what disturbs both cancels out."""
        return cls.of([one / other for one, other in zip(candidate, baseline, strict=True)])

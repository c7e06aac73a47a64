"""A figure: what was measured, against what, and what it should be; and the table of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.samples import Sample

_HOLDS: Final[dict[str, Callable[[float, float], bool]]] = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure is to reach: its ratio to the baseline, or the value itself."""

    sign: str  #: "≥" or "≤".
    bound: float
    of_ratio: bool = False

    def __str__(self) -> str:
        return f"{self.sign} {_number(self.bound)}{' ×' if self.of_ratio else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    value: Sample
    baseline: Sample | None = None
    baseline_name: str = ""
    ratio: Sample | None = None
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met by the median; None without a target."""
        if self.target is None:
            return None
        judged = self.ratio if self.target.of_ratio else self.value
        assert judged is not None
        return _HOLDS[self.target.sign](judged.median, self.target.bound)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "value": _json(self.value),
            "baseline_name": self.baseline_name,
            "baseline": _json(self.baseline),
            "ratio": _json(self.ratio),
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


_HEADINGS: Final = ("figure", "value", "unit", "baseline", "ratio", "target", "")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of text, columns aligned."""
    rows = [_HEADINGS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, str, str, str, str, str, str]:
    baseline = ""
    if figure.baseline is not None:
        baseline = f"{_number(figure.baseline.median)}  {figure.baseline_name}"
    return (
        figure.name,
        _spread(figure.value),
        figure.unit,
        baseline,
        "" if figure.ratio is None else f"{_spread(figure.ratio)} ×",
        "" if figure.target is None else str(figure.target),
        {True: "met", False: "MISSED", None: ""}[figure.met],
    )


def _spread(sample: Sample) -> str:
    if sample.low == sample.high:
        return _number(sample.median)
    return f"{_number(sample.median)} ({_number(sample.low)}–{_number(sample.high)})"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _json(sample: Sample | None) -> dict[str, float] | None:
    if sample is None:
        return None
    return {"median": sample.median, "low": sample.low, "high": sample.high}

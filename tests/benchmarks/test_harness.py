"""The harness works: figures are computed right, and every part of it runs. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figure, Target, table
from tests.benchmarks.processes import ROOT
from tests.benchmarks.samples import Sample, percentile


def test_a_percentile_is_a_sample_that_was_taken() -> None:
    samples = [4.0, 1.0, 3.0, 2.0]
    assert [percentile(samples, share) for share in (0.01, 0.5, 0.51, 1.0)] == [1, 2, 3, 4]


def test_ratios_are_taken_round_by_round() -> None:
    assert Sample.ratio([2, 30, 400], [1, 10, 100]) == Sample(3, 2, 4)


@pytest.mark.parametrize(
    "sign, value, met", [("≥", 8, True), ("≥", 7, False), ("≤", 8, True), ("≤", 9, False)]
)
def test_a_figure_meets_its_target_by_the_median(sign: str, value: float, met: bool) -> None:
    target = Target(sign=sign, bound=8)
    figure = Figure(name="speed", unit="m/s", value=Sample(value, 0, 100), target=target)
    assert figure.met is met


def test_a_target_of_a_ratio_is_not_met_by_the_value() -> None:
    target = Target(sign="≥", bound=0.6, of_ratio=True)
    figure = Figure(
        name="speed",
        unit="m/s",
        value=Sample.of([9_000]),
        baseline=Sample.of([18_000]),
        baseline_name="bare",
        ratio=Sample.of([0.5]),
        target=target,
    )
    lines = table([figure]).splitlines()
    assert lines[2].split() == [
        "speed",
        "9,000",
        "m/s",
        "18,000",
        "bare",
        "0.5",
        "×",
        "≥",
        "0.6",
        "×",
        "MISSED",
    ]


# A machine that has more to do takes minutes for it.
@pytest.mark.timeout(600)
def test_a_quick_run_measures_all_that_is_asked_for(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    wanted = {
        "end-to-end": "submit → end, 1,000 no-ops, one worker",
        "get": "status look-up of 1,000 ids",
        "keys": "lease among 1,000 fairness keys, in the store",
        "files": "upload of 16 MiB",
        "channels": "a channel delivers 1,000 small results to one listener",
        "access": "a token that is known",
        "breakdown": "a unary submit, on the event loop",
        "postgres-submit": "PostgreSQL: batch submit, 1000 a call",
        "scale": "1,000 wait, 1,000 ended: list 100 in the middle",
        "holds": "PostgreSQL: 2,000 expire in 5 batches: longest",
    }
    asked = [word for section in wanted for word in ("--only", section)]
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", *asked]
    subprocess.run([*command, "--json", str(report)], cwd=ROOT, check=True, capture_output=True)
    figures = json.loads(report.read_text())["figures"]
    names = {figure["name"] for figure in figures}
    assert names >= set(wanted.values())
    assert "submit, 64 in flight" not in names
    assert all(figure["value"]["median"] >= 0 for figure in figures)

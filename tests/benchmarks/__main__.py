"""`python -m tests.benchmarks`: measure, and print one table of ratios.

Every figure is measured against a baseline of its own, in the same run and in turn with it, on
the real server, worker and SQLite file. Needs Linux: processor time and memory are read from /proc.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import uvloop

from tests.benchmarks import (
    access,
    batches,
    breakdown,
    channels,
    end_to_end,
    files,
    gateway,
    holds,
    keys,
    latency,
    leasing,
    postgres_queues,
    postgres_submit,
    queues,
    scale,
    submit,
    watchers,
)
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.machine import Neighbours, settings

SECTIONS: Final[dict[str, Callable[[Bench], Awaitable[list[Figure]]]]] = {
    "submit": submit.measure,
    "batch": batches.measure_submit,
    "end-to-end": end_to_end.measure,
    "queues": queues.measure,
    "latency": latency.measure,
    "get": batches.measure_get,
    "leasing": leasing.measure,
    "keys": keys.measure,
    "watchers": watchers.measure,
    "files": files.measure,
    "channels": channels.measure,
    "access": access.measure,
    "gateway": gateway.measure,
    "breakdown": breakdown.measure,
    "postgres-queues": postgres_queues.measure,
    "postgres-submit": postgres_submit.measure,
    "scale": scale.measure,
    "holds": holds.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; print the table; return 0 whatever the figures are."""
    options = _parsed(arguments)
    names: list[str] = options.only or list(SECTIONS)
    # Ends like an interrupt, so that no process and no file is left behind.
    signal.signal(signal.SIGTERM, _interrupt)
    if options.profile:
        options.profile.mkdir(parents=True, exist_ok=True)
    neighbours = Neighbours()
    with tempfile.TemporaryDirectory(prefix="longshore-benchmarks-") as directory:
        figures = uvloop.run(_measure(names, _bench(Path(directory), options)))
    facts = settings(quick=options.quick, taken_by_others=neighbours.cores())
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), end="\n\n")
    print(table(figures))
    if options.json:
        report = {"settings": facts, "figures": [figure.as_json() for figure in figures]}
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return 0


def _bench(directory: Path, options: argparse.Namespace) -> Bench:
    return Bench(
        directory, options.quick, options.waiting, options.ended, profiles=options.profile
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="only prove that all of it works")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="measure this alone")
    parser.add_argument("--waiting", type=int, default=100_000, help="in a large store")
    parser.add_argument("--ended", type=int, default=1_000_000, help="in a large store")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="profile the servers")
    return parser.parse_args(arguments)


async def _measure(names: Sequence[str], bench: Bench) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        print(f"{name}", file=sys.stderr, flush=True)
        figures += await SECTIONS[name](bench)
    return figures


if __name__ == "__main__":
    sys.exit(main())

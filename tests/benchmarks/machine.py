"""What a run was made on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import postgres, postgres_queues


class Neighbours:
    """How many cores other programs took since this was made; they disturb what is measured."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def cores(self) -> float:
        """Ask only when all processes of ours have ended: they are counted at their end."""
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(0.0, others / (time.monotonic() - self._begin))


def settings(*, quick: bool, taken_by_others: float) -> dict[str, str]:
    """Return the facts of machine and run by name."""
    libraries = " · ".join(
        f"{name} {version(name)}" for name in ("grpcio", "protobuf", "uvloop")
    )
    return {
        "machine": f"{os.cpu_count()} cores, {_memory_gibibytes():.0f} GiB, {platform.platform()}",
        "software": f"Python {platform.python_version()} · SQLite {sqlite3.sqlite_version} · {libraries}",
        "store": f"a SQLite file on {_file_system(Path(tempfile.gettempdir()))}, WAL, synchronous=FULL",
        "other store": f"PostgreSQL 18 over loopback, {postgres.DESCRIPTION}",
        "queues on PostgreSQL": postgres_queues.SETTINGS,
        "other programs": f"took {taken_by_others:.2f} of {os.cpu_count()} cores meanwhile",
        "kind of run": "quick: proves that all of it works, figures mean nothing"
        if quick
        else "full: medians, with the lowest and highest round",
    }


def _busy_seconds() -> float:
    """Return the processor time of all programs, and what the host took, since the start."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = fields
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    return sum(os.times()[:4])


def _memory_gibibytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds a path, as the kernel mounted it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]))[1]

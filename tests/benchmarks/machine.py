"""What a run was made on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
from importlib.metadata import version
from pathlib import Path


def settings(*, quick: bool) -> dict[str, str]:
    """Return the facts of machine and run by name."""
    libraries = " · ".join(
        f"{name} {version(name)}" for name in ("grpcio", "protobuf", "uvloop")
    )
    return {
        "machine": f"{os.cpu_count()} cores, {_memory_gibibytes():.0f} GiB, {platform.platform()}",
        "software": f"Python {platform.python_version()} · SQLite {sqlite3.sqlite_version} · {libraries}",
        "store": f"a SQLite file on {_file_system(Path(tempfile.gettempdir()))}, WAL, synchronous=FULL",
        "load by others": f"{os.getloadavg()[0]:.2f} in the last minute, our own included",
        "kind of run": "quick: proves that all of it works, figures mean nothing"
        if quick
        else "full: medians, with the lowest and highest round",
    }


def _memory_gibibytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds a path, as the kernel mounted it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]))[1]

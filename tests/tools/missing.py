"""The command where libraries are not installed that only some of it needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence


def call_without(missing: Sequence[str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run `longshore` in a process of its own, which cannot import what is missing."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({list(missing)!r})); "
        "from longshore.cli.main import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

"""The `longshore` command where the clock is wrong, by `CLOCK_AHEAD_SECONDS` of the environment.

Run as `python -m tests.acceptance.elsewhen serve …`.
"""

from __future__ import annotations

import os
import time

from longshore.cli.main import main

_right_time, _right_nanoseconds = time.time, time.time_ns


def set_clock(seconds: float) -> None:
    """Let everything in this process believe that it is so much later, or earlier."""
    time.time = lambda: _right_time() + seconds
    time.time_ns = lambda: _right_nanoseconds() + round(seconds * 1e9)


if __name__ == "__main__":
    set_clock(float(os.environ["CLOCK_AHEAD_SECONDS"]))
    main()

"""A worker of another queue: `python -m tests.benchmarks.other_worker QUEUE FILE SLOTS`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.other_queues import OTHER_QUEUES

if __name__ == "__main__":
    name, file, slots = sys.argv[1:]
    OTHER_QUEUES[name](Path(file)).work(int(slots))

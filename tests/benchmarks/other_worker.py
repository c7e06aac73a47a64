"""A worker of another queue: `python -m tests.benchmarks.other_worker QUEUE PLACE SLOTS`."""

from __future__ import annotations

import sys

from tests.benchmarks.other_queues import OTHER_QUEUES

if __name__ == "__main__":
    name, place, slots = sys.argv[1:]
    OTHER_QUEUES[name](place).work(int(slots))

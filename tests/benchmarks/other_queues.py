"""Queues that a Python user would otherwise pick, and that need no server of their own.

Each keeps its work in a SQLite file, in the most durable way that it has. Celery, dramatiq, rq
and taskiq are not among them: all need a broker, and what they have in place of one is for
tests or not kept up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from tests.benchmarks.messages import ARGUMENTS

#: Both look again so soon when they have found nothing. By default huey waits from 0.1 to 10 s.
_LOOK_AGAIN_SECONDS: Final = 0.01


def noop(path: str, size: int, deep: bool) -> None:
    """Do nothing with three arguments."""


class OtherQueue(Protocol):
    """A queue over a file. Submits and counts in one process, works in another."""

    def submit(self, count: int) -> None:
        """Submit no-ops, each durable when the next begins: neither has a call for many."""

    def done(self) -> int:
        """Return how many were done, ever, and are known on disk to be."""
        ...

    def work(self, slots: int) -> None:
        """Run what was submitted, on as many threads, until the process is ended."""


class Huey:
    """huey with `SqliteHuey`: WAL, `fsync=True` is `synchronous=FULL`.

    Results are kept also of what returns nothing, because a worker takes a task out of the
    file before it runs it: nothing else would say on disk that it is done.
    """

    def __init__(self, path: Path) -> None:
        huey: Any = import_module("huey")
        self._huey = huey.SqliteHuey(filename=str(path), fsync=True, store_none=True)
        self._noop = self._huey.task()(noop)

    def submit(self, count: int) -> None:
        for _ in range(count):
            self._noop(**ARGUMENTS)

    def done(self) -> int:
        count: int = self._huey.result_count()
        return count

    def work(self, slots: int) -> None:
        delays = {"initial_delay": _LOOK_AGAIN_SECONDS, "max_delay": _LOOK_AGAIN_SECONDS}
        self._huey.create_consumer(workers=slots, periodic=False, **delays).run()


class PersistQueue:
    """persist-queue with `SQLiteAckQueue`: WAL, and SQLite's default of `synchronous=FULL`.

    A queue alone: what takes from it, runs and acknowledges is written here.
    """

    def __init__(self, path: Path) -> None:
        library: Any = import_module("persistqueue")
        self._empty: type[Exception] = library.Empty
        self._queue = library.SQLiteAckQueue(str(path), multithreading=True, timeout=60.0)

    def submit(self, count: int) -> None:
        for _ in range(count):
            self._queue.put(ARGUMENTS)

    def done(self) -> int:
        count: int = self._queue.acked_count()
        return count

    def work(self, slots: int) -> None:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_LOOK_AGAIN_SECONDS, raw=True)
            except self._empty:
                continue
            noop(**item["data"])
            self._queue.ack(item)


#: By the name of the package.
OTHER_QUEUES: Final[dict[str, Callable[[Path], OtherQueue]]] = {
    "huey": Huey,
    "persist-queue": PersistQueue,
}

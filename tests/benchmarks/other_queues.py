"""Queues that a Python user would otherwise pick, and that need no server of their own.

Each keeps its work in a SQLite file, in the most durable way that it has, or in a PostgreSQL
database. Celery, dramatiq, rq
and taskiq are not among them: all need a broker, and what they have in place of one is for
tests or not kept up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol

from tests.benchmarks.messages import ARGUMENTS, BATCH

#: Both look again so soon when they have found nothing. By default huey waits from 0.1 to 10 s.
_LOOK_AGAIN_SECONDS: Final = 0.01

_NOT_DONE: Final = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"


def noop(path: str, size: int, deep: bool) -> None:
    """Do nothing with three arguments."""


async def _noop_on_the_loop(path: str, size: int, deep: bool) -> None:
    """Do nothing with three arguments, without a thread."""


class OtherQueue(Protocol):
    """A queue over a file or a database. Submits and counts in one process, works in another."""

    def submit(self, count: int) -> None:
        """Submit no-ops, many at once if it has a call for that; durable at the end."""

    def done(self) -> int:
        """Return how many were done, ever, and are known on disk to be."""
        ...

    def work(self, slots: int) -> None:
        """Run what was submitted, on as many threads, until the process is ended."""


class Huey:
    """huey with `SqliteHuey`: WAL, `fsync=True` is `synchronous=FULL`. One submit after another.

    Results are kept also of what returns nothing, because a worker takes a task out of the
    file before it runs it: nothing else would say on disk that it is done.
    """

    def __init__(self, path: str) -> None:
        huey: Any = import_module("huey")
        self._huey = huey.SqliteHuey(filename=path, fsync=True, store_none=True)
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

    One submit after another. A queue alone: what takes from it, runs and acknowledges is written here.
    """

    def __init__(self, path: str) -> None:
        library: Any = import_module("persistqueue")
        self._empty: type[Exception] = library.Empty
        self._queue = library.SQLiteAckQueue(path, multithreading=True, timeout=60.0)

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


class Procrastinate:
    """procrastinate with `PsycopgConnector`; its tables are made if there are none.

    Jobs are deferred a thousand at a time, run on one event loop, and heard of by `NOTIFY`.
    The pool has a connection for each job that may begin or end at the same moment.
    """

    def __init__(self, url: str) -> None:
        self._library: Any = import_module("procrastinate")
        # `max_size` of the pool; more only wait for each other.
        connector = self._library.PsycopgConnector(conninfo=url, min_size=4, max_size=16)
        self._app = self._library.App(connector=connector)
        self._noop = self._app.task(name="noop")(_noop_on_the_loop)
        self._url = url
        self._submitted = 0

    def prepare(self) -> None:
        """Make the tables."""
        with self._app.open():
            self._app.schema_manager.apply_schema()

    def submit(self, count: int) -> None:
        with self._app.open():
            for start in range(0, count, BATCH):
                self._noop.batch_defer(*[ARGUMENTS] * min(BATCH, count - start))
        self._submitted += count

    def done(self) -> int:
        # What is not done has an index.
        with import_module("psycopg").connect(self._url) as connection:
            (left,) = connection.execute(_NOT_DONE).fetchone()
        return self._submitted - int(left)

    def work(self, slots: int) -> None:
        self._app.run_worker(concurrency=slots, listen_notify=True)


#: By the name of the package.
OTHER_QUEUES: Final[dict[str, Callable[[str], OtherQueue]]] = {
    "huey": Huey,
    "persist-queue": PersistQueue,
    "procrastinate": Procrastinate,
}

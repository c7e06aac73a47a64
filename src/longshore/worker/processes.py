"""A pool of spawned processes that is made anew when one of them is killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_SPAWN: Final = multiprocessing.get_context("spawn")  # gRPC does not survive a fork


class ProcessPool(Executor):
    """As many processes as the machine has cores, started when first needed.

    They end with this process, however it ends: each waits for the end of a pipe that only
    this process can write to.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None
        self._alive: Connection | None = None

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in a process. Its future fails with `BrokenExecutor` if that dies."""
        if self._pool is not None:
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self.shutdown()
        self._pool = self._start()
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """End the processes at once, also those at work."""
        if self._pool is not None and self._alive is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._alive.close()
            self._pool = self._alive = None

    def _start(self) -> ProcessPoolExecutor:
        watched, self._alive = _SPAWN.Pipe(duplex=False)
        return ProcessPoolExecutor(
            self._size, mp_context=_SPAWN, initializer=_prepare, initargs=(watched,)
        )


def _prepare(watched: Connection) -> None:
    """Leave Ctrl-C to the worker, and end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        watched.recv_bytes()
    os._exit(1)

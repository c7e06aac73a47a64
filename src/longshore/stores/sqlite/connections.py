"""Connections to the file, and the edge at which sqlite3's errors become the domain's."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from filelock import BaseFileLock, FileLock, Timeout

from longshore.core.errors import StoreUnavailable

_T = TypeVar("_T")

_THREADS: Final = 3  #: Lists and replays that are read at once.
_BUSY_SECONDS: Final = 1.0  #: How long a foreign program may hold the file's lock.
_WAL_PAGES: Final = 8_192  #: 32 MiB: rewriting a page many times costs one checkpoint.


def take_lock(path: Path) -> BaseFileLock:
    """Have a file for oneself until the lock is released, or this process ends.

    Raises `StoreUnavailable` if somebody else has it.
    """
    lock = FileLock(f"{path}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StoreUnavailable(
            f"another server has the store {path}: it holds {path}.lock"
        ) from error
    except OSError as error:
        raise StoreUnavailable(f"the store {path} cannot be locked: {error}") from error
    return lock


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection whose commits are on disk when they return.

    It begins no transaction by itself. Whoever uses it sees to it that no two threads do so
    at once.
    """
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write."""
    connection = connect(path)
    connection.execute("PRAGMA query_only = 1")
    return connection


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Let no sqlite3 error leave this package."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store cannot be used: {error}") from error


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None]:
    """Let all queries see one state of the store, that of the first of them."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # A disk error may have ended it already.
            connection.execute("ROLLBACK")


class Readers:
    """Reads lists and replays in a few helper threads, each on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="longshore-read")
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()

    async def read(self, function: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what the function reads in one snapshot."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, function)

    def _read(self, function: Callable[[sqlite3.Connection], _T]) -> _T:
        with translated():
            connection = self._borrow()
            try:
                with snapshot(connection):
                    return function(connection)
            finally:
                self._idle.put(connection)

    def _borrow(self) -> sqlite3.Connection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return connect_reader(self._path)

    async def close(self) -> None:
        """Let what is being read end, then close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        while not self._idle.empty():
            self._idle.get_nowait().close()

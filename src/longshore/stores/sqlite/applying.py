"""Batches: decided and written on the event loop's thread, committed in a helper thread."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlite_utils import Database

from longshore.core.batch import Batch
from longshore.core.changes import Change
from longshore.core.decide import decide_all
from longshore.core.errors import OutcomeUnknown, StoreUnavailable
from longshore.core.operations import Operation, State
from longshore.core.plans import Codec
from longshore.core.store import Applied
from longshore.stores.sqlite.catalogs import Catalogs
from longshore.stores.sqlite.connections import translated
from longshore.stores.sqlite.head import load_head, write_head
from longshore.stores.sqlite.installation import write_installation
from longshore.stores.sqlite.rows import SqliteRows
from longshore.stores.sqlite.writes import write

_RUNNING: Final = int(State.RUNNING)

#: How many leased operations are kept in memory: a report will soon name each of them.
_REMEMBERED: Final = 20_000

#: A commit so long after the one before is made where it was decided: nobody else is calling.
_QUIET_SECONDS: Final = 0.005


class Applier:
    """Applies changes on the writing connection.

    Statements run on the event loop's thread, where nobody competes for the interpreter. Only
    COMMIT, which waits for the disk, runs in a helper thread while many call, so that the next
    batch gathers meanwhile. So two threads use the connection, but never both at once.
    """

    def __init__(self, database: Database, codec: Codec, clock: Callable[[], int]) -> None:
        self._database = database
        self._connection: sqlite3.Connection = database.conn
        self._codec = codec
        self._clock = clock
        self._head = load_head(self._connection)
        self._running: dict[int, Operation] = {}
        self.catalogs = Catalogs()
        self._committed_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="longshore-commit")

    def close(self) -> None:
        """Close the connection, which also tidies up the file; it may take a while."""
        self._thread.shutdown()
        self._connection.close()

    async def apply(self, changes: Sequence[Change]) -> Applied:
        """Apply all changes at once or, if that fails, each alone, so that one fails alone."""
        try:
            return await self._apply(changes)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  Whatever it is, it fails one change.
            if len(changes) > 1:
                parts = await self._apply_each(changes)
            else:
                parts = [self._refused(error)]
        return self._merged(parts)

    async def _apply_each(self, changes: Sequence[Change]) -> list[Applied]:
        parts: list[Applied] = []
        for change in changes:
            try:
                parts.append(await self._apply([change]))
            except StoreUnavailable as error:
                # Nothing more can be tried, so the rest is told the same.
                missing = len(changes) - len(parts)
                return [*parts, *[self._refused(error)] * missing]
            except Exception as error:  # noqa: BLE001  Whatever it is, it fails one change.
                parts.append(self._refused(error))
        return parts

    async def _apply(self, changes: Sequence[Change]) -> Applied:
        """Apply changes in one transaction.

        Raises `StoreUnavailable` if it cannot begin, `OutcomeUnknown` if the commit was lost,
        and whatever a decision or a statement raises; then nothing was written.
        """
        with translated():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            rows = SqliteRows(self._connection, self._running)
            batch = Batch(self._head, rows, self._codec, self._clock())
            batch.remember(rows.preload(changes))
            outcomes = decide_all(changes, batch)
            if batch.writes:
                write(batch, self._connection)
                write_installation(batch, self._database)
                write_head(batch, self._database)
                if time.monotonic() - self._committed_at > _QUIET_SECONDS:
                    self._commit_here(batch)
                else:
                    await self._commit(batch)
            else:
                self._connection.execute("ROLLBACK")
                batch.commit_to_head()
        except BaseException:
            self._roll_back()
            raise
        head = self._head
        return Applied(
            outcomes, batch.events, batch.records, head.revision, head.next_wake, batch.now
        )

    def _commit_here(self, batch: Batch) -> None:
        """Commit on the loop's thread.

        When hardly anybody calls, waking another thread and being woken by it takes longer
        than the disk does.
        """
        with _told_apart():
            self._connection.execute("COMMIT")
        self._take_over(batch)

    async def _commit(self, batch: Batch) -> None:
        """Commit and make it the head, also if the caller is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        committing = loop.run_in_executor(self._thread, self._connection.execute, "COMMIT")
        try:
            with _told_apart():
                await asyncio.shield(committing)
        except asyncio.CancelledError:
            await _end_of(committing)
            if committing.exception() is None:
                self._take_over(batch)
            raise
        self._take_over(batch)

    def _take_over(self, batch: Batch) -> None:
        self._committed_at = time.monotonic()
        batch.commit_to_head()
        self.catalogs.note(batch)
        self._remember_running(batch)

    def _remember_running(self, batch: Batch) -> None:
        running = self._running
        for number, operation in batch.operations.items():
            if operation.state == _RUNNING:
                running[number] = operation
            else:
                running.pop(number, None)
        while len(running) > _REMEMBERED:
            del running[next(iter(running))]

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _refused(self, error: Exception) -> Applied:
        head = self._head
        outcomes: list[object] = [_outcome_of(error)]
        return Applied(outcomes, [], dict, head.revision, head.next_wake, self._clock())

    def _merged(self, parts: Sequence[Applied]) -> Applied:
        """Return what all parts did. Raises `StoreUnavailable` if none could be written."""
        outcomes = [outcome for part in parts for outcome in part.outcomes]
        if all(isinstance(outcome, Exception) for outcome in outcomes):
            for outcome in outcomes:
                if isinstance(outcome, StoreUnavailable):
                    raise outcome
        return Applied(
            outcomes,
            [event for part in parts for event in part.events],
            lambda: {number: one for part in parts for number, one in part.created().items()},
            self._head.revision,
            self._head.next_wake,
            self._clock(),
        )


async def _end_of(future: asyncio.Future[sqlite3.Cursor]) -> None:
    """Wait for what cannot be stopped, however often the waiting task is cancelled."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({future})


@contextlib.contextmanager
def _told_apart() -> Generator[None]:
    """Let a commit that may have happened be told from one that has not."""
    try:
        yield
    except sqlite3.Error as error:
        # After a failed sync the commit may be found in the log by the next start.
        if _is_disk_error(error):
            raise OutcomeUnknown from error
        raise


def _is_disk_error(error: sqlite3.Error) -> bool:
    # The lowest byte is the kind of error, the others say which call failed.
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR


def _outcome_of(error: Exception) -> Exception:
    """Return what a change is told that could not be written, in words of the domain."""
    if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)):
        outcome: Exception = ValueError(f"the change cannot be stored: {error}")
    elif isinstance(error, sqlite3.Error):
        outcome = StoreUnavailable(f"the store cannot be written: {error}")
    else:
        return error
    outcome.__cause__ = error
    return outcome

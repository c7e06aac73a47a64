"""Batches: decided and written under the lock of one row, committed, and heard of by others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from longshore.core.batch import Batch
from longshore.core.changes import Change
from longshore.core.decide import decide_all
from longshore.core.errors import StoreUnavailable
from longshore.core.operations import Operation, Record, State
from longshore.core.plans import Codec
from longshore.core.store import Applied
from longshore.stores.postgres import bridge
from longshore.stores.postgres.connections import DATABASE_ERRORS, Connection, Writing
from longshore.stores.postgres.faults import (
    is_of_a_change,
    outcome_of,
    outcome_of_commit,
)
from longshore.stores.postgres.files import write_files
from longshore.stores.postgres.following import Follower
from longshore.stores.postgres.head import Tip, lock_tip, read_tip, write_head
from longshore.stores.postgres.installation import write_installation
from longshore.stores.postgres.preloading import preload
from longshore.stores.postgres.rows import PostgresRows
from longshore.stores.postgres.script import Script
from longshore.stores.postgres.writes import write

_RUNNING: Final = int(State.RUNNING)

#: How many leased operations are kept in memory: a report will soon name each of them.
_REMEMBERED: Final = 20_000

# Whoever holds the lock and falls silent must not hold up everybody for long.
_TIMEOUTS: Final = """
    SET LOCAL statement_timeout = '5s';
    SET LOCAL lock_timeout = '5s';
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SET LOCAL jit = off;
"""
# A batch is about few rows, and each of them is found by an index, whatever the statistics say:
# they may be those of a table that was empty a moment ago. So a statement may be planned once,
# not anew for every batch.
BEGIN: Final = f"""
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    {_TIMEOUTS}
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off;
    SET LOCAL plan_cache_mode = force_generic_plan
"""
_SNAPSHOT: Final = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_TIMEOUTS}"
_UNDO: Final = "ROLLBACK TO SAVEPOINT alone; RELEASE SAVEPOINT alone"


class _Written(NamedTuple):
    """A batch that was decided, and written if there was anything to write."""

    batch: Batch
    outcomes: list[object]
    wrote: bool


#: What became of changes that were applied together; an error refuses all of them.
_Part: TypeAlias = _Written | Exception


class Applier:
    """Applies changes on the writing connection, one batch at a time."""

    def __init__(self, writing: Writing, codec: Codec, clock: Callable[[], int] | None) -> None:
        self._writing = writing
        self._codec = codec
        self._clock = clock
        self._follower = Follower()
        self._running: dict[int, Operation] = {}
        self._time = 0  # Of the latest batch.

    async def open(self) -> None:
        """Read the small state. Raises `StoreUnavailable`."""
        await self.news()

    async def apply(self, changes: Sequence[Change]) -> Applied:
        """Apply all changes at once or, if that fails, each by itself, so that one fails alone.

        What has begun is brought to an end, also if the caller is cancelled meanwhile; then
        the next call tells what has happened. Raises `StoreUnavailable` if nothing could be
        written, `OutcomeUnknown` if the commit was lost.
        """
        applying = asyncio.ensure_future(self._apply(changes))
        try:
            return await asyncio.shield(applying)
        except asyncio.CancelledError:
            await _end_of(applying)
            if not applying.cancelled() and applying.exception() is None:
                self._follower.tell_again(applying.result())
            raise

    async def _apply(self, changes: Sequence[Change]) -> Applied:
        try:
            parts = await self._write([changes])
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  Whatever it is, it fails one change.
            alone = [[change] for change in changes]
            parts = [outcome_of(error)] if len(changes) == 1 else await self._write(alone)
        return self._applied(parts)

    async def news(self) -> Applied | None:
        """Return what others have committed, a part of it at a time; None if nothing is left."""
        follower = self._follower
        async with self._connected() as connection:
            await connection.execute(_SNAPSHOT)
            tip = await read_tip(connection)
            known = follower.knows(tip)
            if not known:
                await self._catch_up(tip, connection)
                await follower.read_news(tip, connection)
            await connection.execute("COMMIT")
        self._time = self._now(tip)
        return None if known and not follower.has_untold else self._applied([])

    async def _write(self, groups: Sequence[Sequence[Change]]) -> list[_Part]:
        """Apply groups of changes in one transaction.

        If there are several each may fail by itself, else whatever is raised is raised, and
        nothing was written.
        """
        parts: list[_Part] = []
        async with self._connected() as connection:
            tip = await self._lock(connection)
            try:
                for changes in groups:
                    write = self._write_group if len(groups) == 1 else self._write_alone
                    parts.append(await write(changes, tip, connection))
                if any(isinstance(part, _Written) and part.wrote for part in parts):
                    await self._commit(parts, tip.version + 1, connection)
                else:
                    await connection.execute("ROLLBACK")
            except BaseException:
                if parts:  # The head has taken over what is not committed.
                    self._follower.forget()
                raise
        return parts

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        """Lend the connection, and end its transaction if anything is raised.

        What is wrong with the database, not with a change, is raised as `StoreUnavailable`.
        """
        connection = await self._writing.connection()
        try:
            yield connection
        except Exception as error:
            if is_of_a_change(error):
                await self._roll_back(connection)
                raise
            self._writing.drop()
            outcome = outcome_of(error)
            if outcome is error:
                raise
            raise outcome from error
        except BaseException:
            self._writing.drop()  # What it was doing may not be over.
            raise

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except DATABASE_ERRORS:
            self._writing.drop()

    async def _lock(self, connection: Connection) -> Tip:
        """Begin to write: nobody else does until the transaction ends."""
        follower = self._follower
        while True:
            await connection.execute(BEGIN)
            tip = await lock_tip(connection)
            if follower.is_near(tip):
                break
            await connection.execute("ROLLBACK")
            await connection.execute(_SNAPSHOT)
            await follower.read_events(tip.revision, connection)
            await connection.execute("COMMIT")
        if not follower.knows(tip):
            await self._catch_up(tip, connection)
            await follower.read_events(tip.revision, connection)
        self._time = self._now(tip)
        return tip

    async def _catch_up(self, tip: Tip, connection: Connection) -> None:
        await self._follower.catch_up(tip, connection)
        self._running.clear()

    def _now(self, tip: Tip) -> int:
        """Return the time, which never goes back unless it is told from outside."""
        return max(tip.now, tip.time) if self._clock is None else self._clock()

    async def _write_alone(
        self, changes: Sequence[Change], tip: Tip, connection: Connection
    ) -> _Part:
        await connection.execute("SAVEPOINT alone")
        try:
            written = await self._write_group(changes, tip, connection)
        except Exception as error:
            if not is_of_a_change(error):
                raise
            await connection.execute(_UNDO)
            return outcome_of(error)
        await connection.execute("RELEASE SAVEPOINT alone")
        return written

    async def _write_group(
        self, changes: Sequence[Change], tip: Tip, connection: Connection
    ) -> _Written:
        rows = PostgresRows(connection, self._running)
        batch = Batch(self._follower.head, rows, self._codec, self._time)

        def decide() -> list[object]:
            preload(changes, batch, rows)
            return decide_all(changes, batch)

        outcomes = await bridge.run(decide)
        wrote = batch.writes
        if wrote:
            version, script = tip.version + 1, Script()
            await write(batch, script, connection)
            await write_files(batch.files, connection)
            await write_installation(batch, version, connection)
            await write_head(batch, tip, version, script, connection)
            await script.send(connection)
        batch.commit_to_head()
        return _Written(batch, outcomes, wrote)

    async def _commit(
        self, parts: Sequence[_Part], version: int, connection: Connection
    ) -> None:
        try:
            status = await connection.execute("COMMIT")
        except DATABASE_ERRORS as error:
            raise outcome_of_commit(error) from error
        if status != "COMMIT":
            raise StoreUnavailable("the store cannot be written: it rolled the batch back")
        self._follower.committed(version)
        for part in parts:
            if isinstance(part, _Written):
                self._remember_running(part.batch)

    def _remember_running(self, batch: Batch) -> None:
        running = self._running
        for number, operation in batch.operations.items():
            if operation.state == _RUNNING:
                running[number] = operation
            else:
                running.pop(number, None)
        while len(running) > _REMEMBERED:
            del running[next(iter(running))]

    def _applied(self, parts: Sequence[_Part]) -> Applied:
        """Return what all parts did. Raises `StoreUnavailable` if none could be written."""
        outcomes: list[object] = []
        for part in parts:
            outcomes += part.outcomes if isinstance(part, _Written) else [part]
        if outcomes and all(isinstance(outcome, Exception) for outcome in outcomes):
            for outcome in outcomes:
                if isinstance(outcome, StoreUnavailable):
                    raise outcome
        batches = [part.batch for part in parts if isinstance(part, _Written)]
        foreign, missed = self._follower.take_untold()
        return Applied(
            outcomes,
            [event for batch in batches for event in batch.events],
            lambda: _records(batches),
            self._follower.revision,
            self._follower.head.next_wake,
            self._time,
            foreign,
            missed,
        )


def _records(batches: Sequence[Batch]) -> dict[int, Record]:
    return {number: one for batch in batches for number, one in batch.records().items()}


async def _end_of(future: asyncio.Future[Any]) -> None:
    """Wait for what cannot be stopped, however often the waiting task is cancelled."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({future})

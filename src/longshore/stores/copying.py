"""Copies one store into another, row by row, and sees that both are the same in the end.

The target notes in each transaction how far it has come: how many rows of a table it has, and
their digest. Whoever goes on with a copy reads these rows of the source anew, so that a source
that has changed meanwhile is noticed, whatever has changed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from longshore.core.errors import StoreUnavailable
from longshore.stores.tables import TABLES, Row, Table

_BATCH_ROWS: Final = 5_000
_BATCH_BYTES: Final = 4 * 1024 * 1024
_DIGEST_BITS: Final = 256
_PROGRESS_OF_HEAD: Final = 5  #: So many of its columns are 0 as long as nothing has happened.

#: What somebody is told who wants to use the target of a copy.
UNFINISHED: Final = (
    "a copy into the store has not ended: let `longshore db copy` go on with it, or begin anew "
    "with an empty one"
)

Told: TypeAlias = Callable[[Table, int], None]
"""Is called with so many rows of a table that are through."""


def refuse_schema(store: object, applied: Sequence[str], pending: Sequence[str]) -> None:
    """Raise `StoreUnavailable` if the schema of a store is not that of this version."""
    if not applied:
        raise StoreUnavailable(f"there is nothing to be copied: {store} has no tables")
    if pending:
        raise StoreUnavailable(
            f"the store {store} was written by an older version of Longshore: `longshore db "
            "migrate` brings it to this one"
        )


class Side(Protocol):
    """A store that nobody else uses meanwhile. Its methods raise `StoreUnavailable`."""

    async def head(self) -> Row:
        """Return the columns `tables.HEAD`."""
        ...

    async def count(self, table: Table) -> int: ...

    def pages(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        """Return all rows, ordered by their key: `table.page` of them at a time."""
        ...


class Target(Side, Protocol):
    """A store that is copied into. Until it is finished no server opens it."""

    async def note(self) -> str | None:
        """Return what was noted of a copy that has not ended; None: there is none."""
        ...

    async def begin(self, note: str) -> None:
        """Note that a copy has begun into this store, in which nothing is."""
        ...

    async def write(self, table: Table, rows: Sequence[Row], before: str, after: str) -> None:
        """Write rows and a new note at once. Refuses it if the note was another than before."""
        ...

    async def finish(self, head: Row, note: str) -> None:
        """Set the head, and forget that this was a copy."""
        ...


class Tally(NamedTuple):
    """Rows in any order: how many, and the sum of their digests."""

    rows: int = 0
    sum: int = 0

    def plus(self, rows: Sequence[Row]) -> Tally:
        total = self.sum
        for row in rows:
            # How Python writes a row in ASCII says everything, types included.
            digest = hashlib.sha256(ascii(row).encode("ascii")).digest()
            total += int.from_bytes(digest)
        return Tally(self.rows + len(rows), total % (1 << _DIGEST_BITS))

    @property
    def digest(self) -> str:
        return f"{self.sum:0{_DIGEST_BITS // 4}x}"


@dataclass(frozen=True, slots=True)
class _Note:
    """How far a copy has come, and of what."""

    source: str
    head: Sequence[int]
    done: Mapping[str, Tally] = dataclasses.field(default_factory=dict[str, Tally])

    def encode(self) -> str:
        done = {name: (tally.rows, tally.digest) for name, tally in self.done.items()}
        return json.dumps({"source": self.source, "head": self.head, "done": done})

    @classmethod
    def decode(cls, text: str) -> _Note:
        kept = json.loads(text)
        done = {name: Tally(rows, int(sum_, 16)) for name, (rows, sum_) in kept["done"].items()}
        return cls(kept["source"], kept["head"], done)

    def of(self, table: Table) -> Tally:
        return self.done.get(table.name, Tally())

    def after(self, table: Table, tally: Tally) -> _Note:
        return dataclasses.replace(self, done={**self.done, table.name: tally})


class Copier:
    """Makes a target the same as a source; may be asked again after it was interrupted."""

    def __init__(self, source: Side, name: str, target: Target) -> None:
        """Take the name of the source as people are told it."""
        self._source = source
        self._name = name
        self._target = target
        self._note = _Note(name, ())

    async def rows(self) -> int:
        """Return how many rows are to be copied."""
        return sum([await self._source.count(table) for table in TABLES])

    async def copy(self, told: Told) -> None:
        """Copy all rows that the target does not have yet.

        Raises `StoreUnavailable`; also if the target has anything else.
        """
        await self._begin()
        for table in TABLES:
            tally = Tally()
            async with aclosing(self._batches(table)) as batches:
                async for batch in batches:
                    tally = await self._take(table, tally, batch)
                    told(table, len(batch))
            if tally != self._note.of(table):
                raise self._changed()

    async def verify(self, told: Told) -> Mapping[str, Tally]:
        """Read the target anew and finish it if it is the same; return what it has by table.

        Raises `StoreUnavailable`.
        """
        for table in TABLES:
            tally = Tally()
            async with aclosing(self._target.pages(table)) as pages:
                async for page in pages:
                    tally = tally.plus(page)
                    told(table, len(page))
            wanted = self._note.of(table)
            if tally != wanted:
                raise StoreUnavailable(
                    f"the copy is not the same: of {table.name} it has {tally.rows} rows with "
                    f"the digest {tally.digest}, and the source {wanted.rows} with "
                    f"{wanted.digest}"
                )
        await self._target.finish(tuple(self._note.head), self._note.encode())
        return {table.name: self._note.of(table) for table in TABLES}

    async def _begin(self) -> None:
        head = list(await self._source.head())
        noted = await self._target.note()
        if noted is None:
            await self._refuse_filled()
            self._note = _Note(self._name, head)
            await self._target.begin(self._note.encode())
            return
        self._note = _Note.decode(noted)
        if self._note.head != head:
            raise self._changed()

    async def _refuse_filled(self) -> None:
        filled = any((await self._target.head())[:_PROGRESS_OF_HEAD])
        if filled or any([await self._target.count(table) for table in TABLES]):
            raise StoreUnavailable(
                "the target is not empty: a copy goes into a store of its own"
            )

    async def _batches(self, table: Table) -> AsyncGenerator[Sequence[Row]]:
        """Gather pages until it is worth while to write them."""
        places = table.places(table.data)
        batch: list[Row] = []
        size = 0
        async with aclosing(self._source.pages(table)) as pages:
            async for page in pages:
                batch += page
                size += sum(len(row[at] or b"") for row in page for at in places)
                if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    async def _take(self, table: Table, tally: Tally, batch: Sequence[Row]) -> Tally:
        """Write what of a batch the target does not have yet; see that the rest is the same."""
        done = self._note.of(table)
        had = max(done.rows - tally.rows, 0)
        tally = tally.plus(batch[:had])
        if had and tally.rows == done.rows and tally != done:
            raise self._changed()
        new = batch[had:]
        if new:
            tally = tally.plus(new)
            after = self._note.after(table, tally)
            await self._target.write(table, new, self._note.encode(), after.encode())
            self._note = after
        return tally

    def _changed(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the target has an unfinished copy of {self._note.source}, and "
            f"{self._name} is another store or has changed since: begin anew with an empty one"
        )

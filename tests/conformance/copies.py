"""Stores to be copied, and places to copy them to."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg

from longshore.cli.stores import StorePlace
from longshore.core.callers import Account, Caller
from longshore.core.catalog_changes import (
    ApplyContract,
    ApplySchedule,
    RegisterAccount,
    UpdateQueue,
)
from longshore.core.changes import (
    Cancel,
    Mode,
    Opened,
    Publication,
    SetMode,
)
from longshore.core.deliveries import Way
from longshore.core.policies import Policy
from longshore.core.reports import Assignment
from longshore.core.store import Store
from tests.conformance.candidates import CANDIDATES, Candidate
from tests.conformance.codec import JsonCodec
from tests.conformance.keeping import upload_changes
from tests.conformance.world import HOUR, NOON, World, done, submit_change
from tests.tools.postgres import databases

ME = Caller("default", "ada")
ODD = "a\0b\ufffe0\ufffe1ü"  #: What not every store keeps as it is.
KEY = f"key {ODD}"


class Target:
    """A place for a store of the other kind, which may be left as it should not be."""

    def __init__(self, candidate: Candidate, place: Path) -> None:
        self._candidate, self._place = candidate, place
        place.mkdir()
        self.url = candidate.url(place)

    def store(self) -> Store:
        """Return the store as a server would have it, not opened."""
        return self._candidate.make(self._place, JsonCodec(), lambda: NOON)

    def remove(self) -> None:
        if self._candidate is CANDIDATES["postgres"]:
            databases().drop(self._place)


async def fill(world: World) -> tuple[Opened, Assignment]:
    """Let there be rows in every table; return work that is under way, and whose it is."""
    session = await world.open_session(slots=9, services=[Publication("scans", b"v1")])
    opening, keeping = upload_changes()
    await world.apply(opening, keeping, upload_changes(b"never written")[0])
    await world.submit(
        key=KEY, fairness_key="a", facts_request_id=ODD, files=(keeping.file.id,)
    )
    channel = Policy(delivery=Way.CHANNEL)
    await world.apply(*(submit_change(policy=channel) for _ in range(8)))
    first, *others = await world.lease(session, free=5)
    for other in others:
        await world.report(session, other, done(x=1))
    await world.do(Cancel(ME, others[-1].operation.number + 1, message=ODD))
    await world.do(ApplyContract(ME, "archive", b"v1", (("ingest", b"i"),)))
    await world.do(ApplySchedule(ME, "hourly", b"v1", NOON + HOUR))
    await world.do(RegisterAccount(ME, Account("ocr", "ada@example.org")))
    await world.do(UpdateQueue(ME, "night", paused=True, limit=3))
    await world.do(SetMode(ME, Mode.MAINTENANCE, resume_on_restart=False))
    return session, first


async def made(target: Target) -> None:
    """Let there be an empty store."""
    store = target.store()
    await store.open()
    await store.close()


async def closed(world: World) -> str:
    """Close a store; return where it is."""
    await world.store.close()
    return world.candidate.url(world.place)


@contextlib.asynccontextmanager
async def served(url: str) -> AsyncGenerator[None]:
    """Let a server have a store."""
    store = StorePlace.parse(url).store()
    await store.open()
    await store.renew((), 30_000)
    yield
    await store.close()


async def executed(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Do something to a store behind its back; return what that says."""
    path = StorePlace.parse(url).path
    if path is not None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()
    connected = await asyncpg.connect(url)
    try:
        if statement.count(";"):
            await connected.execute(statement)
            return []
        return [tuple(row) for row in await connected.fetch(statement)]
    finally:
        await connected.close()

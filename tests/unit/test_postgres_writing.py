"""How batches are written to PostgreSQL, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longshore.core.callers import Caller
from longshore.core.changes import (
    Cancel,
    CloseSession,
    Grant,
    Lease,
    OpenSession,
    Submitted,
)
from longshore.core.errors import OutcomeUnknown, StoreUnavailable
from longshore.core.store import Applied
from longshore.stores.postgres import bridge
from longshore.stores.postgres.store import PostgresStore
from longshore.stores.postgres.values import kept_text, told_text
from tests.conformance.codec import JsonCodec
from tests.conformance.world import submit_change
from tests.tools.postgres import databases
from tests.tools.proxy import Proxy

ME = Caller("default", "ada")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[PostgresStore]:
    store = PostgresStore(databases().url(tmp_path), JsonCodec())
    await store.open()
    yield store
    await store.close()
    databases().give_back(tmp_path)


@pytest.fixture
async def other(store: PostgresStore, tmp_path: Path) -> AsyncGenerator[PostgresStore]:
    """Another server's store, over the same database."""
    other = PostgresStore(databases().url(tmp_path), JsonCodec())
    await other.open()
    yield other
    await other.close()


@pytest.fixture
async def connection(
    store: PostgresStore, tmp_path: Path
) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of somebody who looks into the database."""
    connection = await asyncpg.connect(databases().url(tmp_path))
    yield connection
    await connection.close()


def through(proxy: Proxy, url: str) -> str:
    """Return the URL by which a database is reached through a proxy."""
    parts = urlsplit(url)
    (folder,) = parse_qs(parts.query)["host"]
    proxy.target = f"{folder}/.s.PGSQL.5432"
    return f"postgresql://postgres@{proxy.address}{parts.path}?sslmode=disable"


def revisions(applied: Applied) -> list[int]:
    """Return the revisions of all events that are told, in their order."""
    return [event.revision for event in (*applied.foreign, *applied.events)]


async def one(store: PostgresStore, number: int = 1) -> object:
    """Return the record of an operation."""
    (record,) = await store.get("default", [number])
    return record


# Connections that break.


class Breaking:
    """A store whose connection breaks, and what was found when it did."""

    def __init__(self, broken: PostgresStore, whole: PostgresStore, proxy: Proxy) -> None:
        self.broken = broken
        self.whole = whole
        self.proxy = proxy
        self.newest = 0
        self.lost = 0  #: Batches whose outcome was unknown and that were not committed.
        self.kept = 0  #: … and that were committed.

    async def survives(self, way: str, left: int) -> bool:
        """Cut the connection after so many bytes of a batch; tell whether it was answered."""
        done: list[int] = []
        unknown = False
        self.proxy.cut_after(**{way: left})
        try:
            done = revisions(await self.broken.apply([submit_change(), submit_change()]))
        except OutcomeUnknown:
            unknown = True
        except StoreUnavailable:
            assert (await self.whole.catalog()).revision == self.newest
        self.proxy.heal()
        after = await settled(self.broken)
        self.kept += unknown and len(after) == 3
        self.lost += unknown and len(after) == 1
        assert [*done, *after] == [self.newest + 1 + at for at in range(len(done + after))]
        assert len(done + after) in (1, 3)
        self.newest += len(done + after)
        assert (await self.whole.catalog()).revision == self.newest
        return bool(done)


@pytest.mark.parametrize("way", ["sent", "answered"])
async def test_wherever_a_connection_breaks_nothing_is_done_by_halves(
    store: PostgresStore, tmp_path: Path, way: str
) -> None:
    async with Proxy("") as proxy:
        broken = PostgresStore(through(proxy, databases().url(tmp_path)), JsonCodec())
        await broken.open()
        breaking = Breaking(broken, store, proxy)
        assert await breaking.survives(way, 100_000)  # From now on all is prepared.
        low, high = 0, 8_192
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (low, middle) if await breaking.survives(way, middle) else (middle, high)
            )
        assert high < 8_192
        # The last of what is said is the commit.
        for left in range(high - 40, high + 2):
            await breaking.survives(way, left)
        await broken.close()
    assert breaking.lost if way == "sent" else breaking.kept


async def settled(store: PostgresStore) -> list[int]:
    """Submit one more, however often the connection must be taken anew for it."""
    while True:
        try:
            return revisions(await store.apply([submit_change()]))
        except StoreUnavailable:
            await asyncio.sleep(0)


async def test_a_server_that_is_told_to_end_its_sessions_is_connected_to_again(
    store: PostgresStore, tmp_path: Path
) -> None:
    await store.apply([submit_change()])
    databases().end_sessions(tmp_path)
    assert await settled(store) == [2]


async def test_somebody_who_holds_the_lock_is_not_waited_for_for_ever(
    store: PostgresStore, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with connection.transaction():
        await connection.execute("SELECT FROM head FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            await store.apply([submit_change()])
    assert revisions(await store.apply([submit_change()])) == [1]


async def test_a_batch_goes_on_whose_caller_is_gone_and_is_told_to_the_next(
    store: PostgresStore, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with connection.transaction():
        await connection.execute("SELECT FROM head FOR UPDATE")
        gone = asyncio.create_task(store.apply([submit_change()]))
        await waits_for_lock(connection)
        gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    applied = await store.apply([submit_change()])
    assert [event.revision for event in applied.foreign] == [1]
    assert [event.revision for event in applied.events] == [2]


async def waits_for_lock(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while not await connection.fetchval(waiting):
        await asyncio.sleep(0)


# What several servers know.


async def test_who_was_away_for_long_reads_the_small_state_anew(
    store: PostgresStore,
    other: PostgresStore,
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    opening = OpenSession(ME, b"s" * 16, "w", ("default",), ("scan",), 5)
    await store.apply([opening, opening._replace(secret=b"t" * 16)])
    assert await other.news()
    await store.apply([CloseSession(ME, 1, 1), submit_change()])
    await connection.execute("DELETE FROM sessions WHERE ended")
    await connection.execute("UPDATE head SET forgotten = version")
    leased = await other.apply([Lease((Grant(1, 1, 5),)), Lease((Grant(2, 1, 5),))])
    assert [len(cast("list[object]", outcome)) for outcome in leased.outcomes] == [0, 1]


async def test_a_batch_of_one_that_fails_alone_is_told_before_those_of_others(
    store: PostgresStore, other: PostgresStore
) -> None:
    await other.apply([submit_change()])
    broken = submit_change()._replace(id=b"", queue="\ud800")
    applied = await store.apply([submit_change(), broken, submit_change()])
    assert [isinstance(outcome, Submitted) for outcome in applied.outcomes] == [
        True,
        False,
        True,
    ]
    assert revisions(applied) == [1, 2, 3]
    news = await other.news()
    assert news
    assert revisions(news) == [2, 3]


# Texts.


@given(st.text())
@example("\0")
@example("\ufffe0\0\ufffe")
def test_a_text_is_told_as_it_was_kept(text: str) -> None:
    assert "\0" not in kept_text(text)
    assert told_text(kept_text(text)) == text


async def test_texts_of_callers_and_workers_may_hold_nul(store: PostgresStore) -> None:
    submit = submit_change(key="a\0b")._replace(facts_request_id="\0\ufffe")
    for created in (True, False):
        (submitted,) = (await store.apply([submit])).outcomes
        assert isinstance(submitted, Submitted)
        assert submitted.created == created
        assert submitted.facts.request_id == "\0\ufffe"
    await store.apply([Cancel(ME, 1, message="no\0more")])
    (record,) = await store.get("default", [1])
    assert record
    assert record.operation.message == "no\0more"
    assert record.facts.request_id == "\0\ufffe"


# The bridge.


async def test_a_function_waits_for_what_the_event_loop_does() -> None:
    def sum_of_two() -> int:
        return bridge.wait_for(soon(1)) + bridge.wait_for(soon(2))

    assert await bridge.run(sum_of_two) == 3
    assert await bridge.run(lambda: 5) == 5


async def test_what_is_raised_comes_out_on_the_other_side_of_the_bridge() -> None:
    def survive() -> str:
        try:
            bridge.wait_for(failing())
        except KeyError as error:
            return str(error)
        return "nothing was raised"

    assert await bridge.run(survive) == "'lost'"
    with pytest.raises(KeyError):
        await bridge.run(lambda: bridge.wait_for(failing()))


def test_without_an_event_loop_there_is_nobody_to_wait() -> None:
    with contextlib.closing(failing()) as waiting, pytest.raises(AssertionError):
        bridge.wait_for(waiting)


async def soon(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def failing() -> int:
    await asyncio.sleep(0)
    raise KeyError("lost")

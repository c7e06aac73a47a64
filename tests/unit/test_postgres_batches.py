"""What a batch reads of PostgreSQL is found by indexes, however much there is besides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias, cast

import asyncpg
import pytest

from longshore.core.callers import Account
from longshore.core.operations import PARKED
from longshore.stores.postgres import bridge
from longshore.stores.postgres.applying import BEGIN
from longshore.stores.postgres.connections import Connection
from longshore.stores.postgres.following import Follower
from longshore.stores.postgres.head import read_changed, read_tip
from longshore.stores.postgres.rows import PostgresRows
from longshore.stores.postgres.store import PostgresStore
from tests.conformance.codec import JsonCodec
from tests.conformance.world import submit_change
from tests.tools.postgres import databases

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_HISTORY = 20_000  #: Operations that have ended, and as many things of every other kind.
_WAITING = 5_000
_MOST_PAGES = 600  #: Of 8 KiB. A table has more, and touching each row of it far more.

# Operations in three lanes: a few expired, most ended, some parked, some waiting, a few run.
_FILL = f"""
    INSERT INTO operations (
        number, id, tenant, kind, state, lane, priority, position, steps, session, wake_time,
        revision, update_time, policy, concurrency_key, fairness_key, submitter, request_id,
        create_time
    )
    SELECT number, sha256(number::text::bytea), 'default', 1 + 2 * (number % 10 = 0)::int,
        CASE WHEN number <= {_HISTORY} THEN 5
            WHEN number <= {_HISTORY + _WAITING} THEN 2 ELSE 3 END,
        number % 3 + 1, number % 5, number, 0,
        CASE WHEN number > {_HISTORY + _WAITING} THEN number % 50 + 1 END,
        CASE WHEN number <= 500 THEN NULL
            WHEN number <= {_HISTORY} THEN 9000000000000 + number
            WHEN number <= {_HISTORY + _WAITING // 4} THEN {PARKED} END,
        number, number,
        CASE WHEN number % 100 = 0
            THEN format('{{"concurrency_limit":%s}}', number % 7 + 1) END,
        CASE WHEN number % 100 = 0 THEN 'key ' || number % 1000 END,
        CASE WHEN number % 20 = 0 THEN 'turn ' || number % 30 END,
        'ada', '', number
    FROM generate_series(10, {_HISTORY + _WAITING + 500}) AS number;
    INSERT INTO events (revision, number, kind, state, time)
    SELECT number, number, 1, 1, number FROM generate_series(10, {_HISTORY}) AS number;
    INSERT INTO documents (number, part, data)
    SELECT number, 1, '{{}}' FROM generate_series(10, {_HISTORY}) AS number;
    INSERT INTO keys (tenant, submitter, key, number, digest)
    SELECT 'default', 'ada', number::text, number, ''
    FROM generate_series(10, {_HISTORY}) AS number;
    INSERT INTO files
    SELECT sha256(number::text::bytea), 'default', sha256(number::text::bytea), 'p', 1, '', '',
        '', '', 1, CASE WHEN number % 2 = 0 THEN number END,
        CASE WHEN number % 2 = 1 THEN number END, 0, 0
    FROM generate_series(10, {_HISTORY}) AS number;
    INSERT INTO uses SELECT sha256(number::text::bytea), number + 5
    FROM generate_series(10, {_HISTORY}) AS number;
    INSERT INTO blobs SELECT sha256(number::text::bytea), number
    FROM generate_series(10, {_HISTORY}) AS number;
    INSERT INTO accounts SELECT 'default', 'ada', 'archive', number::text, 1
    FROM generate_series(10, {_HISTORY}) AS number;
    UPDATE head SET revision = {_HISTORY}
"""
_NUMBERS = range(1_000, 1_050)
_IDS = [hashlib.sha256(str(number).encode()).digest() for number in _NUMBERS]
_KEYS = [("default", "ada", str(number)) for number in _NUMBERS]
_EARLY = 9_000_000_001_000

_READS: dict[str, Callable[[PostgresRows], object]] = {
    "by number": lambda rows: rows.read_operations(_NUMBERS, ()),
    "by id": lambda rows: rows.read_operations((), _IDS),
    "facts": lambda rows: rows.read_facts(_NUMBERS),
    "keys": lambda rows: rows.read_keys(_KEYS),
    "a document": lambda rows: rows.document(1_000, 1),
    "documents": lambda rows: rows.documents(_NUMBERS, 1),
    "requests": lambda rows: rows.requests(_NUMBERS, 1),
    "heads": lambda rows: rows.read_heads([1, 2, 3], 20),
    "running": lambda rows: rows.running_in([1, 2, 3]),
    "leases": lambda rows: rows.leases("default", "key 100"),
    "parked groups": lambda rows: rows.parked_groups("default", "key 100", 0),
    "parked": lambda rows: rows.parked("default", "key 100", 1, 3, 10),
    "spans": lambda rows: rows.spans([1, 2, 3], 0),
    "last turn": lambda rows: rows.last_turn([1, 2, 3], 0, "turn 0"),
    "launches of nobody": lambda rows: rows.waiting_launches("nobody"),
    "last launch": lambda rows: rows.last_launch("default", 0),
    "held": lambda rows: rows.held_by(3),
    "due": lambda rows: rows.due(_EARLY, 50),
    "expiring": lambda rows: rows.expiring(_EARLY, 50),
    "next wake": lambda rows: rows.next_wake(after=_EARLY),
    "removable": lambda rows: rows.removable(200, 50),
    "account": lambda rows: rows.account("default", "ada", Account("archive", "1000")),
    "files": lambda rows: rows.read_files(_IDS),
    "files made": lambda rows: rows.files_of(_NUMBERS),
    "takers": lambda rows: rows.takers(_IDS[0]),
    "uses": lambda rows: rows.uses_of(1_000),
    "due files": lambda rows: rows.due_files(10_000, 50),
    "blobs": lambda rows: rows.read_blobs(_IDS),
    "due blobs": lambda rows: rows.due_blobs(1_000, 50),
}


class Explaining:
    """A connection that has every query explained, and counts the pages that it looks at."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.pages = 0

    async def fetch(self, sql: str, *parameters: Any) -> list[asyncpg.Record]:
        # With a plan as for all parameters.
        found = await self._connection.fetch(sql, *parameters)
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
        plan = json.loads(await self._connection.fetchval(explained, *parameters))[0]["Plan"]
        self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return found


@pytest.fixture(scope="module", params=["statistics unknown", "statistics known"])
async def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[_Connection]:
    """A connection to a database with a long history."""
    place = tmp_path_factory.mktemp("batches")
    url = databases().url(place)
    store = PostgresStore(url, JsonCodec())
    await store.open()
    await store.apply([submit_change(action) for action in ("scan", "hash", "pack")])
    await store.close()
    connection = await asyncpg.connect(url)
    for table in ("operations", "events", "documents", "keys", "files", "uses", "blobs"):
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    await connection.execute(_FILL)
    if request.param == "statistics known":
        await connection.execute("ANALYZE")
    yield connection
    await connection.close()
    databases().drop(place)


@pytest.fixture
async def explaining(filled: _Connection) -> AsyncGenerator[Explaining]:
    """The connection, as it is while a batch is being decided."""
    await filled.execute(BEGIN)
    yield Explaining(filled)
    await filled.execute("ROLLBACK")


@pytest.mark.parametrize("what", _READS)
async def test_a_batch_looks_at_little_of_a_large_store(
    explaining: Explaining, what: str
) -> None:
    rows = PostgresRows(cast("Connection", explaining), {})
    await bridge.run(lambda: _READS[what](rows))
    assert 0 < explaining.pages < _MOST_PAGES


async def test_who_compacts_looks_for_the_first_event_to_be_kept_by_halves(
    explaining: Explaining,
) -> None:
    rows = PostgresRows(cast("Connection", explaining), {})
    assert await bridge.run(lambda: rows.first_revision_since(5_000)) == 5_000
    assert explaining.pages < _MOST_PAGES


async def test_who_catches_up_looks_at_little_of_a_large_store(explaining: Explaining) -> None:
    connection = cast("Connection", explaining)
    tip = await read_tip(connection)
    await read_changed(tip.version, tip, connection)
    assert explaining.pages < 100
    follower = Follower()
    for revision in (1_000, 1_100):
        await follower.read_events(revision, connection)
    assert len(follower.take_untold()[0]) == 100
    assert explaining.pages < _MOST_PAGES

"""The hot questions are answered from an index, however much the database holds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from longshore.core.callers import Account, Target
from longshore.core.filters import UNFINISHED, And, Compare
from longshore.core.ids import text_of
from longshore.core.operations import Kind, Part
from longshore.core.orders import NEWEST_FIRST, Order, SortKey, parse_order
from longshore.core.store import Channel, Query, Replay
from longshore.stores.postgres import bridge, channels, counting, lists, points, replays
from longshore.stores.postgres.connections import (
    LONG_SNAPSHOT,
    SHORT_SNAPSHOT,
    Address,
    AnyConnection,
    Connection,
    Readers,
    Row,
    connect,
)
from longshore.stores.postgres.rows import PostgresRows
from tests.tools.postgres import databases

_T = TypeVar("_T")

#: A long history, some that waits, and a little that runs: so much that it is worth an index.
HISTORY = """
    INSERT INTO lanes VALUES
        (1, 'default', 'default', '[]', 0), (2, 'default', 'night', '[]', 0);
    INSERT INTO operations (number, position, revision, create_time, update_time, lane, steps,
        kind, state, priority, session, wake_time, id, tenant, submitter, request_id,
        attributes, concurrency_key)
    SELECT n, n, n, n, n, 1 + n % 2, 0, 1 + 2 * (n % 2),
        CASE WHEN n <= 20000 THEN 5 WHEN n <= 21000 THEN 2 ELSE 3 END, n % 10,
        CASE WHEN n > 21000 THEN n END,
        CASE WHEN n <= 20000 THEN 1 << 40 WHEN n > 21000 THEN n END,
        decode(lpad(to_hex(n), 32, '0'), 'hex'), 'default', 'ada', '', '{"name": "a"}',
        CASE WHEN n > 21000 THEN 'press' END
    FROM generate_series(1, 21020) AS n;
    INSERT INTO events (revision, number, time, kind, state)
    SELECT n, (n + 2) / 3, n, 1, 2 FROM generate_series(1, 60000) AS n;
    INSERT INTO documents SELECT n, 1, 'request' FROM generate_series(1, 21020) AS n;
    INSERT INTO channels SELECT n, 'default', 'ada', n, n FROM generate_series(1, 10000) AS n;
    INSERT INTO files SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'default', '', '', 0, '',
        '', '', '', 0, CASE WHEN n % 10 = 0 THEN n END, n, 0, 0
    FROM generate_series(1, 10000) AS n;
    INSERT INTO uses SELECT id, number FROM files;
    INSERT INTO blobs SELECT id, number FROM files;
    INSERT INTO keys SELECT 'default', 'ada', 'key ' || n, n, '' FROM generate_series(1, 10000) n;
    INSERT INTO counts SELECT lane, kind, state, count(*) FROM operations GROUP BY 1, 2, 3;
    UPDATE head SET revision = 60000, last_number = 21020;
    ANALYZE
"""
LARGE = ("operations", "events", "documents", "keys", "files", "uses", "blobs", "channels")

READY = Order(
    (
        SortKey("running", descending=True),
        SortKey("priority", descending=True),
        SortKey("position"),
        SortKey("number"),
    )
)


class Planned(Readers):
    """A connection that notes the plan of every query; also what reads only one query."""

    def __init__(self, connection: Connection, explain: str = "EXPLAIN") -> None:
        self._connection = connection
        self._explain = explain
        self.plan = ""

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        rows = await self._connection.fetch(f"{self._explain} {sql}", *parameters)
        self.plan += "\n".join(line for (line,) in rows) + "\n"
        return await self._connection.fetch(sql, *parameters)

    async def fetchval(self, sql: str, *parameters: Any) -> Any:
        rows = await self.fetch(sql, *parameters)
        return rows[0][0] if rows else None

    async def execute(self, sql: str) -> str:
        return await self._connection.execute(sql)

    def reads_no_table_through(self) -> None:
        for table in LARGE:
            assert f"Seq Scan on {table}" not in self.plan


@pytest.fixture(scope="module")
async def history(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Connection]:
    place = Path(tmp_path_factory.mktemp("plans"))
    connection = await connect(Address.parse(databases().url(place)))
    await connection.execute(HISTORY, timeout=60)
    yield connection
    await connection.close()
    databases().drop(place)  # Its statistics would make others' plans.


@pytest.fixture
async def planned(history: Connection) -> AsyncGenerator[Planned]:
    """As most is read."""
    await history.execute(SHORT_SNAPSHOT)
    yield Planned(history)
    await history.execute("ROLLBACK")


@pytest.fixture
async def listed(history: Connection) -> AsyncGenerator[Planned]:
    """As lists are read."""
    await history.execute(LONG_SNAPSHOT)
    yield Planned(history)
    await history.execute("ROLLBACK")


@pytest.fixture
async def written(history: Connection) -> AsyncGenerator[Planned]:
    """What batches use."""
    await history.execute(
        "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off"
    )
    yield Planned(history, "EXPLAIN (GENERIC_PLAN)")
    await history.execute("ROLLBACK")


@pytest.fixture
def connection(planned: Planned) -> AnyConnection:
    return cast("AnyConnection", planned)


@pytest.fixture
def rows(written: Planned) -> PostgresRows:
    return PostgresRows(cast("Connection", written), {})


async def read(function: Callable[[], _T]) -> _T:
    return await bridge.run(function)


# Lists.


@pytest.mark.parametrize("order_by", ["number desc", "number"])
@pytest.mark.parametrize(
    "wanted", [None, Compare("state", "=", 5), Compare("id", "=", text_of(bytes(16)))]
)
async def test_pages_by_number_follow_the_primary_key(
    listed: Planned, order_by: str, wanted: Compare | None
) -> None:
    query = Query("default", 1, wanted, parse_order(order_by, None), None, 10)
    await lists.find(query, cast("AnyConnection", listed))
    listed.reads_no_table_through()
    assert "Sort" not in listed.plan or wanted is not None
    if wanted is None:
        assert "using operations_pkey on operations" in listed.plan


async def test_a_deep_page_begins_where_the_one_before_ended(listed: Planned) -> None:
    query = Query("default", None, None, NEWEST_FIRST, (10_000,), 10, parts=(1, Part.STEPS))
    page = await lists.find(query, cast("AnyConnection", listed))
    assert [one.operation.number for one in page.records] == list(range(9_999, 9_989, -1))
    assert "documents_pkey" in listed.plan
    listed.reads_no_table_through()


async def test_what_runs_is_listed_by_its_sessions(listed: Planned) -> None:
    running = And((Compare("priority", "=", 1), Compare("state", "=", 3)))
    query = Query("default", 1, running, NEWEST_FIRST, None, 10, with_total=True)
    assert (await lists.find(query, cast("AnyConnection", listed))).total is not None
    assert listed.plan.count("held") >= 2
    listed.reads_no_table_through()


async def test_the_queue_of_launches_is_listed_from_their_index(listed: Planned) -> None:
    await lists.find(
        Query("default", Kind.LAUNCH, UNFINISHED, READY, None, 10),
        cast("AnyConnection", listed),
    )
    assert "on launches" in listed.plan or "using launches" in listed.plan
    listed.reads_no_table_through()


async def test_the_total_of_all_is_not_counted_anew(listed: Planned) -> None:
    query = Query("default", None, None, NEWEST_FIRST, None, 10, with_total=True)
    assert (await lists.find(query, cast("AnyConnection", listed))).total == 21_020
    assert "on counts" in listed.plan
    listed.reads_no_table_through()


# Points.


@pytest.mark.parametrize(
    "targets", [[1, 2], [(1).to_bytes(16), (2).to_bytes(16)], [1, (2).to_bytes(16)]]
)
async def test_point_reads_go_by_number_or_id(planned: Planned, targets: list[Target]) -> None:
    assert len(await points.get("default", targets, [1], planned)) == 2
    assert len(await points.glance("default", targets, planned)) == 2
    planned.reads_no_table_through()


async def test_a_place_in_the_queue_is_counted_in_the_index(
    connection: AnyConnection, planned: Planned
) -> None:
    (record,) = await points.get("default", [20_995], [], planned)
    assert record is not None
    operation = record.operation._replace(concurrency_key="press")
    standing = await points.standing(operation, 10_000, connection)
    assert 0 < standing.ahead < 1_000
    assert standing.key_running == 20
    assert "waiting" in planned.plan
    assert "held" in planned.plan
    assert "holding" in planned.plan
    planned.reads_no_table_through()


async def test_the_oldest_of_a_queue_is_the_first_of_an_index(
    connection: AnyConnection, planned: Planned
) -> None:
    found = await counting.counts("default", connection)
    assert found.oldest == {"default": 20_002, "night": 20_001}
    assert "Index Scan using waiting" in planned.plan
    planned.reads_no_table_through()


async def test_files_are_read_by_id(planned: Planned) -> None:
    assert len(await points.files("default", [(1).to_bytes(16)], 0, planned)) == 1
    planned.reads_no_table_through()


# Events.


async def test_replays_follow_the_log(connection: AnyConnection, planned: Planned) -> None:
    await replays.replay(Replay("default", 30_000), connection)
    assert "using events_pkey" in planned.plan
    planned.reads_no_table_through()


@pytest.mark.parametrize("count", [1, 50])
async def test_histories_follow_an_index(
    connection: AnyConnection, planned: Planned, count: int
) -> None:
    numbers = frozenset(range(5_000, 5_000 + count))
    found = await replays.replay(Replay("default", 0, numbers=numbers, limit=9), connection)
    assert len(found.events) == min(9, 3 * count)
    assert "history" in planned.plan
    planned.reads_no_table_through()


@pytest.mark.parametrize("newest", [0, 3])
async def test_a_channel_is_read_along_its_index(
    connection: AnyConnection, planned: Planned, newest: int
) -> None:
    await channels.arrivals(Channel("default", "ada", 5, 10, newest=newest), connection)
    assert "using arrivals" in planned.plan
    planned.reads_no_table_through()


# Batches, whose statements are planned once for all values.


async def test_leasing_reads_the_waiting_work_of_a_lane_in_order(
    rows: PostgresRows, written: Planned
) -> None:
    assert len(await read(lambda: rows.heads(1, 10))) == 10
    assert "Index Scan using waiting" in written.plan
    assert "Sort" not in written.plan
    written.reads_no_table_through()


async def test_what_is_due_is_read_in_order(rows: PostgresRows, written: Planned) -> None:
    await read(lambda: rows.due(0, 10))
    await read(lambda: rows.expiring(0, 10))
    await read(lambda: rows.next_wake(after=0))
    assert written.plan.count("using wake") == 2
    assert written.plan.count("using expiring") == 2
    assert "Sort" not in written.plan


async def test_what_is_held_named_expired_or_keyed_is_read_by_its_index(
    rows: PostgresRows, written: Planned
) -> None:
    for index, ask in (
        ("held", lambda: rows.held_by(1)),
        ("expired", lambda: rows.removable(10, 10)),
        ("keys_pkey", lambda: rows.keyed("default", "ada", "k")),
        ("documents_pkey", lambda: rows.requests([1, 2], Part.REQUEST)),
        ("documents_pkey", lambda: rows.documents([1, 2], Part.DELIVERY)),
        ("operations_id_key", lambda: rows.number_of(b"0")),
        ("parked", lambda: rows.parked_groups("default", "press", 0)),
        ("holding", lambda: rows.leases("default", "press")),
        ("waiting", lambda: rows.spans([1, 2], 0)),
        ("turns", lambda: rows.last_turn([1, 2], 0, "a")),
        ("launches", lambda: rows.waiting_launches("default")),
        ("launches", lambda: rows.last_launch("default", 3)),
        ("files_of", lambda: rows.files_of([1, 2])),
        ("uses_of", lambda: rows.uses_of(1)),
        ("files_due", lambda: rows.due_files(0, 10)),
        ("blobs_due", lambda: rows.due_blobs(0, 10)),
        ("accounts_pkey", lambda: rows.account("default", "ada", Account("ocr", "ada"))),
    ):
        written.plan = ""
        await read(cast("Callable[[], object]", ask))
        assert f"using {index}" in written.plan or f"on {index}" in written.plan, written.plan
        written.reads_no_table_through()

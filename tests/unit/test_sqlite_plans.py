"""The hot questions are answered from an index, however much the file holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlite_utils import Database

from longshore.core.callers import Account
from longshore.core.filters import UNFINISHED, And, Compare
from longshore.core.ids import text_of
from longshore.core.operations import PARKED, Kind, Part
from longshore.core.orders import NEWEST_FIRST, Order, SortKey, parse_order
from longshore.core.policies import Policy
from longshore.core.store import Channel, Query, Replay
from longshore.stores.sqlite import counting, installation, lists, replays
from longshore.stores.sqlite.connections import connect
from longshore.stores.sqlite.files import arrivals, kept_files
from longshore.stores.sqlite.head import load_head
from longshore.stores.sqlite.points import Points
from longshore.stores.sqlite.rows import SqliteRows
from longshore.stores.sqlite.schema import migrate

A_LANE = "INSERT INTO lanes VALUES (1, 'default', 'default', '[]')"
AN_OPERATION = """
    INSERT INTO operations (number, id, tenant, kind, state, lane, priority, position, attempt,
        step, steps, token, reports, cancel, revision, update_time, submitter, request_id,
        create_time)
    VALUES (1, x'00', 'default', 1, 2, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, '', '', 0)
"""


LARGE = ("operations", "events", "documents", "keys", "files", "uses", "blobs", "channels")


class Planned:
    """A connection that notes the plan of every query."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.plan = ""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        for *_, detail in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters):
            self.plan += f"{detail}\n"
        return self._connection.execute(sql, parameters)

    def set_progress_handler(self, handler: Any, steps: int) -> None:
        self._connection.set_progress_handler(handler, steps)

    def parked_in_two_lanes(self) -> None:
        """Put operations aside that wait for the key `press`."""
        self._connection.execute("INSERT INTO lanes VALUES (2, 'default', 'night', '[]')")
        for number, lane, limit, position in (
            (10, 1, 1, 9),
            (11, 1, 2, 8),
            (12, 1, 1, 7),
            (13, 2, 1, 6),
        ):
            self._connection.execute(
                "INSERT INTO operations (number, id, tenant, kind, state, lane, priority, "
                "position, steps, wake_time, revision, update_time, policy, concurrency_key, "
                "submitter, request_id, create_time) VALUES "
                "(?, ?, 'default', 1, 2, ?, 0, ?, 0, ?, 1, 0, ?, 'press', '', '', 0)",
                (
                    number,
                    bytes([number]),
                    lane,
                    position,
                    PARKED,
                    Policy(concurrency_limit=limit).encode(),
                ),
            )

    def reads_no_table_through(self) -> None:
        """Check that no large table is read from end to end, and nothing is sorted."""
        for table in LARGE:
            assert f"SCAN {table}" not in self.plan
        assert "USE TEMP B-TREE" not in self.plan


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[Planned]:
    connection = connect(tmp_path / "store.db")
    migrate(Database(connection))
    connection.execute(A_LANE)
    connection.execute(AN_OPERATION)
    yield Planned(connection)
    connection.close()


@pytest.fixture
def connection(planned: Planned) -> sqlite3.Connection:
    return cast("sqlite3.Connection", planned)


@pytest.fixture
def rows(connection: sqlite3.Connection) -> SqliteRows:
    return SqliteRows(connection, {})


def test_leasing_reads_the_waiting_work_of_a_lane_in_order(
    rows: SqliteRows, planned: Planned
) -> None:
    assert rows.heads(1, 10)
    assert "INDEX waiting (lane=?)" in planned.plan
    planned.reads_no_table_through()


def test_what_is_due_is_read_in_order(rows: SqliteRows, planned: Planned) -> None:
    rows.due(0, 10)
    rows.expiring(0, 10)
    rows.next_wake(after=0)
    assert "INDEX wake (wake_time>? AND wake_time<?)" in planned.plan
    assert "INDEX expiring (wake_time>?)" in planned.plan
    assert "INDEX wake (wake_time>? AND wake_time<?)" in planned.plan
    planned.reads_no_table_through()


def test_what_a_session_holds_is_read_by_session(rows: SqliteRows, planned: Planned) -> None:
    rows.held_by(1)
    assert "INDEX held (session=?)" in planned.plan


def test_compaction_reads_what_has_expired_in_order(rows: SqliteRows, planned: Planned) -> None:
    rows.removable(10, 10)
    assert "INDEX expired (revision<?)" in planned.plan
    planned.reads_no_table_through()


def test_what_a_batch_names_is_read_by_key(rows: SqliteRows, planned: Planned) -> None:
    rows.keyed("default", "ada", "k")
    rows.requests([1, 2], Part.REQUEST)
    rows.number_of(b"0")
    planned.reads_no_table_through()


def test_files_and_who_takes_them_are_read_by_key(rows: SqliteRows, planned: Planned) -> None:
    rows.file(b"0")
    rows.blob(b"0")
    rows.takers(b"0")
    rows.files_of([1, 2])
    rows.uses_of(1)
    kept_files("default", [b"0", b"1"], 0, cast("sqlite3.Connection", planned))
    assert "INDEX files_of (number=?)" in planned.plan
    assert "INDEX uses_of (number=?)" in planned.plan
    planned.reads_no_table_through()


def test_what_is_to_be_swept_is_read_in_the_order_of_its_time(
    rows: SqliteRows, planned: Planned
) -> None:
    rows.due_files(0, 10)
    rows.due_blobs(0, 10)
    assert "INDEX files_due (expire_time<?)" in planned.plan
    assert "INDEX blobs_due (until<?)" in planned.plan
    planned.reads_no_table_through()


def test_documents_of_many_are_read_by_number(rows: SqliteRows, planned: Planned) -> None:
    rows.documents([1, 2, 3], Part.DELIVERY)
    planned.reads_no_table_through()


@pytest.mark.parametrize("newest", [0, 3])
def test_a_channel_is_read_along_its_index(
    connection: sqlite3.Connection, planned: Planned, newest: int
) -> None:
    arrivals(Channel("default", "ada", 5, 10, newest=newest), connection)
    assert "INDEX arrivals (tenant=? AND stream=? AND revision>?)" in planned.plan
    planned.reads_no_table_through()


def test_leases_of_a_key_are_counted_in_the_index_alone(
    rows: SqliteRows, planned: Planned
) -> None:
    rows.leases("default", "press")
    assert "COVERING INDEX holding (tenant=? AND concurrency_key=?" in planned.plan
    planned.reads_no_table_through()


def test_what_waits_for_a_key_is_read_by_lane_and_limit_in_order(
    rows: SqliteRows, planned: Planned
) -> None:
    assert rows.parked_groups("default", "press", 0) == []
    assert "INDEX parked (tenant=? AND concurrency_key=? AND lane>?)" in planned.plan
    planned.parked_in_two_lanes()
    assert rows.parked_groups("default", "press", 0) == [(1, 1), (1, 2), (2, 1)]
    assert rows.parked_groups("default", "press", 1) == [(1, 2)]
    by_limit = "INDEX parked (tenant=? AND concurrency_key=? AND lane=? AND <expr>"
    assert f"{by_limit}>?)" in planned.plan
    assert [one.number for one in rows.parked("default", "press", 1, 1, 10)] == [12, 10]
    assert f"{by_limit}=?)" in planned.plan
    planned.reads_no_table_through()


def test_turns_are_read_at_the_ends_of_an_index_of_each_lane(
    rows: SqliteRows, planned: Planned
) -> None:
    assert rows.spans([1, 2], 0) == {1: (1, 1)}
    assert planned.plan.count("INDEX waiting (lane=? AND priority=?)") == 2
    assert rows.last_turn([1, 2], 0, "a") is None
    assert "INDEX turns (lane=? AND fairness_key=? AND priority=?)" in planned.plan
    planned.reads_no_table_through()


def test_the_launches_that_wait_are_read_from_an_index_of_their_own(
    rows: SqliteRows, planned: Planned
) -> None:
    rows.waiting_launches("default")
    assert "INDEX launches (tenant=?)" in planned.plan
    rows.last_launch("default", 3)
    assert "INDEX launches (tenant=? AND priority=?)" in planned.plan
    planned.reads_no_table_through()


def test_what_runs_of_a_queue_is_counted_already(rows: SqliteRows, planned: Planned) -> None:
    rows.running_in([1, 2])
    assert planned.plan == "SEARCH counts USING PRIMARY KEY (lane=?)\n"


def test_what_a_tenant_has_agreed_upon_is_read_by_name(
    rows: SqliteRows, connection: sqlite3.Connection, planned: Planned
) -> None:
    rows.contract("default", "archive")
    rows.schedule("default", "hourly")
    rows.account("default", "ada", Account("ocr", "ada"))
    installation.accounts("default", "ada", connection)
    assert "SCAN" not in planned.plan
    planned.reads_no_table_through()


def test_the_queue_of_launches_is_listed_from_their_index(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    order = Order(
        (
            SortKey("running", descending=True),
            SortKey("priority", descending=True),
            SortKey("position"),
            SortKey("number"),
        )
    )
    lists.find(Query("default", Kind.LAUNCH, UNFINISHED, order, None, 10), connection)
    assert "operations USING INDEX launches (tenant=?)" in planned.plan
    assert "SCAN operations" not in planned.plan


def test_the_oldest_of_a_queue_is_the_first_of_an_index(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    assert counting.counts("default", connection).oldest == {"default": 0}
    assert "INDEX waiting (lane=? AND priority=?)" in planned.plan
    assert "SCAN operations" not in planned.plan


def test_a_start_probes_each_lane_once(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    assert load_head(connection).open_lanes == {1}
    assert "INDEX waiting (lane=?)" in planned.plan
    assert "INDEX wake (wake_time>? AND wake_time<?)" in planned.plan
    assert "INDEX expiring (wake_time>?)" in planned.plan
    planned.reads_no_table_through()


def test_point_reads_go_by_number_or_id(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    assert Points(connection).get("default", [1, b"\0"], [1])[0] is not None
    planned.reads_no_table_through()


def test_a_place_in_the_queue_is_counted_in_the_index(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    (record,) = Points(connection).get("default", [1], [])
    assert record is not None
    assert Points(connection).standing(record.operation, 10).ahead == 0
    assert "INDEX waiting (lane=? AND priority>?)" in planned.plan
    assert "INDEX waiting (lane=? AND priority=? AND position<?)" in planned.plan
    assert "operations USING INDEX held (session>?)" in planned.plan
    assert "COVERING INDEX holding (tenant=? AND concurrency_key=?" in planned.plan
    planned.reads_no_table_through()


@pytest.mark.parametrize("order_by", ["number desc", "number"])
@pytest.mark.parametrize(
    "wanted", [None, Compare("state", "=", 2), Compare("id", "=", text_of(bytes(16)))]
)
def test_pages_by_number_follow_the_primary_key(
    connection: sqlite3.Connection, planned: Planned, order_by: str, wanted: Compare | None
) -> None:
    lists.find(Query("default", 1, wanted, parse_order(order_by, None), None, 10), connection)
    planned.reads_no_table_through()
    if wanted is None:
        assert "operations USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in planned.plan


def test_what_runs_is_listed_by_its_sessions(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    running = And((Compare("priority", "=", 1), Compare("state", "=", 3)))
    query = Query("default", 1, running, NEWEST_FIRST, None, 10, with_total=True)
    lists.find(query, connection)
    assert planned.plan.count("INDEX held (session>?)") == 2
    assert "SCAN operations" not in planned.plan


def test_the_total_of_all_is_not_counted_anew(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    query = Query("default", 1, None, NEWEST_FIRST, None, 10, with_total=True)
    lists.find(query, connection)
    assert "SCAN counts" in planned.plan
    assert "count(*)" not in planned.plan
    planned.reads_no_table_through()


def test_replays_follow_the_log_and_histories_an_index(
    connection: sqlite3.Connection, planned: Planned
) -> None:
    connection.execute("UPDATE head SET revision = 100")
    planned.plan = ""
    replays.replay(Replay("default", 0), connection)
    assert "events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in planned.plan
    planned.reads_no_table_through()
    planned.plan = ""
    replays.replay(Replay("default", 0, numbers=frozenset({1})), connection)
    assert "events USING INDEX history (number=?" in planned.plan

"""How much a batch writes and reads: counted, so that no machine's speed matters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import (
    Acknowledge,
    Grant,
    Lease,
    Opened,
    Wake,
)
from longshore.core.deliveries import Way
from longshore.core.operations import Operation
from longshore.core.policies import Policy
from longshore.core.reports import Assignment
from longshore.stores.sqlite.rows import SqliteRows
from longshore.stores.sqlite.store import SqliteStore
from tests.conformance.world import DAY, World, done, numbers, report_change, submit_change

_STATEMENT = re.compile(
    r"\s*(INSERT|UPDATE|DELETE|SELECT)\b(?:.*?\b(?:INTO|FROM|(?<=UPDATE)))\s+(\w+)", re.DOTALL
)


@pytest.fixture
def statements(world: World) -> Iterator[Counter[str]]:
    """How often which statements were run on which tables."""
    applier = cast("SqliteStore", world.store)._open.applier  # pyright: ignore[reportPrivateUsage]
    connection = applier._connection  # pyright: ignore[reportPrivateUsage]
    counted: Counter[str] = Counter()

    def count(sql: str) -> None:
        found = _STATEMENT.match(sql)
        if found:
            counted[" ".join(found.groups())] += 1

    connection.set_trace_callback(count)
    yield counted
    connection.set_trace_callback(None)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many operations were read."""
    counted: Counter[str] = Counter()
    load: Callable[..., list[Operation]] = SqliteRows._operations  # pyright: ignore[reportPrivateUsage]

    def loaded(self: SqliteRows, sql: str, *parameters: Any) -> list[Operation]:
        found = load(self, sql, *parameters)
        counted["operations"] += len(found)
        counted["queries"] += 1
        return found

    monkeypatch.setattr(SqliteRows, "_operations", loaded)
    return counted


def lease_of(session: Opened, free: int) -> Lease:
    return Lease((Grant(session.session, session.epoch, free),))


async def test_a_task_without_keys_is_written_once_by_each_batch(
    world: World, statements: Counter[str]
) -> None:
    session = await world.open_session()
    await world.submit()
    await world.lease(session)
    statements.clear()

    await world.apply(*(submit_change() for _ in range(10)))
    assert statements == {
        "INSERT operations": 10,
        "INSERT documents": 10,
        "INSERT events": 10,
        "INSERT counts": 1,
        "UPDATE head": 1,
    }
    statements.clear()

    applied = await world.apply(lease_of(session, 10))
    leased = cast("list[Assignment]", applied.outcomes[0])
    assert statements == {
        "SELECT operations": 1,
        "SELECT documents": 1,
        "UPDATE operations": 10,
        "INSERT events": 10,
        "INSERT counts": 2,
        "UPDATE head": 1,
    }
    statements.clear()

    await world.apply(*(report_change(session, one, done()) for one in leased))
    assert statements == {
        "UPDATE operations": 10,
        "INSERT events": 10,
        "INSERT counts": 2,
        "UPDATE head": 1,
    }


async def test_a_batch_of_all_three_writes_every_task_once(
    world: World, statements: Counter[str]
) -> None:
    session = await world.open_session()
    await world.submit()
    statements.clear()
    await world.apply(*(submit_change() for _ in range(10)), lease_of(session, 10))
    assert statements["INSERT operations"] == 10
    assert statements["UPDATE operations"] == 1
    assert statements["SELECT documents"] == 1


async def test_what_is_delivered_acknowledged_and_expires_is_read_in_bulk(
    world: World, statements: Counter[str]
) -> None:
    session = await world.open_session(slots=10)
    policy = Policy(delivery=Way.CHANNEL, expire_after=DAY)
    await world.apply(*(submit_change(policy=policy) for _ in range(10)))
    leased = await world.lease(session, free=10)
    await world.apply(*(report_change(session, one, done()) for one in leased))
    for _ in range(2):
        statements.clear()
        await world.wake()
        assert statements["SELECT documents"] == 1
    statements.clear()
    await world.do(Acknowledge(Caller(), tuple(one.operation.number for one in leased)))
    assert statements["SELECT documents"] == statements["SELECT files"] == 1
    world.pass_time(DAY)
    statements.clear()
    applied = await world.apply(Wake())
    assert len(applied.events) == 10
    assert statements["SELECT files"] == 1


async def many_of_one_key(world: World, count: int) -> Opened:
    """Submit work with one key, of which one runs, and let a lease look at all of it."""
    policy = Policy(concurrency_limit=1)
    for _ in range(count // 1_000):
        changes = (submit_change(concurrency_key="k", policy=policy) for _ in range(1_000))
        await world.apply(*changes)
    session = await world.open_session()
    leased = await world.lease(session)
    assert numbers(leased) == [1]
    while (await world.apply(Wake(), lease_of(session, 1))).next_wake is not None:
        pass
    return session


async def test_ten_thousand_that_wait_for_one_key_are_in_nobodys_way(
    world: World, read: Counter[str]
) -> None:
    session = await many_of_one_key(world, 10_000)
    read.clear()
    for number in range(10_001, 10_011):
        await world.apply(submit_change())
        assert numbers(await world.lease(session)) == [number]
    assert read["operations"] <= 10
    read.clear()
    await world.apply(*(submit_change() for _ in range(100)))
    assert len(await world.lease(session, free=100)) == 100
    assert read["operations"] == 100


async def test_the_end_of_a_lease_reads_the_next_few_however_many_wait(
    world: World, read: Counter[str]
) -> None:
    session = await many_of_one_key(world, 2_000)
    (running,) = (await world.find(limit=2_000)).records[-1:]
    assignment = Assignment(session.session, running.operation, None, "", "", b"")
    read.clear()
    for number in range(2, 12):
        applied = await world.apply(
            report_change(session, assignment, done()), lease_of(session, 1)
        )
        (assignment,) = cast("list[Assignment]", applied.outcomes[1])
        assert assignment.operation.number == number
    assert read["operations"] <= 10 * 4


async def test_putting_a_thousand_aside_for_one_slot_reads_each_a_few_times(
    world: World, read: Counter[str]
) -> None:
    policy = Policy(concurrency_limit=1)
    session = await world.open_session()
    keyed = (submit_change(concurrency_key="k", policy=policy) for _ in range(1_000))
    await world.apply(*keyed)
    await world.lease(session)
    await world.submit()
    read.clear()
    assert numbers(await world.lease(session)) == [1_001]
    assert read["operations"] <= 6_000
    assert read["queries"] <= 20


async def test_one_key_for_each_of_many_submits_is_read_once_a_batch(
    world: World, statements: Counter[str]
) -> None:
    await world.apply(submit_change(fairness_key="a"))
    statements.clear()
    changes = (submit_change(fairness_key=f"key {one % 5}") for one in range(500))
    await world.apply(*changes)
    assert statements["SELECT number"] + statements["SELECT operations"] <= 12

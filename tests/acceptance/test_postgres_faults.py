"""Two servers over one PostgreSQL keep every promise, whatever breaks under them."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.acceptance.promises import check_history
from tests.acceptance.roadstead import Roadstead
from tests.acceptance.traffic import Traffic
from tests.acceptance.waiting import eventually, eventually_answered
from tests.tools.cluster import Cluster

HOUR = 3_600.0

OF_SERVERS = "SELECT pid FROM pg_stat_activity WHERE usename = 'longshore' AND datname = $1"
TERMINATE = f"SELECT pg_terminate_backend(pid, 1000) FROM ({OF_SERVERS}) AS one"
DISTURB = f"""
    SELECT CASE WHEN random() < 0.3 THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END
    FROM ({OF_SERVERS} ORDER BY random() LIMIT 3) AS one
"""
LISTENING = f"{OF_SERVERS} AND query ILIKE '%listen%'"
HEAD = "SELECT FROM head FOR UPDATE"
#: In the order in which servers write them: else one of both would be a deadlock's victim.
HEARTBEATS = "SELECT FROM heartbeats ORDER BY session FOR UPDATE"
#: Those that nobody writes just now: whoever waits for none is no deadlock's victim.
UNFINISHED = "SELECT FROM operations WHERE state < 4 FOR UPDATE SKIP LOCKED"


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster() as running:
        yield running


@pytest.fixture
async def roadstead(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Roadstead]:
    async with Roadstead(cluster, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def held(roadstead: Roadstead, sql: str) -> AsyncGenerator[None]:
    """Hold the rows of a statement in an open transaction, as somebody may who went to lunch."""
    connection = await roadstead.cluster.connect(roadstead.database)

    async def hold() -> bool:
        await connection.execute("ROLLBACK; BEGIN")
        return bool(await connection.fetch(sql))

    try:
        await connection.execute("BEGIN")
        await eventually_answered(hold, "rows to hold")
        yield
    finally:
        await connection.close()


class Squatter:
    """Somebody who takes all connections that there are."""

    def __init__(self, roadstead: Roadstead) -> None:
        self._roadstead = roadstead
        self._taken: list[asyncpg.Connection[Any]] = []

    async def take_all(self) -> None:
        """Take every connection, also those that the servers had."""
        while await self._take() or await self._rest():
            await self._roadstead.query(TERMINATE, self._roadstead.database)

    async def _take(self) -> int:
        """Take what is free, and return how many that were."""
        before = len(self._taken)
        address = self._roadstead.cluster.address
        while True:
            try:
                one = await asyncpg.connect(f"postgresql://longshore@{address}/postgres")
            except asyncpg.TooManyConnectionsError:
                return len(self._taken) - before
            self._taken.append(one)

    async def _rest(self) -> list[Any]:
        return await self._roadstead.query(OF_SERVERS, self._roadstead.database)

    async def leave(self) -> None:
        for one in self._taken:
            await one.close()


async def test_the_database_is_restarted_again_and_again(roadstead: Roadstead) -> None:
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL) * 2:
            await roadstead.cluster.restart(how)
            await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_connections_are_cut_by_the_database_at_random(roadstead: Roadstead) -> None:
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        for _ in range(25):
            await roadstead.query(DISTURB, roadstead.database)
            await traffic.goes_on(4)
        check_history(await traffic.history(roadstead.revisions))


async def test_somebody_takes_all_connections(roadstead: Roadstead) -> None:
    squatter = Squatter(roadstead)
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        await squatter.take_all()
        await traffic.setback(10)
        await squatter.leave()
        await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_somebody_holds_rows_that_servers_write(roadstead: Roadstead) -> None:
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        for rows in (HEAD, UNFINISHED):
            async with held(roadstead, rows):
                await traffic.setback(4)
            await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_somebody_holds_rows_that_tell_who_is_alive(roadstead: Roadstead) -> None:
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        async with held(roadstead, HEARTBEATS):
            for server in roadstead.servers:
                await server.said("reap_failed")
            await traffic.goes_on()
        await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_servers_are_killed_in_the_midst(roadstead: Roadstead) -> None:
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        for index in (0, 1) * 2:
            await roadstead.servers[index].kill()
            await traffic.goes_on()
            await roadstead.start(index)
            await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_a_server_is_frozen_and_wakes_up_later(cluster: Cluster, tmp_path: Path) -> None:
    async with (
        Roadstead(cluster, tmp_path, beat=0.5, time_to_live=2.0) as roadstead,
        Traffic(roadstead.addresses) as traffic,
    ):
        await traffic.goes_on()
        roadstead.servers[0].freeze()
        await traffic.goes_on(40)
        roadstead.servers[0].thaw()
        await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_ways_to_the_database_are_cut_anywhere(roadstead: Roadstead) -> None:
    chance = random.Random(7)
    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        for _ in range(30):
            proxy = chance.choice(roadstead.proxies)
            if chance.random() < 0.5:
                proxy.cut_after(sent=chance.randrange(10_000))
            else:
                proxy.cut_after(answered=chance.randrange(10_000))
            await traffic.goes_on(5)
        check_history(await traffic.history(roadstead.revisions))


async def test_connections_fall_silent_and_are_replaced(roadstead: Roadstead) -> None:
    stranded: set[int] = set()

    async def listening() -> set[int]:
        """Return which connections listen, of those that are not stranded, once all do."""
        rows = await roadstead.query(LISTENING, roadstead.database)
        found = {pid for (pid,) in rows} - stranded
        return found if len(found) == len(roadstead.servers) else set()

    async with Traffic(roadstead.addresses) as traffic:
        await traffic.goes_on()
        # The database does not know that nobody will hear it over these.
        stranded |= await eventually_answered(listening, "servers that listen")
        for proxy in roadstead.proxies:
            proxy.strand()
        await traffic.goes_on()
        await eventually_answered(listening, "servers that listen again")
        check_history(await traffic.history(roadstead.revisions))


@pytest.mark.parametrize("index", [0, 1])
async def test_a_server_loses_the_database_and_another_goes_on(
    cluster: Cluster, tmp_path: Path, index: int
) -> None:
    async with (
        Roadstead(cluster, tmp_path, beat=0.5, time_to_live=2.0) as roadstead,
        Traffic(roadstead.addresses) as traffic,
    ):
        await traffic.goes_on()
        proxy = roadstead.proxies[index]
        for lose in (proxy.refuse, proxy.hush, proxy.hold_answers):
            lose()
            await traffic.goes_on(40)
            proxy.heal()
            await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_all_servers_lose_the_database(cluster: Cluster, tmp_path: Path) -> None:
    async with (
        Roadstead(cluster, tmp_path, beat=0.5, time_to_live=2.0) as roadstead,
        Traffic(roadstead.addresses) as traffic,
    ):
        await traffic.goes_on()
        for proxy in roadstead.proxies:
            proxy.hush()
        await traffic.setback(6)
        for proxy in roadstead.proxies:
            proxy.heal()
        await traffic.goes_on()
        for proxy in roadstead.proxies:
            proxy.delay = 0.01
        await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))


async def test_clocks_of_servers_are_hours_apart(cluster: Cluster, tmp_path: Path) -> None:
    clocks = (HOUR, -HOUR)
    async with (
        Roadstead(
            cluster, tmp_path, beat=0.5, time_to_live=2.0, clocks_ahead=clocks
        ) as roadstead,
        Traffic(roadstead.addresses) as traffic,
    ):
        await traffic.goes_on(50)
        traffic.lose_a_worker()
        await eventually(roadstead.has_expired_sessions, "the end of the worker's session")
        await traffic.goes_on(50)
        await roadstead.servers[0].kill()
        await traffic.goes_on()
        await roadstead.start(0)
        await traffic.goes_on()
        check_history(await traffic.history(roadstead.revisions))

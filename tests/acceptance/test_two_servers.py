"""Two servers over one database are one Longshore, whichever of them somebody knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from longshore.client import Client
from longshore.v1.operation_pb2 import State
from longshore.worker import Worker
from tests.acceptance.commands import call
from tests.acceptance.processes import Dockhand, Program, Server
from tests.acceptance.waiting import eventually_answered, within
from tests.tools.ports import steady_address
from tests.tools.postgres import databases
from tests.tools.proxy import Proxy

MANY = 16


@pytest.fixture
def url(tmp_path: Path) -> Generator[str]:
    yield databases().url(tmp_path)
    databases().drop(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str | Path, ...]:
    return ("--files", tmp_path / "files")


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def db(url: str, *words: str) -> Program:
    """Run `longshore db …` and return it, ended."""
    async with Program("db", *words, environment={"LONGSHORE_STORE": url}) as program:
        await program.ended()
    return program


def hand(name: str) -> Worker:
    worker = Worker("hand", identity=name)

    @worker.action
    async def lift() -> str:
        return name

    return worker


async def test_what_is_submitted_to_one_server_runs_at_the_other_and_is_watched_at_the_first(
    url: str, files: tuple[str | Path, ...], journal: Path
) -> None:
    async with (
        Server(url, *files) as a,
        Server(url, *files) as b,
        Client(a.address) as client,
        Dockhand(b.address, journal),
    ):
        handle = await client.tasks.submit("quick", allow_unregistered=True)
        changes = [change async for change in client.tasks.watch(handle.id, after_revision=0)]
        states = [change.event.state for change in changes]
        assert (states[0], states[-1]) == (State.STATE_QUEUED, State.STATE_SUCCEEDED)
        revisions = [change.event.revision for change in changes]
        assert revisions == sorted(set(revisions))
        assert await a.terminate() == 0
        assert await b.terminate() == 0


async def test_clients_and_workers_spread_and_go_elsewhere_when_a_server_is_killed(
    url: str, files: tuple[str | Path, ...]
) -> None:
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(Server(url, *files, listen=steady_address()))
            for _ in range(2)
        ]
        doors = [await stack.enter_async_context(Proxy(one.address)) for one in servers]
        addresses = [door.address for door in doors]
        left = await stack.enter_async_context(Client(servers[1].address))
        runs = [
            asyncio.create_task(hand(str(number)).run(addresses, stopping=stopping))
            for number in range(MANY)
        ]

        async def all_work() -> bool:
            workers = [one async for one in left.server.workers()]
            return sum(one.connected for one in workers) == MANY

        async def several_lift(clients: list[Client]) -> None:
            handles = [await client.tasks.submit("lift") for client in clients]
            await within(asyncio.gather(*(one.result() for one in handles)), "all results")

        await eventually_answered(all_work, "all workers")
        workers_met = [door.connections for door in doors]
        assert sum(workers_met) >= MANY
        clients = [await stack.enter_async_context(Client(addresses)) for _ in range(MANY)]
        await several_lift(clients)
        clients_met = [
            door.connections - met for door, met in zip(doors, workers_met, strict=True)
        ]
        assert all(workers_met)
        assert all(clients_met)
        await servers[0].kill()
        await several_lift(clients)
        await eventually_answered(all_work, "all workers at the server that is left")
        stopping.set()
        await within(asyncio.gather(*runs), "the end of all workers")
        assert await servers[1].terminate() == 0


async def test_a_database_is_prepared_looked_at_and_served(
    url: str, files: tuple[str | Path, ...]
) -> None:
    await execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    empty = json.loads((await db(url, "status", "--json")).out[0])
    assert (empty["applied"], empty["revision"]) == ([], 0)
    first, second = await asyncio.gather(db(url, "migrate"), db(url, "migrate"))
    assert (first.process.returncode, second.process.returncode) == (0, 0)
    assert empty["pending"] in (first.out, second.out)
    assert (await db(url, "migrate")).out == ["nothing to change"]
    async with Server(url, *files) as server:
        await call(server, "submit", "task", "lift", "--allow-unregistered")
        full = json.loads((await db(url, "status", "--json")).out[0])
        assert full["counts"] == [{"kind": "TASK", "state": "QUEUED", "count": 1}]
        assert full["revision"] > 0
        shown = (await db(url, "status")).out
        assert any(line.startswith("tasks QUEUED") for line in shown)
        assert await server.terminate() == 0


async def test_an_empty_database_is_prepared_by_the_servers_that_find_it(
    url: str, files: tuple[str | Path, ...]
) -> None:
    await execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    async with Server(url, *files, "--processes", "2") as server:
        assert (await call(server, "status")).code == 0
        assert await server.terminate() == 0


async def test_a_newer_schema_is_refused_by_servers_and_commands(
    url: str, files: tuple[str | Path, ...]
) -> None:
    await execute(url, "INSERT INTO migrations VALUES ('9999_later', '', now())")
    words = ("serve", "--listen", "127.0.0.1:0", "--store", url, *files)
    async with Program(*words) as server:
        assert await server.ended() == 1
    for program in (server, await db(url, "migrate"), await db(url, "status")):
        assert program.process.returncode == 1
        assert "this one does not know" in program.err[-1]
        assert "9999_later" in program.err[-1]

"""`longshore serve --processes`: several processes behind one port behave as one server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from longshore.client import Client, Tls, Unavailable
from longshore.v1.server_service_pb2 import GetStatusRequest, ServerMode
from longshore.v1.server_service_pb2_grpc import ServerServiceStub
from tests.acceptance.checkers import check_everything
from tests.acceptance.journal import check_nothing_ran_twice, noted
from tests.acceptance.office import Office
from tests.acceptance.processes import Dockhand, Program, Server, dockhand_environment
from tests.acceptance.waiting import eventually, eventually_answered, within
from tests.tools.certificates import Authority, put
from tests.tools.ports import steady_address
from tests.tools.postgres import databases

WORK = ("--worker", "tests.acceptance.work:worker")


@pytest.fixture
def url(tmp_path: Path) -> Generator[str]:
    yield databases().url(tmp_path)
    databases().give_back(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str | Path, ...]:
    """What makes a server one of two processes."""
    return ("--processes", "2", "--files", tmp_path / "files")


def children(server: Program) -> dict[str, int]:
    """Return which processes serve, as the log tells it: number and process id."""
    started: dict[str, int] = {}
    for line in map(json.loads, server.err):
        if line["event"] == "process_started":
            started[line["process"]] = line["pid"]
    return started


def runs(pid: int) -> bool:
    """Whether a process is there; what has ended and was not asked for why is not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


async def all_gone(pids: Iterable[int]) -> None:
    await eventually(lambda: not any(map(runs, pids)), "the end of all processes")


async def server_id(address: str) -> str:
    """Return which process answers a new connection."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub: Any = ServerServiceStub(channel)
        answer = await stub.GetStatus(GetStatusRequest(), wait_for_ready=True)
    return str(answer.id)


async def ids_of(address: str, count: int) -> set[str]:
    """Connect until so many different processes have answered."""
    met: set[str] = set()

    async def meet() -> bool:
        met.add(await server_id(address))
        return len(met) == count

    await eventually_answered(meet, f"{count} processes that answer")
    return met


async def test_both_processes_answer_once_the_address_is_told(
    url: str, two: tuple[str | Path, ...]
) -> None:
    async with Server(url, *two) as server:
        assert server.out == [f"longshore listening on {server.address}"]
        await ids_of(server.address, 2)
        pids = children(server).values()
        assert await server.terminate() == 0
        await all_gone(pids)
    drained = {json.loads(line).get("process") for line in server.err if '"stopped"' in line}
    assert drained == {"1", "2", None}


async def test_one_process_is_killed_and_nobody_loses_anything(
    url: str, two: tuple[str | Path, ...], journal: Path
) -> None:
    async with (
        Server(url, *two, "--time-to-live", "15s") as server,
        Dockhand(server.address, journal),
        Dockhand(server.address, journal),
        Client(server.address) as client,
    ):
        for number in ("2", "1"):
            before = children(server)
            handles = [
                await client.tasks.submit("quick", allow_unregistered=True) for _ in range(50)
            ]
            os.kill(before[number], signal.SIGKILL)
            handles += [
                await client.tasks.submit("quick", allow_unregistered=True) for _ in range(50)
            ]
            await within(asyncio.gather(*(one.result() for one in handles)), "all results")
            await eventually(lambda: children(server) != before, "another process")  # noqa: B023
            await ids_of(server.address, 2)
        async with Office(server.address) as office:
            check_everything(await office.history(), most_attempts=3)
        check_nothing_ran_twice(journal)
        assert await server.terminate() == 0


async def test_workers_inside_run_in_one_process_also_after_that_was_killed(
    url: str, two: tuple[str | Path, ...], journal: Path
) -> None:
    environment = dockhand_environment(journal)
    options = (*two, *WORK, "--time-to-live", "15s")
    async with (
        Server(url, *options, environment=environment) as server,
        Client(server.address) as client,
    ):

        async def workers() -> list[str]:
            try:
                return [one.name async for one in client.server.workers()]
            except Unavailable:  # It was the killed process that was asked.
                return []

        (worker,) = await eventually_answered(workers, "a worker")
        await (await client.tasks.submit("quick")).result()
        os.kill(children(server)["1"], signal.SIGKILL)

        async def another() -> bool:
            return any(one != worker for one in await workers())

        await eventually_answered(another, "the worker of another process")
        handle = await client.tasks.submit("quick")
        await within(handle.result(), "the result")
        assert await server.terminate() == 0
    assert len(noted(journal, "end")) == 2


async def test_work_inside_gets_its_grace_when_all_processes_are_signalled_at_once(
    url: str, two: tuple[str | Path, ...], journal: Path, gate: Path
) -> None:
    environment = dockhand_environment(journal)
    async with (
        Server(url, *two, *WORK, environment=environment) as server,
        Office(server.address) as office,
    ):
        task = await office.submit("hold", gate=str(gate))
        await eventually(lambda: noted(journal, "start"), "the start of the work")
        for pid in (server.pid, *children(server).values()):
            os.kill(pid, signal.SIGTERM)
        await server.said("draining")
        gate.touch()
        assert await server.ended() == 0
    assert len(noted(journal, "end", task.metadata.id)) == 1


async def test_a_second_signal_ends_all_processes_at_once(
    url: str, two: tuple[str | Path, ...], journal: Path, gate: Path
) -> None:
    environment = dockhand_environment(journal)
    async with (
        Server(url, *two, *WORK, environment=environment) as server,
        Office(server.address) as office,
    ):
        await office.submit("hold", gate=str(gate))
        await eventually(lambda: noted(journal, "start"), "the start of the work")
        pids = children(server).values()
        server.signal(signal.SIGINT)
        await server.said("draining")
        server.signal(signal.SIGINT)
        assert await server.ended() != 0
        await all_gone(pids)


async def test_processes_whose_parent_was_killed_drain_and_leave_the_port(
    url: str, two: tuple[str | Path, ...]
) -> None:
    async with Server(url, *two, listen=steady_address()) as server:
        pids = children(server).values()
        await server.kill()
        await all_gone(pids)
        async with Server(url, *two, listen=server.address) as next_server:
            assert await next_server.terminate() == 0


async def test_when_no_process_stays_alive_the_server_gives_up_and_says_why(
    url: str, two: tuple[str | Path, ...], tmp_path: Path
) -> None:
    async with Server(url, *two) as server:
        with databases().gone(tmp_path):
            for pid in children(server).values():
                os.kill(pid, signal.SIGKILL)
            assert await server.ended() == 1
    assert "Error: no process of the server stays alive: the store postgresql://" in (
        "\n".join(server.err)
    )
    assert "not currently accepting connections" in server.err[-1]


async def test_a_server_whose_processes_cannot_begin_says_why_once(
    two: tuple[str | Path, ...], tmp_path: Path
) -> None:
    nowhere = "postgresql://ada:hush@127.0.0.1:1/longshore"
    words = ("serve", "--listen", "127.0.0.1:0", *two)
    async with Program(*words, environment={"LONGSHORE_STORE": nowhere}) as program:
        assert await program.ended() == 1
    errors = [line for line in program.err if line.startswith("Error")]
    assert len(errors) == 1
    assert "the store postgresql://127.0.0.1:1/longshore cannot be reached" in errors[0]
    assert "hush" not in "\n".join([*program.out, *program.err])
    assert program.out == []


async def test_a_worker_that_is_not_there_is_a_mistake_of_the_command_line(
    url: str, two: tuple[str | Path, ...]
) -> None:
    words = (
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--store",
        url,
        *two,
        "--worker",
        "no_such:one",
    )
    async with Program(*words) as program:
        assert await program.ended() == 2
    assert "there is no module no_such" in program.err[-1]


async def test_a_port_that_another_server_has_is_refused_also_if_that_would_share_it(
    url: str, two: tuple[str | Path, ...], store: Path
) -> None:
    async with Server(url, *two) as server:
        words = ("serve", "--listen", server.address)
        for other in ((*words, "--store", url, *two), (*words, "--store", f"sqlite:{store}")):
            async with Program(*other) as program:
                assert await program.ended() == 1
            assert f"cannot listen on {server.address}" in program.err[-1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with Program("serve", "--listen", listen, "--store", url, *two) as program:
            assert await program.ended() == 1
        assert f"cannot listen on {listen}" in program.err[-1]


async def test_every_process_speaks_http_knows_principals_and_writes_the_audit_log(
    url: str, two: tuple[str | Path, ...], tmp_path: Path, journal: Path
) -> None:
    file, audit = tmp_path / "principals.toml", tmp_path / "audit.log"
    words = ("principals", "add", "ada", "--role", "admin", "--principals", file)
    async with Program(*words) as program:
        assert await program.ended() == 0
    token = program.out[0]
    options = (*two, *WORK, "--http", "127.0.0.1:0", "--principals", file, "--audit-log", audit)
    async with Server(url, *options, environment=dockhand_environment(journal)) as server:
        found = await server.said(r"^longshore gateway listening on (\S+)", server.out)
        assert len(server.out) == 2

        async def asked(token: str) -> httpx.Response:
            """Ask over a connection of its own."""
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(headers=headers, timeout=30) as http:
                return await http.get(f"{found[1]}/v1/server")

        async with Client(server.address, token=token) as client:
            handle = await client.tasks.submit("quick", allow_unregistered=True)
            await within(handle.result(), "the result")
        met: set[str] = set()

        async def met_both() -> bool:
            met.add((await asked(token)).json()["id"])
            return len(met) == 2

        await eventually_answered(met_both, "both processes")

        async def done_by_both() -> bool:
            async with Client(server.address, token=token) as client:
                await client.server.set_mode(ServerMode.SERVER_MODE_ACTIVE)
            lines = [json.loads(line) for line in audit.read_text().splitlines()]
            return {line["process"] for line in lines} == {"1", "2"}

        await eventually_answered(done_by_both, "what ada has done at both processes")
        file.write_text("")

        async def refused() -> bool:
            return (await asked(token)).status_code == 401

        for _ in range(4):
            await eventually_answered(refused, "the end of all that ada may do")
        assert await server.terminate() == 0


async def test_every_process_speaks_tls_and_takes_up_new_certificates(
    url: str, two: tuple[str | Path, ...], tmp_path: Path, journal: Path, authority: Authority
) -> None:
    pair = authority.server.copy(tmp_path)
    options = (*two, *WORK, "--tls-cert", pair.certificate, "--tls-key", pair.key)
    async with Server(url, *options, environment=dockhand_environment(journal)) as server:
        trust = Tls(ca=authority.ca)
        async with Client(server.address, tls=trust) as client:
            handle = await client.tasks.submit("quick", allow_unregistered=True)
            await within(handle.result(), "the result")
        for new, old in zip(authority.server, pair, strict=True):
            put(new, old)

        async def renewed() -> bool:
            async with Client(server.address, tls=trust) as client:
                await client.server.status()
            lines = map(json.loads, server.err)
            told = {one["process"] for one in lines if one["event"] == "tls_reloaded"}
            return told == {"1", "2"}

        await eventually_answered(renewed, "new certificates in both processes")
        assert await server.terminate() == 0

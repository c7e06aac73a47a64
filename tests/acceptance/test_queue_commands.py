"""Queues, launches, services, workers, modes and accounts, as people type them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.commands import Answer, call, on_a_terminal
from tests.acceptance.processes import ROOT, Server
from tests.acceptance.waiting import eventually_answered

FOLDER = ROOT / "protos"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    store = tmp_path_factory.mktemp("queues") / "longshore.db"
    async with Server(store, "--worker", "longshore.demo:worker") as server:

        async def offered() -> bool:
            return (await call(server, "services", "naming-rules")).code == 0

        await eventually_answered(offered, "the services of the worker")
        yield server


async def calls(server: Server, *lines: str) -> list[Answer]:
    """Type several commands at once."""
    return list(await asyncio.gather(*(call(server, *line.split()) for line in lines)))


async def test_services_are_listed_and_shown_with_what_they_take(server: Server) -> None:
    listed, shown, unknown = await calls(
        server, "services", "services naming-rules", "services tailor"
    )
    rows = [line.split("\t") for line in listed.out]
    assert rows[0] == ["SLUG", "KIND", "VERSION", "ACTIONS", "DESCRIPTION"]
    assert ["naming-rules", "ruleset"] in [row[:2] for row in rows]
    assert "kind         ruleset" in shown.out
    assert re.search(r"^  longest_path  integer  optional", shown.text, re.MULTILINE)
    assert unknown.code == 3
    assert "`longshore services` shows what there is" in unknown.err


async def test_a_launch_is_followed_to_its_result(server: Server) -> None:
    run = await call(server, "run", "launch", "naming-rules", f"folder={FOLDER}")
    assert run.code == 0
    assert '"findings": 0' in run.out[-1]
    number = re.search(r"launch (\d+),", run.text)
    assert number
    (shown, listed) = await calls(server, f"get {number[1]}", "list launches")
    assert "service     naming-rules" in shown.out
    assert listed.out[0].split("\t")[:3] == ["NUMBER", "STATE", "SERVICE"]
    assert listed.out[1].split("\t")[:3] == [number[1], "SUCCEEDED", "naming-rules"]


async def test_launches_wait_in_a_queue_that_people_order(server: Server) -> None:
    paused = await call(server, "queue", "pause", "operations")
    assert paused.text == "queue operations is paused: 0 wait, 0 run on"
    words = ("submit", "launch", "verify-bag", f"folder={FOLDER}", "--json")
    made = [(await call(server, *words)).json[0]["metadata"] for _ in range(3)]
    first, second, third = (one["number"] for one in made)
    moved = await call(server, "launches", "move", "top", third, second, "1")
    assert moved.text == f"moved to the top: {second}, {third}; 1 skipped, which do not wait"
    down = await call(server, "launches", "move", "down", second)
    assert down.text == f"moved down: {second}"
    heads, *rows = [
        line.split("\t") for line in (await call(server, "launches", "--kind", "operation")).out
    ]
    assert heads == ["PLACE", "NUMBER", "SERVICE", "STATE", "PRIORITY", "WHO", "SINCE", "ID"]
    assert [row[:2] for row in rows] == [["1", third], ["2", second], ["3", first]]
    assert rows[0][2:6] == ["verify-bag", "QUEUED", "0", "anonymous"]
    assert (await call(server, "launches", "--kind", "ruleset")).out[1:] == []
    code, drawn = await on_a_terminal(server, "launches", columns=70)
    assert code == 0
    assert max(map(len, drawn.splitlines())) <= 70
    assert made[0]["id"] not in drawn

    ended = await call(server, "cancel", first, second, third, "999999")
    assert ended.out == [f"launch {one} is CANCELED" for one in (first, second, third)]
    assert ended.code == 3
    assert "999999: " in ended.err
    resumed = await call(server, "queue", "resume", "operations")
    assert resumed.text == "queue operations goes on: 0 wait, 0 run"
    none = await call(server, "launches", "move", "up", first)
    assert none.code == 3


async def test_queues_are_made_limited_and_listed(server: Server) -> None:
    limited = await call(server, "queue", "limit", "night", "4")
    assert limited.text == "queue night runs at most 4 at once: 0 wait, 0 run"
    paused = await call(server, "queue", "pause", "night")
    assert paused.code == 0
    heads, *rows = [line.split("\t") for line in (await call(server, "queue")).out]
    assert heads == ["NAME", "WAITING", "RUNNING", "LIMIT", "OLDEST", "PAUSED"]
    (night,) = [row for row in rows if row[0] == "night"]
    assert night[1:5] == ["0", "0", "4", ""]
    assert re.fullmatch(r"since \S+ \S+ by anonymous", night[5])
    refused = await call(server, "queue", "limit", "rulesets", "2")
    assert refused.code == 3
    assert "concurrency_limit: " in refused.err


async def test_what_waits_is_held_and_let_go_several_at_once(server: Server) -> None:
    words = ("submit", "task", "archive/scan", f"path={FOLDER}", "--start-in", "1h", "--json")
    one, two = [(await call(server, *words)).json[0]["metadata"]["number"] for _ in range(2)]
    held = await call(server, "suspend", one, two)
    assert held.out[0] == f"task {one} is SUSPENDED: `longshore resume {one}` lets it go on"
    again = await call(server, "suspend", one)
    assert again.code == 3
    assert "is SUSPENDED" in again.err
    assert "`longshore history " in again.err
    let_go = await call(server, "resume", one, two)
    assert let_go.out == [f"task {one} is QUEUED", f"task {two} is QUEUED"]
    assert (await call(server, "cancel", one, two)).code == 0
    resubmitted = await call(server, "resubmit", one, two)
    assert resubmitted.code == 0
    assert f"does again what task {two} was to do: " in resubmitted.out[1]
    both = await call(server, "get", one, two)
    assert both.out.count("state       CANCELED") == 2


async def test_a_watch_shows_every_kind_or_one(server: Server) -> None:
    launched = await call(
        server, "submit", "launch", "naming-rules", f"folder={FOLDER}", "--label", "watched=yes"
    )
    done = await call(
        server, "run", "task", "archive/scan", f"path={FOLDER}", "--label", "watched=yes"
    )
    assert done.code == 0
    task = re.search(r"task (\d+)", done.text)
    assert task
    both = await call(server, "watch", launched.text, task[1], "--after", "0", "--json")
    assert both.code == 0
    ends = [one for one in both.json if "task" in one or "launch" in one]
    assert {("task" in one, "launch" in one) for one in ends} == {(True, False), (False, True)}


async def test_the_mode_is_shown_and_set(server: Server) -> None:
    assert (await call(server, "mode")).text == "ACTIVE: takes work and starts it"
    held = await call(server, "mode", "maintenance", "--no-resume-on-restart")
    assert held.text == (
        "MAINTENANCE: takes no work and starts nothing; what runs goes on; "
        "the next start does not end this"
    )
    refused = await call(
        server, "submit", "task", "archive/scan", f"path={FOLDER}", "--timeout", "20s"
    )
    assert refused.code == 3
    assert "`longshore mode active` ends it" in refused.err
    assert (await call(server, "mode", "active", "--json")).json[0]["resume_on_restart"]


async def test_workers_are_listed_with_what_they_serve(server: Server) -> None:
    heads, row = [line.split("\t") for line in (await call(server, "workers")).out]
    assert heads == ["NAME", "STATE", "BUSY", "SEEN", "QUEUES", "ACTIONS", "ID"]
    assert row[1] == "connected"
    assert "archive/scan" in row[5]


async def test_accounts_are_registered_once(server: Server) -> None:
    made = await call(server, "accounts", "register", "archive", "ada")
    assert made.text == "ada is registered with archive"
    again, listed = await calls(server, "accounts register archive ada", "accounts")
    assert again.code == 3
    assert "`longshore accounts` shows those that you have" in again.err
    assert listed.out[1].split("\t")[:2] == ["archive", "ada"]
    gone = await call(server, "accounts", "deregister", "archive", "ada")
    assert gone.text.startswith("ada is no longer registered with archive")


async def test_a_shell_is_offered_names_that_the_server_knows(
    server: Server, tmp_path: Path
) -> None:
    config = tmp_path / "longshore.toml"
    config.write_text(f'server = "{server.address}"')

    async def offered(line: str) -> set[str]:
        answer = await call(
            server,
            LONGSHORE_SERVER="",
            LONGSHORE_CONFIG=str(config),
            _LONGSHORE_COMPLETE="bash_complete",
            COMP_WORDS=line,
            COMP_CWORD=str(line.count(" ")),
        )
        return {one.removeprefix("plain,") for one in answer.out}

    assert await offered("longshore submit launch ") == {"naming-rules", "verify-bag"}
    assert await offered("longshore submit task archive/s") == {"archive/scan"}
    assert {"default", "rulesets"} <= await offered("longshore queue pause ")


async def test_the_next_of_several_servers_is_asked_where_one_is_not_there(
    server: Server,
) -> None:
    both = f"127.0.0.1:1,{server.address}"
    assert (await call(server, "status", LONGSHORE_SERVER=both)).code == 0
    assert (await call(server, "status", "--server", both)).code == 0

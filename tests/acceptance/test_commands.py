"""The installed commands, as people and scripts meet them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.commands import call, on_a_terminal, text_of
from tests.acceptance.processes import Program, Server
from tests.acceptance.waiting import eventually

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    store = tmp_path_factory.mktemp("commands") / "longshore.db"
    async with Server(store, "--worker", "tests.acceptance.talk:worker") as server:
        answer = await call(server, "run", "task", "talk/count", "times:=1")
        assert answer.code == 0, answer
        yield server


async def submitted(server: Server, *words: str | Path) -> str:
    (task_id,) = (await call(server, "submit", "task", *words)).out
    return task_id


async def test_the_first_line_of_a_server_names_its_address(server: Server) -> None:
    assert re.fullmatch(r"longshore listening on 127\.0\.0\.1:[1-9]\d*", server.out[0])


async def test_submit_prints_the_id_and_nothing_else(server: Server) -> None:
    answer = await call(server, "submit", "task", "talk/count", "times:=2")
    assert answer.code == 0
    assert re.fullmatch(UUID, "\n".join(answer.out))
    assert answer.err == ""


async def test_run_in_a_pipe_prints_plain_lines_and_last_the_result(server: Server) -> None:
    answer = await call(server, "run", "task", "talk/count", "times:=3")
    assert answer.code == 0
    assert "\x1b" not in "".join(answer.out)
    said = "\n".join(answer.out)
    assert "RUNNING    attempt 1 on talker" in said
    assert "output: ␛[31mnumber 3" in said
    assert "33 %, 1/3 numbers, counting" in said
    assert json.loads(answer.out[-1]) == {"counted": 3}


async def test_run_on_a_terminal_shows_a_bar_and_the_result(
    server: Server, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    pieces: list[bytes] = []
    words = ("run", "task", "talk/wait_for", f"gate={gate}")
    running = asyncio.create_task(on_a_terminal(server, *words, pieces=pieces))
    await eventually(lambda: "1/2 gates, waiting" in text_of(pieces), "a bar")
    gate.touch()
    code, drawn = await running
    assert code == 0
    assert f'"gate": "{gate}"' in drawn


async def test_work_that_fails_and_calls_that_fail_are_told_apart(server: Server) -> None:
    failed = await call(server, "run", "task", "talk/break_down", "why=no rope")
    assert failed.code == 1
    assert "FAILED" in failed.err
    assert "no rope [ACTION_FAILED" in failed.err

    unknown = await call(server, "run", "task", "talk/sing")
    assert unknown.code == 3
    assert "start a worker that offers it" in unknown.err
    wrong = await call(server, "run", "task", "talk/count", "times=many", "loud:=true")
    assert wrong.code == 3
    assert "spec.actions[0].arguments.times: " in wrong.err
    assert "spec.actions[0].arguments.loud: " in wrong.err
    assert (await call(server, "get", "123456789")).code == 3
    assert (await call(server, "get")).code == 2


async def test_ctrl_c_ends_the_following_and_not_the_work(
    server: Server, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    environment = {"LONGSHORE_SERVER": server.address}
    words = ("run", "task", "talk/wait_for", f"gate={gate}")
    async with Program(*words, environment=environment) as program:
        await program.said("1/2 gates", program.out)
        program.signal(signal.SIGINT)
        assert await program.ended() == 130
    told = re.search(r"`longshore cancel (\d+)` cancels it", "\n".join(program.err))
    assert told
    gate.touch()
    assert (await call(server, "watch", told[1])).code == 0


async def test_cancel_ends_work_and_who_follows_it_learns(
    server: Server, tmp_path: Path
) -> None:
    task_id = await submitted(server, "talk/wait_for", f"gate={tmp_path / 'gate'}")
    assert (await call(server, "cancel", task_id, "--message", "no need")).code == 0
    followed = await call(server, "watch", task_id)
    assert followed.code == 1
    assert "CANCELED" in followed.out[-1]
    again = await call(server, "cancel", task_id)
    assert again.code == 3


async def test_a_task_is_shown_with_its_history_and_why_it_waits(server: Server) -> None:
    task_id = await submitted(
        server,
        "talk/count",
        "times:=1",
        "--start-in",
        "1h",
        "--name",
        "later",
        "--label",
        "a=b",
    )
    shown = "\n".join((await call(server, "get", task_id)).out)
    assert f"id          {task_id}" in shown
    assert "actions     talk/count" in shown
    assert "labels      a=b" in shown
    assert "result" not in shown
    (event,) = (await call(server, "history", task_id)).out
    assert event.endswith("QUEUED     anonymous@127.0.0.1   submitted")
    state, first, *_ = (await call(server, "explain", task_id)).out
    assert state == "QUEUED"
    assert first.startswith("1. ")


async def test_a_list_in_a_pipe_has_tabs_and_keeps_to_its_filter(server: Server) -> None:
    label = ("--label", "listed=yes", "--start-in", "1h")
    ids = [await submitted(server, "talk/count", "times:=1", *label) for _ in range(3)]
    words = ("list", "--filter", "labels.listed = yes AND state = QUEUED", "--limit", "2")
    heads, *rows = [line.split("\t") for line in (await call(server, *words)).out]
    assert heads[0] == "NUMBER"
    assert [row[-1] for row in rows] == ids[:0:-1]
    code, drawn = await on_a_terminal(server, "list")
    assert code == 0
    assert "talk/count" in drawn
    assert max(map(len, drawn.splitlines())) <= 120


async def test_json_has_one_message_of_the_contract_per_line(server: Server) -> None:
    run = await call(server, "run", "task", "talk/count", "times:=1", "--json")
    assert "task" in run.json[0]
    assert run.json[-1]["event"]["state"] == "STATE_SUCCEEDED"
    assert run.json[-1]["task"]["status"]["result"] == {"counted": 1}
    task_id = run.json[0]["task"]["metadata"]["id"]
    for words in (("get", task_id), ("list",), ("history", task_id), ("explain", task_id)):
        answer = await call(server, *words, "--json")
        assert answer.code == 0
        assert all(answer.json)
    (status,) = (await call(server, "status", "--json")).json
    assert status["mode"] == "SERVER_MODE_ACTIVE"
    (task,) = (await call(server, "submit", "task", "talk/count", "times:=1", "--json")).json
    assert task["status"]["state"] == "STATE_QUEUED"


async def test_a_watch_begins_where_it_is_told_to(server: Server) -> None:
    run = await call(server, "run", "task", "talk/count", "times:=1", "--json")
    task_id = run.json[0]["task"]["metadata"]["id"]
    known = (await call(server, "history", task_id, "--json")).json
    told = (
        await call(
            server, "watch", task_id, "--after", known[1]["revision"], "--logs", "--json"
        )
    ).json
    assert [one["event"]["revision"] for one in told] == [one["revision"] for one in known[2:]]


async def test_a_file_of_settings_holds_for_servers_and_callers(
    server: Server, tmp_path: Path
) -> None:
    config = tmp_path / "longshore.toml"
    config.write_text(
        f"""
        server = "{server.address}"
        [serve]
        listen = "127.0.0.1:0"
        store = "sqlite:{tmp_path / "own.db"}"
        """
    )
    assert (await call(server, "--config", config, "status", LONGSHORE_SERVER="")).code == 0
    async with Program("serve", "--config", config) as own:
        await own.said("longshore listening on", own.out)
        assert await own.terminate() == 0
    assert (tmp_path / "own.db").exists()


async def test_listening_for_anyone_is_refused_or_warned_of(tmp_path: Path) -> None:
    words = ("serve", "--listen", "0.0.0.0:0", "--store", f"sqlite:{tmp_path / 'own.db'}")
    async with Program(*words) as refused:
        assert await refused.ended() == 2
    async with Program(*words, "--insecure") as warned:
        await warned.said("longshore listening on 0.0.0.0:", warned.out)
        await warned.said(
            "there are no principals, so anyone on the network could do everything", warned.err
        )
        assert await warned.terminate() == 0

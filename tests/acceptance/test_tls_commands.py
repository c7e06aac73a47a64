"""The installed commands over TLS, as `longshore certs dev` says to type them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.acceptance.commands import call
from tests.acceptance.processes import Program, Server, dockhand_environment
from tests.tools.certificates import Authority, put

TOKEN = "lsk_k3v9x2m7q4_" + "s" * 43


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "my certs"


async def made(folder: Path) -> list[list[str]]:
    """Make certificates and return the lines to go on with, without the command's name."""
    async with Program("certs", "dev", folder, "--json") as program:
        assert await program.ended() == 0
    (told,) = program.out
    return [shlex.split(line)[1:] for line in json.loads(told)["commands"]]


async def test_what_is_said_to_be_typed_next_works(store: Path, folder: Path) -> None:
    lines = await made(folder)
    for serve, status in (lines[:2], lines[2:]):
        async with Server(store, *serve[1:]) as server:
            assert (await call(server, *status)).code == 0
            assert await server.terminate() == 0


async def test_a_worker_of_its_own_and_its_files_go_over_tls(
    store: Path, folder: Path, journal: Path, tmp_path: Path
) -> None:
    serve, status = (await made(folder))[2:]
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    secured: tuple[str | Path, ...] = (*status[1:], "--token-file", token)
    async with Server(store, *serve[1:]) as server:
        words = ("worker", "tests.acceptance.work:worker", "--server", server.address)
        environment = dockhand_environment(journal)
        async with Program(*words, *secured, environment=environment) as worker:
            load = ("run", "task", "load", "sizes:=[1000]", "--allow-unregistered", "--json")
            done = await call(server, *load, *secured)
            assert done.code == 0, done.err
            assert len(done.json[-1]["task"]["status"]["files"]) == 1
            assert await worker.terminate() == 0
    for program in (server, worker):
        assert TOKEN not in "\n".join([*program.out, *program.err])


async def test_who_is_refused_is_told_why_and_what_to_do(
    store: Path, folder: Path, stranger: Authority
) -> None:
    serve, status = (await made(folder))[2:]
    async with Server(store, *serve[1:]) as server:
        for words, why in (
            (("status",), "it may want TLS"),
            (("status", "--ca", stranger.ca), "its certificate is not trusted"),
            (status[:3], "it may want a client certificate"),
            ((*status, "--server-name", "elsewhere"), "its certificate is for another name"),
        ):
            answer = await call(server, *words)
            assert answer.code == 3
            said = answer.err.splitlines()
            assert said[0].startswith("Error: there is no connection to 127.0.0.1:")
            assert why in said[0]
            assert "--ca FILE" in said[1]
            assert len(said) == 2
    assert not any("handshake" in line.lower() for line in server.err)


async def test_a_server_takes_up_certificates_that_are_made_anew(
    store: Path, folder: Path, authority: Authority
) -> None:
    serve, status = (await made(folder))[:2]
    async with Server(store, *serve[1:]) as server:
        assert (await call(server, *status)).code == 0
        for new, name in zip(authority.server, ("server.pem", "server.key"), strict=True):
            put(new, folder / name)
        assert (await call(server, *status)).code == 3
        assert (await call(server, "status", "--ca", authority.ca)).code == 0
        await server.said("tls_reloaded")


async def test_files_that_cannot_be_served_are_named_before_anything_begins(
    store: Path, folder: Path
) -> None:
    serve, _ = (await made(folder))[:2]
    (folder / "server.key").write_text("nothing")
    async with Program(*serve, "--store", f"sqlite:{store}") as program:
        assert await program.ended() != 0
    said = "\n".join(program.err)
    assert f"{folder / 'server.key'} holds no private key as PEM" in said
    assert "Traceback" not in said

"""Secrets reach the worker that they are for, and show themselves nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longshore.client import Client, Handle
from tests.acceptance import commands, vault
from tests.acceptance.processes import Program, Server
from tests.acceptance.quay import Quay, log_of, publish, until_ended
from tests.acceptance.treasury import MARK, bank, nightly, refusals, submit_all


class Seen(NamedTuple):
    """Everything that anybody was shown, and what the worker noted."""

    texts: list[str]
    notes: list[str]
    operations: Sequence[Handle[Any, Any]]
    again: Sequence[Handle[Any, Any]]


async def look_around(client: Client, server: Server) -> list[str]:
    """Ask for everything that can be asked for, by calls and by commands."""
    seen: list[object] = []
    handles: list[Handle[Any, Any]] = []
    for room in (client.tasks, client.jobs, client.launches):
        async for one in room.list(full=True):
            handles += [one, await room.get(one.id), await client.operations.get(one.id)]
            seen += [event async for event in client.operations.history(one.id)]
            seen.append(await client.operations.explain(one.id))
    handles += [one async for one in client.launches.queue()]
    seen += [one.message for one in handles]
    seen += await log_of(client)
    catalog = client.catalog
    seen += [one async for one in catalog.contracts()]
    seen += [one async for one in catalog.schedules()]
    seen += [await catalog.contract("bank"), await catalog.schedule("nightly")]
    seen += await catalog.services()
    seen += [one async for one in client.server.workers()]
    numbers = sorted({str(one.number) for one in handles})
    answers = [
        await commands.call(server, *words)
        for words in (
            ["get", *numbers],
            ["get", *numbers, "--json"],
            ["list", "launches", "--json"],
            ["contracts", "show", "bank"],
            ["schedules", "show", "nightly"],
        )
    ]
    return [*map(str, seen), *(f"{answer.text}\n{answer.err}" for answer in answers)]


async def at_the_command_line(server: Server) -> list[str]:
    """Say secrets in commands, which succeed, fail or are refused."""
    lines = (
        f"run launch open-vault key={MARK}-typed --json",
        f"run job bank enter combination={MARK}-typed last_door=jammed",
        f'submit launch open-vault key:=["{MARK}-typed"]',
    )
    answers = await asyncio.gather(*(commands.call(server, *line.split()) for line in lines))
    assert [answer.code for answer in answers] == [0, 1, 3]
    return [f"{answer.text}\n{answer.err}" for answer in answers]


class Keeper(Program):
    """A worker that notes what it is told."""

    def __init__(self, server: str, notes: Path) -> None:
        super().__init__(
            *("worker", "tests.acceptance.vault:worker", "--log-level=debug"),
            f"--server={server}",
            environment={"VAULT_NOTES": str(notes)},
        )


@pytest.fixture(scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("passwords")
    async with (
        Quay(folder / "longshore.db", "--log-level=debug") as quay,
        quay.client() as client,
    ):
        await publish(quay.address, vault.worker)
        applied = await client.catalog.apply_contract(bank())
        scheduled = await client.catalog.apply_schedule(nightly())
        handles = await submit_all(client)
        texts = [str(applied), str(scheduled), *(str(one.message) for one in handles)]
        texts += await refusals(client)
        texts += await look_around(client, quay.server)
        await quay.restart()
        # What was shown comes back: what was kept is kept, though nobody has seen it.
        await client.catalog.apply_contract(await client.catalog.contract("bank"))
        async with Keeper(quay.address, folder / "notes") as keeper:
            await until_ended(client, [one.id for one in handles])
            again = [await handles[index].resubmit() for index in (0, 3)]
            again.append(await handles[1].resubmit(from_failed=True))
            await until_ended(client, [one.id for one in again])
            texts += await at_the_command_line(quay.server)
            texts += await look_around(client, quay.server)
        for program in (*quay.servers, keeper):
            texts += [*program.out, *program.err]
            handles = [await client.operations.get(one.id) for one in handles]
    return Seen(texts, (folder / "notes").read_text().splitlines(), handles, again)


def told(seen: Seen, operation: Handle[Any, Any]) -> list[str]:
    """Return what the worker was told of an operation: step and secret, in order."""
    return [
        note.partition(" ")[2].replace(f"{MARK}-", "")
        for note in seen.notes
        if note.startswith(operation.id)
    ]


def test_nobody_but_the_worker_is_shown_a_secret(seen: Seen) -> None:
    assert [text for text in seen.texts if MARK in text] == []


def test_what_was_looked_at_would_have_told_of_secrets(seen: Seen) -> None:
    """It tells of what stands beside them, and in their place, in logs and errors too."""
    everything = "\n".join(seen.texts)
    assert "a key ********** for 'stuck'" in everything
    assert "the door is jammed, ********** or not" in everything
    assert "null_value: NULL_VALUE" in everything
    assert "call_refused" in everything
    assert '"key": null' in everything


def test_the_worker_is_told_every_secret(seen: Seen) -> None:
    ring = ["1 master", "1 ring-1", "1 ring-2"]
    agreed = ["0 agreed", "0 agreed", *ring, "2 quoted", "3 written", "4 agreed"]
    called = ["0 called", "0 called", *ring, "2 quoted", "3 written", "4 called"]
    assert [told(seen, one) for one in seen.operations] == [
        agreed,
        called,
        [],  # a number is no password
        ["0 launch", "0 launch"],
        [],  # it was too long
        ["0 taken"],
        ["0 task", "0 other"],
    ]
    assert [told(seen, one) for one in seen.again] == [
        agreed,
        ["0 launch", "0 launch"],
        called[-1:],
    ]
    assert [one.state for one in seen.operations] == [
        "SUCCEEDED",
        "FAILED",
        "FAILED",
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
        "SUCCEEDED",
    ]

"""Secrets reach the worker that they are for, and show themselves nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from longshore.client import CallError, Client, Handle, call
from longshore.client.requests import OptionFields
from longshore.v1.catalog_service_pb2 import Contract, Schedule
from longshore.v1.launch_service_pb2 import LaunchSpec
from tests.acceptance import commands, vault
from tests.acceptance.processes import Program, Server
from tests.acceptance.quay import Quay, contract, log_of, publish, until_ended

#: Begins every secret.
MARK: Final = "xyzzy"

AGAIN: Final[OptionFields] = {"initial_backoff": timedelta(milliseconds=1)}


def bank() -> Contract:
    """A contract that hands on secrets in every way that there is."""
    made = contract(
        "bank",
        enter=[
            call("unlock", {"door": "stuck"}, paths={"key": "combination"}),
            call("unlock", paths={"key": "master", "others": "ring/keys"}),
            call("unlock", paths={"key": f"'{MARK}-quoted'"}, assign={"spare": "$combination"}),
            call("unlock", {"key": f"{MARK}-written"}),
            call("unlock", paths={"key": "spare", "door": "last_door"}),
        ],
    )
    made.actions[0].variables.update(
        {
            "combination": f"{MARK}-agreed",
            "master": f"{MARK}-master",
            "ring": {"keys": [f"{MARK}-ring-1", f"{MARK}-ring-2"]},
            "last_door": "",
        }
    )
    return made


def nightly() -> Schedule:
    schedule = Schedule(name="nightly", launch=LaunchSpec(service="open-vault"))
    schedule.launch.arguments.update({"key": f"{MARK}-nightly"})
    schedule.interval.FromSeconds(3_600)
    return schedule


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


async def refusals(client: Client) -> list[str]:
    """Send secrets in ways that are refused, and return what was said of it."""
    secret = f"{MARK}-refused"
    submits = [
        client.launches.submit("open-vault", {"key": [secret]}),
        client.launches.submit("open-vault", {"key": {"inner": secret}}),
        client.launches.submit("open-vault", {"key": secret, "door": 1}),
        client.launches.submit("open-vault", {"key": secret, "window": secret}),
        client.launches.submit("open-vault", {"key": secret * 100_000}),
        client.launches.submit("open-vault", {"key": secret}, request_id="taken"),
        client.tasks.submit("unlock", {"key": [secret]}),
        client.tasks.submit(plan=[call("unlock", paths={"key": f"'{secret}"})]),
        client.jobs.submit("bank", "enter", {"combination": secret * 100_000}),
        client.jobs.submit("bank", "leave", {"combination": secret}),
        client.jobs.submit("bank", "enter", {"combination": secret}, queue="x" * 64),
    ]
    said: list[str] = []
    for submit in submits:
        with pytest.raises(CallError) as refused:
            await submit
        said.append(f"{refused.value} {refused.value.failure}")
    return said


async def submit_all(client: Client) -> list[Handle[Any, Any]]:
    """Submit everything that succeeds, and some that fails."""
    variables = {"combination": f"{MARK}-called", "last_door": "jammed"}
    return [
        await client.jobs.submit("bank", "enter", **AGAIN),
        await client.jobs.submit("bank", "enter", variables, **AGAIN),
        await client.jobs.submit("bank", "enter", {"combination": 12345}, max_attempts=1),
        await client.launches.submit(
            "open-vault", {"key": f"{MARK}-launch", "door": "stuck"}, **AGAIN
        ),
        await client.launches.submit("open-vault", {"key": f"{MARK}-far-too-long-a-secret"}),
        await client.launches.submit(
            "open-vault", {"key": f"{MARK}-taken"}, request_id="taken"
        ),
        await client.tasks.submit(
            "unlock", {"key": f"{MARK}-task", "others": [f"{MARK}-other"]}
        ),
    ]


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

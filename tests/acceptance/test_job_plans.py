from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from longshore.client import Client, JobHandle, call, from_struct
from longshore.v1.catalog_service_pb2 import Contract
from longshore.v1.operation_pb2 import Event, State
from tests.acceptance.checkers import by_operation, check_everything
from tests.acceptance.journal import Note, noted
from tests.acceptance.processes import Dockhand
from tests.acceptance.quay import Quay, contract, log_of
from tests.acceptance.waiting import eventually, within

#: Workers are given up after some seconds of silence, which no live one keeps.
SHORT = ("--beat", "0.5s", "--time-to-live", "3s")

STEPS = 3


def ship(*gates: str) -> Contract:
    """A plan of which each step adds to the cargo of those before, some when a gate opens."""
    steps = [
        call(
            "stow",
            {"gate": gate} if gate else {},
            paths={"cargo": "hold/cargo"},
            assign={"hold/cargo": "cargo"},
        )
        for gate in gates
    ]
    found = contract("ship", load=steps)
    found.actions[0].variables.update({"hold": {"cargo": []}})
    return found


async def submit(client: Client) -> JobHandle:
    return await client.jobs.submit(
        "ship",
        "load",
        allow_unregistered=True,
        max_attempts=20,
        initial_backoff=timedelta(milliseconds=1),
    )


async def result(job: JobHandle) -> dict[str, Any]:
    return await within(job.result(), "the end of a job")


def steps_begun(journal: Path, job: JobHandle) -> list[tuple[int, int]]:
    """Return step and attempt of every execution that was begun."""
    return [(note.step, note.attempt) for note in noted(journal, "start", job.id)]


async def test_a_job_goes_on_at_the_step_that_was_not_finished_with_what_those_before_it_left(
    store: Path, journal: Path, gate: Path
) -> None:
    async with Quay(store, *SHORT) as quay, quay.client() as client:
        await client.catalog.apply_contract(ship("", str(gate), ""))
        job = await submit(client)
        async with Dockhand(quay.address, journal) as worker:
            await eventually(lambda: (1, 1) in steps_begun(journal, job), "the second step")
            await asyncio.gather(quay.kill(), worker.kill())
        await quay.start()
        async with Dockhand(quay.address, journal):
            await eventually(lambda: (1, 2) in steps_begun(journal, job), "its next attempt")
            gate.touch()
            told = await result(job)
        check_everything(await log_of(client), most_attempts=2)
    assert steps_begun(journal, job) == [(0, 1), (1, 1), (1, 2), (2, 2)]
    assert told["cargo"] == ["0/1", "1/2", "2/2"]
    kept = [from_struct(one.results)["cargo"] for one in job.message.status.actions]
    assert kept == [["0/1"], ["0/1", "1/2"], ["0/1", "1/2", "2/2"]]


async def test_a_worker_goes_on_with_a_job_while_its_server_is_killed_at_every_step(
    store: Path, journal: Path, tmp_path: Path
) -> None:
    gates = [tmp_path / f"gate-{step}" for step in range(STEPS)]
    async with (
        Quay(store) as quay,
        quay.client() as client,
        Dockhand(quay.address, journal),
    ):
        await client.catalog.apply_contract(ship(*map(str, gates)))
        job = await submit(client)
        for step, gate in enumerate(gates):
            await eventually(lambda: (step, 1) in steps_begun(journal, job), "a step")  # noqa: B023
            await quay.kill()
            gate.touch()
            await eventually(
                lambda: len(noted(journal, "end", job.id)) > step,  # noqa: B023
                "the end of a step of which no server knows",
            )
            await quay.start()
        told = await result(job)
        check_everything(await log_of(client), most_attempts=1)
    assert steps_begun(journal, job) == [(0, 1), (1, 1), (2, 1)]
    assert told["cargo"] == ["0/1", "1/1", "2/1"]


def check_steps(history: Sequence[Event], notes: Sequence[Note]) -> list[int]:
    """Every step succeeds once and in its turn, and no later attempt begins it again.

    Returns in which attempt each of them succeeded.
    """
    succeeded: list[int] = []
    attempt = 0
    for event in history:
        if event.HasField("state_changed"):
            attempt = event.state_changed.attempt
        changed = event.action_changed
        if event.HasField("action_changed") and changed.action.state == State.STATE_SUCCEEDED:
            assert changed.index == len(succeeded), event
            succeeded.append(attempt)
    for note in notes:
        assert note.attempt <= succeeded[note.step], note
    return succeeded


async def test_plans_keep_their_course_while_workers_and_the_server_are_killed_at_random(
    store: Path, journal: Path
) -> None:
    rng = random.Random(97)
    jobs: list[JobHandle] = []
    async with Quay(store, *SHORT) as quay, quay.client() as client:
        await client.catalog.apply_contract(ship("", "", ""))
        for round_ in range(3):
            async with Dockhand(quay.address, journal, name=f"mortal-{round_}") as worker:
                jobs += await asyncio.gather(*(submit(client) for _ in range(40)))
                enough = len(noted(journal, "end")) + rng.randrange(5, 60)
                await eventually(lambda: len(noted(journal, "end")) >= enough, "work")  # noqa: B023
                await asyncio.gather(worker.kill(), *([quay.kill()] if round_ != 1 else []))
            if round_ != 1:
                await quay.start()
        async with Dockhand(quay.address, journal, name="immortal"):
            results = [await result(job) for job in jobs]
        events = await log_of(client)
    check_everything(events, most_attempts=20)
    histories, notes = by_operation(events), noted(journal, "start")
    for job, told in zip(jobs, results, strict=True):
        mine = [note for note in notes if note.operation_id == job.id]
        succeeded = check_steps(histories[job.id], mine)
        assert told["cargo"] == [f"{step}/{attempt}" for step, attempt in enumerate(succeeded)]
    assert any(job.message.status.attempt > 1 for job in jobs)

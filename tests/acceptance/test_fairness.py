from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from longshore.client import Client, JobHandle, call
from longshore.v1.operation_pb2 import Event
from tests.acceptance.checkers import is_lease
from tests.acceptance.processes import Dockhand
from tests.acceptance.quay import Quay, contract, log_of
from tests.acceptance.waiting import within

CROWD = 1_000
SLOTS = 2

#: Those of the crowd that may go first: what was leased already, and its next turns.
HANDFUL = 2 * SLOTS + 2


async def prepare(client: Client) -> None:
    await client.catalog.apply_contract(contract("ship", load=[call("toil")]))


async def submit(client: Client, key: str) -> JobHandle:
    return await client.jobs.submit("ship", "load", fairness_key=key, allow_unregistered=True)


async def submit_crowd(client: Client, key: str) -> None:
    await within(asyncio.gather(*(submit(client, key) for _ in range(CROWD))), "the crowd")


async def ended(job: JobHandle) -> None:
    await within(job.result(), "the end of a job")


def leases_before(events: list[Event], job: JobHandle) -> int:
    """Return how many leases there were between the submit of a job and its own."""
    count = 0
    submitted = False
    for event in events:
        if event.operation_id == job.id:
            if is_lease(event):
                return count
            submitted = True
        count += submitted and is_lease(event)
    raise AssertionError(f"{job.id} was never leased")


@pytest.mark.parametrize("key", ["crowd", ""])
async def test_who_submits_one_job_is_not_kept_waiting_by_who_submits_a_thousand(
    store: Path, journal: Path, key: str
) -> None:
    async with Quay(store) as quay, quay.client() as client:
        await prepare(client)
        await submit_crowd(client, key)
        early = await submit(client, "early")
        async with Dockhand(quay.address, journal, slots=SLOTS):
            await ended(early)
            late = await submit(client, "late")
            await ended(late)
        events = await log_of(client)
    assert leases_before(events, early) <= HANDFUL
    assert leases_before(events, late) <= HANDFUL
    # The crowd was still waiting.
    assert sum(map(is_lease, events)) < CROWD


async def test_turns_survive_a_restart_of_the_server(store: Path, journal: Path) -> None:
    async with Quay(store) as quay, quay.client() as client:
        await prepare(client)
        await submit_crowd(client, "crowd")
        before = [await submit(client, f"early-{number}") for number in range(3)]
        await quay.restart()
        after = await submit(client, "after")
        async with Dockhand(quay.address, journal, slots=SLOTS):
            for job in (*before, after):
                await ended(job)
            await quay.restart()
            late = [await submit(client, key) for key in ("late", "")]
            for job in late:
                await ended(job)
        events = await log_of(client)
    for job in (*before, after, *late):
        assert leases_before(events, job) <= HANDFUL
    assert sum(map(is_lease, events)) < CROWD


async def test_a_crowd_of_many_keys_takes_turns(store: Path, journal: Path) -> None:
    """Each key gets about as much as any other, however much it has waiting."""
    sizes = {"large": 100, "middle": 60, "small": 20}
    jobs: list[JobHandle] = []
    keys: dict[str, str] = {}
    async with Quay(store) as quay, quay.client() as client:
        await prepare(client)
        for key, size in sizes.items():
            jobs = await asyncio.gather(*(submit(client, key) for _ in range(size)))
            keys |= {job.id: key for job in jobs}
        await quay.restart()
        async with Dockhand(quay.address, journal, slots=SLOTS):
            await ended(jobs[-1])
        events = await log_of(client)
    first = [keys[event.operation_id] for event in events if is_lease(event)][:60]
    for key in sizes:
        assert 18 <= first.count(key) <= 22, (key, first.count(key))

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from longshore.client import Client
from longshore.v1.catalog_service_pb2 import MissedPolicy, Schedule
from longshore.v1.job_service_pb2 import JobSpec
from longshore.v1.operation_pb2 import ActionCall, Options
from longshore.v1.task_service_pb2 import TaskSpec
from tests.acceptance.commands import call
from tests.acceptance.quay import Quay, contract
from tests.acceptance.waiting import eventually_answered, within

SKIP, ONCE, ALL = (
    MissedPolicy.MISSED_POLICY_SKIP,
    MissedPolicy.MISSED_POLICY_ONCE,
    MissedPolicy.MISSED_POLICY_ALL,
)
POLICIES = {"skip": SKIP, "once": ONCE, "all": ALL}

#: From one due time to the next, in milliseconds: the least that there may be.
INTERVAL = 1_000


def every_second(name: str, missed: MissedPolicy.ValueType) -> Schedule:
    """A task every second, which nobody does."""
    schedule = Schedule(
        name=name,
        missed=missed,
        task=TaskSpec(actions=[ActionCall(action="quick")]),
        options=Options(allow_unregistered=True),
    )
    schedule.interval.FromMilliseconds(INTERVAL)
    return schedule


def due_time(request_id: str) -> int:
    """Return the time that a request id names, in milliseconds."""
    moment = datetime.fromisoformat(request_id.partition("@")[2])
    assert moment.tzinfo == UTC
    return round(moment.timestamp() * 1_000)


async def fired(client: Client) -> dict[str, list[str]]:
    """Return the request ids of what each schedule has submitted, oldest first."""
    found: dict[str, list[str]] = defaultdict(list)
    async for one in client.tasks.list(order_by="number", page_size=1_000):
        request_id = one.message.metadata.request_id
        found[request_id.partition("@")[0]].append(request_id)
    return found


async def fires(client: Client, name: str, times: int = 1) -> None:
    """Wait until a schedule has submitted so often from now on."""
    before = len((await fired(client))[name])

    async def look() -> bool:
        return len((await fired(client))[name]) >= before + times

    await eventually_answered(look, f"{times} more of schedule {name}")


async def submitted(client: Client) -> str:
    """Wait for the very moment in which something is submitted, and return its id."""

    async def watching() -> str:
        async with client.operations.watch() as changes:
            async for change in changes:
                if change.event.HasField("submitted"):
                    return change.event.operation_id
        raise AssertionError("the watch ended")

    return await within(watching(), "a submit")


async def test_each_due_time_submits_at_most_once_however_often_the_server_is_killed(
    store: Path,
) -> None:
    rng = random.Random(5)
    async with Quay(store) as quay, quay.client() as client:
        for name, missed in POLICIES.items():
            await client.catalog.apply_schedule(every_second(name, missed))
        for absence in (2.5, 0, 0):
            await submitted(client)
            # About when it is written, or later. Here times are the fault.
            await asyncio.sleep(rng.choice([0, rng.uniform(0, 1)]))
            await quay.kill()
            await asyncio.sleep(absence * INTERVAL / 1_000)
            await quay.start()
        await fires(client, "all")
        # From now on nothing changes, so that lists and schedules tell the same.
        for name, missed in POLICIES.items():
            paused = every_second(name, missed)
            paused.paused = True
            await client.catalog.apply_schedule(paused)
        schedules = {one.name: one async for one in client.catalog.schedules()}
        found = await fired(client)
        last = {name: await client.tasks.get(one.last_id) for name, one in schedules.items()}
    times: dict[str, list[int]] = {}
    for name in POLICIES:
        times[name] = [due_time(request_id) for request_id in found[name]]
        assert len(set(found[name])) == len(found[name]), name
        assert times[name] == sorted(times[name])
        assert {(time - times[name][0]) % INTERVAL for time in times[name]} == {0}
        assert last[name].message.metadata.request_id == found[name][-1]
    first, *_, newest = times["all"]
    assert times["all"] == list(range(first, newest + 1, INTERVAL))
    # Those that were missed are made up for by one, whatever it is called within half a minute.
    for name in ("skip", "once"):
        assert len(times[name]) < len(times["all"]), name


async def test_a_schedule_goes_on_with_its_jobs_after_a_restart_and_stops_when_it_is_paused(
    store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "schedule.yaml"
    jobs = every_second("jobs", ALL)
    jobs.job.CopyFrom(JobSpec(contract="imports", action="load"))
    async with Quay(store) as quay, quay.client() as client:
        await client.catalog.apply_contract(
            contract("imports", load=[ActionCall(action="quick")])
        )
        await client.catalog.apply_schedule(jobs)
        await client.catalog.apply_schedule(every_second("witness", ALL))
        await fires(client, "witness")
        await quay.restart()
        await fires(client, "witness")
        shown = await call(quay.server, "schedules", "show", "jobs")
        file.write_text(f"{shown.text}\npaused: true\n")
        paused = await call(quay.server, "schedules", "apply", file)
        assert paused.text == "schedule jobs holds: every 1 s, next paused"
        before = [one async for one in client.jobs.list(order_by="number")]
        await fires(client, "witness", 2)
        await quay.restart()
        await fires(client, "witness")
        assert [one.id async for one in client.jobs.list(order_by="number")] == [
            one.id for one in before
        ]
        assert (await client.catalog.schedule("jobs")).last_id == before[-1].id
        await client.catalog.delete_schedule("witness")
        await client.catalog.apply_schedule(jobs)
        resumed = await client.jobs.get(await submitted(client))
    times = [due_time(one.message.metadata.request_id) for one in before]
    assert times == list(range(times[0], times[-1] + 1, INTERVAL))
    # What passed while it was paused is not missed.
    assert due_time(resumed.message.metadata.request_id) > times[-1] + INTERVAL

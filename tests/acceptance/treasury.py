"""What is told secrets in every way that there is: contracts, schedules and submits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from longshore.client import CallError, Client, Handle, call
from longshore.client.requests import OptionFields
from longshore.v1.catalog_service_pb2 import Contract, Schedule
from longshore.v1.launch_service_pb2 import LaunchSpec
from tests.acceptance.quay import contract

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

"""One installation whose workers and server are killed again and again; what its log shows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Final

import pytest

from longshore.client import Client, call
from longshore.client.requests import OptionFields
from longshore.v1.operation_pb2 import Event, State
from tests.acceptance.checkers import check_everything, ends, most_running
from tests.acceptance.journal import noted
from tests.acceptance.processes import Dockhand
from tests.acceptance.quay import Quay, contract, log_of, until_ended
from tests.acceptance.waiting import eventually, eventually_answered

#: Workers are given up after a second of silence.
SHORT = ("--beat", "0.3s", "--time-to-live", "1.2s")

KEYS: Final = {"key-0": 1, "key-1": 1, "key-2": 2, "key-3": 2, "key-4": 3}
NARROW: Final = 2
MOST_ATTEMPTS: Final = 20
OFTEN: Final[OptionFields] = {
    "max_attempts": MOST_ATTEMPTS,
    "initial_backoff": timedelta(milliseconds=1),
}


class Tide:
    """What two tenants have submitted, wave after wave, and the log of it."""

    def __init__(self, client: Client, foreign: Client) -> None:
        self._clients = (client, foreign)
        self.keys: dict[str, str] = {}  #: By operation.
        self.narrow: list[str] = []
        self.rulesets: list[str] = []
        self.events: list[Event] = []

    async def wave(self) -> None:
        """Submit 50 tasks and jobs on keys, some more to a limited queue, and rule sets."""
        await asyncio.gather(
            *(self._keyed(key) for key in KEYS for _ in range(5)),
            *(self._narrow() for _ in range(10)),
            *(self._ruleset(client) for client in self._clients for _ in range(3)),
        )

    async def _keyed(self, key: str) -> None:
        client, _ = self._clients
        limited: OptionFields = {
            "concurrency_key": key,
            "concurrency_limit": KEYS[key],
            **OFTEN,
        }
        task = await client.tasks.submit("toil", **limited)
        job = await client.jobs.submit("ship", "load", **limited)
        self.keys |= {task.id: key, job.id: key}

    async def _narrow(self) -> None:
        client, _ = self._clients
        limited: OptionFields = {"queue": "narrow", **OFTEN}
        self.narrow.append((await client.tasks.submit("toil", **limited)).id)

    async def _ruleset(self, client: Client) -> None:
        self.rulesets.append((await client.launches.submit("inspection", **OFTEN)).id)

    async def ended(self) -> None:
        """Wait until all has ended, and read the log."""
        for client in self._clients:
            await until_ended(client, await _ids(client))
            self.events += await log_of(client)
        self.events.sort(key=attrgetter("revision"))


async def _ids(client: Client) -> list[str]:
    rooms = (client.tasks, client.jobs, client.launches)
    return [one.id for room in rooms async for one in room.list(page_size=1_000)]


async def prepare(client: Client, workers: int) -> None:
    """Make what is submitted to, and wait for workers."""
    await client.catalog.apply_contract(contract("ship", load=[call("toil")]))
    await client.queues.limit("narrow", NARROW)
    await connected(client, workers)


async def connected(client: Client, count: int) -> None:
    async def look() -> bool:
        return sum([one.connected async for one in client.server.workers()]) >= count

    await eventually_answered(look, f"{count} workers")


@pytest.fixture(scope="module")
async def tide(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tide]:
    """Work under faults: after some ends of each wave a worker, the server or both die."""
    folder = tmp_path_factory.mktemp("limits")
    journal, rng = folder / "journal", random.Random(12)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        quay = await enter(Quay(folder / "longshore.db", *SHORT))
        client = await enter(quay.client())
        foreign = await enter(quay.client("foreign"))
        await enter(Dockhand(quay.address, journal, tenant="foreign"))
        await enter(dockhand(quay, journal, "steady"))
        await prepare(foreign, 1)
        await prepare(client, 1)
        tide = Tide(client, foreign)
        for fault in ("worker", "server", "both", "worker"):
            async with dockhand(quay, journal, "mortal") as mortal:
                await connected(client, 2)
                enough = len(noted(journal, "end")) + rng.randrange(5, 50)
                await tide.wave()
                await eventually(lambda: len(noted(journal, "end")) >= enough, "some ends")  # noqa: B023
                if fault != "server":
                    await mortal.kill()
                if fault != "worker":
                    await quay.restart()
        await tide.ended()
        yield tide


def dockhand(quay: Quay, journal: Path, name: str) -> Dockhand:
    return Dockhand(quay.address, journal, name=name, slots=8, queues=("default", "narrow"))


def test_all_work_ends_and_every_history_is_right(tide: Tide) -> None:
    check_everything(tide.events, MOST_ATTEMPTS)
    submitted = {*tide.keys, *tide.narrow, *tide.rulesets}
    assert ends(tide.events) == dict.fromkeys(submitted, State.STATE_SUCCEEDED)
    assert len(tide.keys) == 200


def test_no_more_of_a_concurrency_key_run_than_its_limit_at_any_revision(tide: Tide) -> None:
    assert most_running(tide.events, tide.keys) == KEYS


def test_no_more_of_a_limited_queue_run_than_its_limit_at_any_revision(tide: Tide) -> None:
    assert most_running(tide.events, dict.fromkeys(tide.narrow, "narrow")) == {"narrow": NARROW}


def test_rule_sets_run_one_at_a_time_whosever_they_are(tide: Tide) -> None:
    assert most_running(tide.events, dict.fromkeys(tide.rulesets, "rulesets")) == {
        "rulesets": 1
    }


def test_the_faults_were_real(tide: Tide) -> None:
    """Attempts were lost that held a limit."""
    again = {
        event.operation_id
        for event in tide.events
        if event.HasField("state_changed") and event.state_changed.attempt > 1
    }
    assert again & tide.keys.keys()

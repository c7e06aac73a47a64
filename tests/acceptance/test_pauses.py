from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

from longshore.client import Client
from longshore.v1.operation_pb2 import Event
from tests.acceptance.checkers import check_everything, is_lease
from tests.acceptance.journal import noted
from tests.acceptance.processes import Dockhand
from tests.acceptance.quay import Quay, log_of, until_ended
from tests.acceptance.waiting import eventually

PAUSED, FLOWING = "paused", "flowing"


class Flow:
    """Work that is submitted to both queues without end."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.ids: dict[str, set[str]] = {PAUSED: set(), FLOWING: set()}

    async def go_on(self) -> None:
        while True:
            for queue, ids in self.ids.items():
                ids.add(await submit(self._client, queue))

    def ended(self, journal: Path, queue: str) -> int:
        return sum(note.operation_id in self.ids[queue] for note in noted(journal, "end"))


class Pause(NamedTuple):
    """Between which revisions a queue was paused."""

    before: int  #: The newest revision when it was asked for.
    after: int  #: The newest revision when it had been answered.
    resumed: int  #: The newest revision before it was asked to go on.


async def submit(client: Client, queue: str) -> str:
    return (await client.tasks.submit("quick", queue=queue, allow_unregistered=True)).id


@contextlib.asynccontextmanager
async def flowing(client: Client) -> AsyncGenerator[Flow]:
    flow = Flow(client)
    callers = [asyncio.create_task(flow.go_on()) for _ in range(3)]
    yield flow
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def newest(client: Client) -> int:
    """Return the newest revision."""
    async for page in client.tasks.list(page_size=1).pages():
        return page.revision
    raise AssertionError("a list has a page")


async def more_ends(flow: Flow, journal: Path, queue: str, count: int) -> None:
    enough = flow.ended(journal, queue) + count
    await eventually(lambda: flow.ended(journal, queue) >= enough, f"work on {queue}")


def check_pause(events: list[Event], ids: set[str], pause: Pause) -> None:
    """Nothing of a paused queue was leased after the pause itself.

    Revisions have no gaps, and what happens to a queue is shown by no watch: the one revision
    that is missing is the pause.
    """
    told = {event.revision for event in events}
    (paused,) = {*range(pause.before + 1, pause.after + 1)} - told
    leased = [one.revision for one in events if one.operation_id in ids and is_lease(one)]
    assert not [revision for revision in leased if paused < revision <= pause.resumed]
    # It flowed before and afterwards.
    assert any(revision < paused for revision in leased)
    assert any(revision > pause.resumed for revision in leased)


async def test_nothing_of_a_queue_starts_from_its_pause_to_its_resume(
    store: Path, journal: Path
) -> None:
    rng = random.Random(8)
    pauses: list[Pause] = []
    async with (
        Quay(store) as quay,
        quay.client() as client,
        Dockhand(quay.address, journal, queues=(PAUSED, FLOWING)),
    ):
        for queue in (PAUSED, FLOWING):
            await client.queues.resume(queue)
        await until_ended(client, [await submit(client, PAUSED)])
        async with flowing(client) as flow:
            for _ in range(5):
                await more_ends(flow, journal, PAUSED, rng.randrange(1, 20))
                before = await newest(client)
                await client.queues.pause(PAUSED)
                after = await newest(client)
                await more_ends(flow, journal, FLOWING, 10)
                pauses.append(Pause(before, after, await newest(client)))
                await client.queues.resume(PAUSED)
            await more_ends(flow, journal, PAUSED, 1)
        await until_ended(client, flow.ids[PAUSED] | flow.ids[FLOWING])
        events = await log_of(client)
    check_everything(events)
    for pause in pauses:
        check_pause(events, flow.ids[PAUSED], pause)


async def test_a_pause_outlives_its_server(store: Path, journal: Path) -> None:
    async with Quay(store) as quay, quay.client() as client:
        waiting = [await submit(client, PAUSED) for _ in range(20)]
        await client.queues.pause(PAUSED)
        await quay.restart()
        async with Dockhand(quay.address, journal, queues=(PAUSED, FLOWING)):
            await until_ended(client, [await submit(client, FLOWING) for _ in range(5)])
            await quay.restart()
            waiting += [await submit(client, PAUSED) for _ in range(20)]
            await until_ended(client, [await submit(client, FLOWING) for _ in range(5)])
            queues = {one.name: one async for one in client.queues.list()}
            assert (queues[PAUSED].waiting, queues[PAUSED].running) == (40, 0)
            resumed = await newest(client)
            await client.queues.resume(PAUSED)
            await until_ended(client, waiting)
        events = await log_of(client)
    check_everything(events)
    leased = [one.revision for one in events if one.operation_id in waiting and is_lease(one)]
    assert len(leased) == 40
    assert min(leased) > resumed

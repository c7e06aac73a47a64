from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from longshore.client import Client, LaunchHandle
from longshore.v1.launch_service_pb2 import Direction
from tests.acceptance.checkers import check_everything, leases
from tests.acceptance.processes import Dockhand
from tests.acceptance.quay import Quay, log_of, publish, until_ended
from tests.acceptance.work import worker

UP, DOWN = Direction.DIRECTION_UP, Direction.DIRECTION_DOWN
TOP, BOTTOM = Direction.DIRECTION_TOP, Direction.DIRECTION_BOTTOM
SERVICES = ("voyage", "inspection")


async def submit(client: Client, *priorities: int) -> list[LaunchHandle]:
    """Submit launches of both kinds in turn."""
    return [
        await client.launches.submit(SERVICES[index % 2], priority=priority)
        for index, priority in enumerate(priorities)
    ]


async def waiting(client: Client) -> list[tuple[str, int]]:
    """Return id and priority of all that wait, in the order of the queue."""
    found = [one.message async for one in client.launches.queue(page_size=7)]
    return [(one.metadata.id, one.options.priority) for one in found]


async def started(quay: Quay, client: Client, journal: Path, ids: Sequence[str]) -> list[str]:
    """Let one worker with one slot do everything, and return in which order it got it."""
    async with Dockhand(quay.address, journal, slots=1):
        await until_ended(client, ids)
    events = await log_of(client)
    check_everything(events)
    return leases(events)


async def test_launches_start_in_the_order_of_priority_then_of_submits_after_a_restart(
    store: Path, journal: Path
) -> None:
    async with Quay(store) as quay, quay.client() as client:
        await publish(quay.address, worker)
        made = await submit(client, 0, 5, 0, 9, 5, 0, 9, 0, 3)
        wanted = [made[index].id for index in (3, 6, 1, 4, 8, 0, 2, 5, 7)]
        before = await waiting(client)
        await quay.restart()
        assert await waiting(client) == before
        assert [one for one, _ in before] == wanted
        assert await started(quay, client, journal, wanted) == wanted


async def test_moved_launches_start_where_they_were_moved_with_the_priority_of_that_place(
    store: Path, journal: Path
) -> None:
    async with Quay(store) as quay, quay.client() as client:
        await publish(quay.address, worker)
        made = await submit(client, 9, 9, 5, 5, 0, 0)
        a, b, c, d, e, f = (one.id for one in made)
        await client.launches.move(TOP, f, e)
        assert await waiting(client) == [(e, 9), (f, 9), (a, 9), (b, 9), (c, 5), (d, 5)]
        await client.launches.move(UP, c)
        assert await waiting(client) == [(e, 9), (f, 9), (a, 9), (c, 9), (b, 5), (d, 5)]
        await client.launches.move(DOWN, e)
        await client.launches.move(BOTTOM, a)
        await quay.restart()
        order = [(f, 9), (e, 9), (c, 9), (b, 5), (d, 5), (a, 5)]
        assert await waiting(client) == order
        (late,) = await submit(client, 5)
        order.append((late.id, 5))
        assert await waiting(client) == order
        wanted = [one for one, _ in order]
        assert await started(quay, client, journal, wanted) == wanted


async def test_an_answered_move_is_kept_when_the_server_is_killed_at_once(
    store: Path, journal: Path
) -> None:
    rng = random.Random(64)
    async with Quay(store) as quay, quay.client() as client:
        await publish(quay.address, worker)
        made = await submit(client, *(rng.randrange(10) for _ in range(20)))
        for _ in range(2):
            for _ in range(rng.randrange(1, 20)):
                chosen = rng.sample([one.id for one in made], rng.randrange(1, 6))
                await client.launches.move(rng.choice([UP, DOWN, TOP, BOTTOM]), *chosen)
            order = await waiting(client)
            await client.launches.move(TOP, order[-1][0])
            await quay.kill()
            await quay.start()
            assert await waiting(client) == [(order[-1][0], order[0][1]), *order[:-1]]
        wanted = [one for one, _ in await waiting(client)]
        assert await started(quay, client, journal, wanted) == wanted

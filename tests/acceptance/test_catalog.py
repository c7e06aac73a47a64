from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from longshore.client import CallError, Client, call
from longshore.v1.catalog_service_pb2 import Contract, Schedule
from longshore.v1.launch_service_pb2 import LaunchSpec
from tests.acceptance.quay import Quay, contract, publish
from tests.acceptance.waiting import eventually, within
from tests.acceptance.work import worker

ROUNDS = 4


class Clerk:
    """Makes one change after the other, and remembers which was answered last.

    What is kept must be as after that, or as after the next one: it may have been written
    without being answered.
    """

    def __init__(self, change: Callable[[int], Awaitable[object]]) -> None:
        self.answered = 0
        self._change = change

    async def step(self) -> None:
        await self._change(self.answered + 1)
        self.answered += 1

    async def work(self) -> None:
        """Make changes until one fails."""
        with contextlib.suppress(CallError):
            while True:
                await self.step()

    def check(self, kept: int) -> None:
        """See that what is kept is what was answered; go on from there."""
        assert self.answered <= kept <= self.answered + 1, (self._change.__name__, kept)
        self.answered = kept


class Office:
    """What is changed of each sort, and how far the installation has kept it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._clerks = {
            self.kept_contract: Clerk(self.change_contract),
            self.kept_queue: Clerk(self.change_queue),
            self.kept_account: Clerk(self.change_account),
            self.kept_schedule: Clerk(self.change_schedule),
            self.kept_deletion: Clerk(self.change_deletion),
        }

    @property
    def clerks(self) -> list[Clerk]:
        return [*self._clerks.values()]

    async def check(self) -> None:
        for kept, clerk in self._clerks.items():
            clerk.check(await kept())

    # A contract gets one revision after the other.

    async def change_contract(self, number: int) -> None:
        await self._client.catalog.apply_contract(self._contract(number))

    async def kept_contract(self) -> int:
        kept = await self._client.catalog.contract("ship")
        template = kept.actions[0].template
        assert template.description == str(template.revision)
        assert list(template.actions) == [call("quick")]
        return template.revision

    def _contract(self, number: int) -> Contract:
        made = contract("ship", load=[call("quick")])
        made.actions[0].template.description = str(number)
        return made

    # A queue is paused and resumed, and gets one limit after the other.

    async def change_queue(self, number: int) -> None:
        await self._client.queues.update(
            "narrow", concurrency_limit=number, paused=number % 2 == 1
        )

    async def kept_queue(self) -> int:
        (kept,) = [one async for one in self._client.queues.list() if one.name == "narrow"]
        assert kept.paused == (kept.concurrency_limit % 2 == 1)
        assert kept.HasField("pause_time") == kept.paused
        return kept.concurrency_limit

    # Accounts are registered.

    async def change_account(self, number: int) -> None:
        await self._client.catalog.register_account("dockhand", f"{number:05}")

    async def kept_account(self) -> int:
        kept = [int(one.username) async for one in self._client.catalog.accounts()]
        assert kept == list(range(1, len(kept) + 1))
        return len(kept)

    # A schedule gets one interval after the other.

    async def change_schedule(self, number: int) -> None:
        schedule = Schedule(name="cruise", launch=LaunchSpec(service="voyage"))
        schedule.interval.FromSeconds(3_600 + number)
        await self._client.catalog.apply_schedule(schedule)

    async def kept_schedule(self) -> int:
        kept = await self._client.catalog.schedule("cruise")
        assert kept.launch.service == "voyage"
        assert kept.HasField("next_time")
        return kept.interval.seconds - 3_600

    # A contract comes and goes.

    async def change_deletion(self, number: int) -> None:
        if number % 2:
            await self._client.catalog.apply_contract(contract("boat", row=[call("quick")]))
        else:
            await self._client.catalog.delete_contract("boat")

    async def kept_deletion(self) -> int:
        there = "boat" in [one.name async for one in self._client.catalog.contracts()]
        answered = self._clerks[self.kept_deletion].answered
        return answered + (there != (answered % 2 == 1))


async def test_what_was_answered_of_the_catalog_survives_kill_9_at_any_moment(
    store: Path,
) -> None:
    rng = random.Random(23)
    async with Quay(store) as quay, quay.client() as client:
        await publish(quay.address, worker)
        office = Office(client)
        for _ in range(ROUNDS):
            before = [clerk.answered for clerk in office.clerks]
            work = asyncio.gather(*(clerk.work() for clerk in office.clerks))
            await eventually(
                lambda: all(
                    clerk.answered > one
                    for clerk, one in zip(office.clerks, before, strict=True)  # noqa: B023
                ),
                "an answer to everyone",
            )
            # Any moment will do: here the time is the fault.
            await asyncio.sleep(rng.uniform(0, 0.1))
            await quay.kill()
            await within(work, "the end of all changes")
            await quay.start()
            await office.check()
        (service,) = [one for one in await client.catalog.services() if one.slug == "voyage"]
        assert [action.slug for action in service.actions] == ["sail"]


async def test_a_change_survives_when_the_server_is_killed_right_after_its_answer(
    store: Path,
) -> None:
    async with Quay(store) as quay, quay.client() as client:
        await publish(quay.address, worker)
        office = Office(client)
        for clerk in office.clerks:
            await clerk.step()
            await quay.restart()
        await office.check()
        assert [clerk.answered for clerk in office.clerks] == [1] * len(office.clerks)

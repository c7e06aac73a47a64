from __future__ import annotations

import asyncio

import pytest

from longshore.access.delays import Delays
from longshore.access.errors import Refused
from longshore.core.errors import RateLimited
from tests.tools.issuer import Time


class World:
    """Delays over a clock that jumps to whenever somebody wants to sleep until."""

    def __init__(self) -> None:
        self.time = Time(0.0)
        self.moving = asyncio.Event()
        self.moving.set()
        self.waits: list[float] = []
        self.delays = Delays(self.time, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        until = self.time.now + seconds
        await self.moving.wait()
        self.time.now = max(self.time.now, until)

    async def guess(self, address: str = "192.0.2.1", *, right: bool = False) -> float:
        """Show a wrong credential, or a right one; return how long the answer was delayed."""
        self.waits.clear()
        try:
            await self.delays.run(address, self.right if right else self.wrong, alone=True)
        except Refused:
            assert not right
        return sum(self.waits)

    async def wrong(self) -> None:
        await asyncio.sleep(0)
        raise Refused("wrong_password")

    async def right(self) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def world() -> World:
    return World()


async def test_guesses_are_answered_ever_later(world: World) -> None:
    waits = [await world.guess() for _ in range(10)]
    assert waits == [0, 0, 0, 0.25, 0.5, 1, 2, 2, 2, 2]


async def test_guesses_sent_at_once_queue_and_the_rest_is_refused(world: World) -> None:
    world.moving.clear()
    guesses = [
        asyncio.create_task(world.delays.run("192.0.2.1", world.wrong, alone=True))
        for _ in range(50)
    ]
    while sum(one.done() for one in guesses) < 43:
        await asyncio.sleep(0)
    world.moving.set()
    ends = await asyncio.gather(*guesses, return_exceptions=True)
    assert world.waits == [0.25, 0.75, 1.75, 3.75, 5.75, 7.75, 9.75]
    assert [type(one) for one in ends] == 10 * [Refused] + 40 * [RateLimited]
    refused = ends[-1]
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == 11.75


async def test_who_waits_by_himself_is_not_delayed(world: World) -> None:
    for _ in range(6):
        await world.guess()
    world.time.now += 2
    assert await world.guess() == 0


async def test_another_address_is_not_delayed(world: World) -> None:
    for _ in range(6):
        await world.guess()
    assert await world.guess("192.0.2.2") == 0


@pytest.mark.parametrize("other", ["2001:db8::2", "2001:db8:0:0:ffff::1%eth0"])
async def test_all_addresses_of_a_network_of_version_6_are_one(
    world: World, other: str
) -> None:
    for _ in range(3):
        await world.guess("2001:db8::1")
    assert await world.guess(other) == 0.25
    assert await world.guess("2001:db8:0:1::1") == 0


async def test_an_address_of_version_4_is_the_same_written_as_version_6(world: World) -> None:
    for _ in range(3):
        await world.guess("192.0.2.1")
    assert await world.guess("::ffff:192.0.2.1") == 0.25


async def test_what_isright_is_not_held_against_an_address(world: World) -> None:
    for _ in range(20):
        assert await world.guess(right=True) == 0


async def test_theright_one_after_some_failures_waits_for_its_turn_too(world: World) -> None:
    for _ in range(4):
        await world.guess()
    assert await world.guess(right=True) == 0.5


async def test_an_address_is_forgotten_after_some_silence(world: World) -> None:
    for _ in range(10):
        await world.guess()
    world.time.now += 60
    assert [await world.guess() for _ in range(4)] == [0, 0, 0, 0.25]


async def test_who_goes_before_the_answer_has_failed(world: World) -> None:
    for _ in range(3):
        asked = asyncio.create_task(world.guess())
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    assert await world.guess() == 0.25


async def test_of_too_many_addresses_the_oldest_are_forgotten(world: World) -> None:
    for _ in range(3):
        await world.guess("192.0.2.1")
    for number in range(10_000):
        await world.guess(f"host-{number}")
    assert await world.guess("192.0.2.1") == 0

"""Streams of results: one listener each, told of what ends, of successors and of draining."""

from __future__ import annotations

import asyncio

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Acknowledge, Delete
from longshore.core.deliveries import Way
from longshore.core.errors import StreamTaken
from longshore.core.operations import Operation
from longshore.core.policies import Policy
from longshore.core.store import Channel
from longshore.engine.streams import Listener
from tests.engine.harness import CALLER, PATIENCE_SECONDS, Machine, hello

CHANNEL = Policy(delivery=Way.CHANNEL)
STREAM = CALLER.principal
NORTH = Caller("north")


async def ended(machine: Machine, count: int = 1) -> list[Operation]:
    """Submit tasks of a channel and let a worker do them; return when all have arrived."""
    tasks = [await machine.submit(policy=CHANNEL) for _ in range(count)]
    worker = await machine.worker(hello(slots=count))
    for assignment in await worker.assigned(count):
        await worker.report(assignment)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all([(await machine.get(task)).ended for task in tasks]):
            await machine.settle()
    return tasks


async def arrived(machine: Machine) -> list[int]:
    asked = Channel("default", STREAM, after=0, limit=100)
    return [number for _, number in await machine.store.channel(asked)]


async def test_a_listener_hears_of_what_ends_and_finds_it_in_the_channel(
    machine: Machine,
) -> None:
    listener = await machine.engine.streams.open(CALLER, STREAM)
    waiting = asyncio.create_task(listener.wait(PATIENCE_SECONDS))
    (task,) = await ended(machine)
    assert await waiting
    assert await arrived(machine) == [task.number]
    assert not await listener.wait(0.0)


async def test_what_ends_before_a_listener_waits_is_not_missed(machine: Machine) -> None:
    listener = await machine.engine.streams.open(CALLER, STREAM)
    await ended(machine)
    assert await listener.wait(PATIENCE_SECONDS)


async def test_a_canceled_task_arrives_too_and_one_without_a_delivery_does_not(
    machine: Machine,
) -> None:
    listener = await machine.engine.streams.open(CALLER, STREAM)
    await machine.cancel(await machine.submit())
    assert not await listener.wait(0.0)
    task = await machine.submit(policy=CHANNEL)
    await machine.cancel(task)
    assert await listener.wait(0.0)
    assert await arrived(machine) == [task.number]


async def test_other_streams_and_tenants_hear_nothing(machine: Machine) -> None:
    streams = machine.engine.streams
    others = [await streams.open(CALLER, "else"), await streams.open(NORTH, STREAM)]
    await ended(machine)
    for listener in others:
        assert not await listener.wait(0.0)
        listener.check()


async def test_a_younger_listener_takes_over_and_the_older_is_told(machine: Machine) -> None:
    streams = machine.engine.streams
    older = await streams.open(CALLER, STREAM)
    others = [await streams.open(CALLER, "else"), await streams.open(NORTH, STREAM)]
    waiting = asyncio.create_task(older.wait(PATIENCE_SECONDS))
    younger = await streams.open(CALLER, STREAM)
    with pytest.raises(StreamTaken):
        await waiting
    with pytest.raises(StreamTaken):
        older.check()
    for listener in (younger, *others):
        listener.check()


async def test_one_that_is_not_waiting_learns_of_it_at_its_next_look(machine: Machine) -> None:
    streams = machine.engine.streams
    older = await streams.open(CALLER, STREAM)
    await streams.open(CALLER, STREAM)
    for wait in (PATIENCE_SECONDS, 0.0):
        with pytest.raises(StreamTaken):
            await older.wait(wait)


async def test_of_listeners_that_come_at_once_the_last_one_stays(machine: Machine) -> None:
    streams = machine.engine.streams
    opened = await asyncio.gather(*(streams.open(CALLER, STREAM) for _ in range(5)))
    by_age = sorted(opened, key=lambda one: one.revision)
    assert len({one.revision for one in by_age}) == 5
    by_age[-1].check()
    for listener in by_age[:-1]:
        with pytest.raises(StreamTaken):
            listener.check()


async def test_the_older_goes_and_the_younger_still_hears(machine: Machine) -> None:
    streams = machine.engine.streams
    older = await streams.open(CALLER, STREAM)
    younger = await streams.open(CALLER, STREAM)
    streams.close(older)
    streams.close(older)
    await ended(machine)
    assert await younger.wait(PATIENCE_SECONDS)
    streams.close(younger)
    last = await streams.open(CALLER, STREAM)
    last.check()


async def test_who_gives_up_while_it_opens_leaves_nothing_behind(machine: Machine) -> None:
    streams = machine.engine.streams
    opening = asyncio.create_task(streams.open(CALLER, STREAM))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not streams._listeners  # pyright: ignore[reportPrivateUsage]
    await machine.settle()
    assert not streams._newest  # pyright: ignore[reportPrivateUsage]


async def test_draining_makes_listeners_return(machine: Machine) -> None:
    listener = await machine.engine.streams.open(CALLER, STREAM)
    waiting = asyncio.create_task(listener.wait(PATIENCE_SECONDS))
    await asyncio.sleep(0)
    machine.engine.drain()
    assert await waiting


@pytest.fixture
async def reading(machine: Machine) -> tuple[Listener, list[int]]:
    """A listener that has read three results and not sent them yet."""
    numbers = [task.number for task in await ended(machine, 3)]
    listener = await machine.engine.streams.open(CALLER, STREAM)
    listener.expect(numbers)
    return listener, numbers


async def test_what_is_acknowledged_after_it_was_read_is_not_to_be_sent(
    machine: Machine, reading: tuple[Listener, list[int]]
) -> None:
    listener, numbers = reading
    await machine.engine.writer.write(Acknowledge(CALLER, tuple(numbers[:2])))
    assert [listener.expects(number) for number in numbers] == [False, False, True]
    assert await arrived(machine) == numbers[2:]


async def test_what_expires_after_it_was_read_is_not_to_be_sent(
    machine: Machine, reading: tuple[Listener, list[int]]
) -> None:
    listener, numbers = reading
    await machine.engine.writer.write(Delete(CALLER, numbers[1]))
    assert [listener.expects(number) for number in numbers] == [True, False, True]
    assert await arrived(machine) == [numbers[0], numbers[2]]

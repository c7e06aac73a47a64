from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path

from longshore.client import Client
from longshore.testing import running
from longshore.v1.operation_pb2 import Callback, Event, State
from tests.acceptance import herald, work
from tests.acceptance.checkers import by_operation, check_everything
from tests.acceptance.herald import Receiver
from tests.acceptance.office import Office
from tests.acceptance.processes import Dockhand, Program
from tests.acceptance.quay import Quay, until_ended
from tests.acceptance.waiting import eventually, within

#: Workers are given up after a second of silence.
SHORT = ("--beat", "0.3s", "--time-to-live", "1.2s")

COUNT = 120  #: Of what is submitted at least.


def caller(address: str) -> Program:
    """The worker that makes callbacks, as a process."""
    return Program("worker", "tests.acceptance.herald:worker", "--server", address)


async def submit_steadily(client: Client, url: str, enough: asyncio.Event) -> int:
    """Submit until it is enough, so that there always is a call to come; return how much."""
    for number in itertools.count():
        if number >= COUNT and enough.is_set():
            return number
        action = "quick" if number % 5 else "fail"
        await client.tasks.submit(action, callback=Callback(url=url), max_attempts=1)
    raise AssertionError("numbers never end")


async def until_called_back(client: Client, count: int) -> list[Event]:
    """Return all that happened until so many operations were told of their callbacks."""
    events: list[Event] = []
    sent = 0
    async with client.operations.watch(after_revision=0) as changes:
        async for change in changes:
            events.append(change.event)
            sent += change.event.HasField("callback_sent")
            if sent == count:
                break
    return events


def check_sent_once(events: list[Event], receiver: Receiver) -> None:
    """Every operation that ended was called back: with its end, and noted once."""
    for operation_id, history in by_operation(events).items():
        (sent,) = (event for event in history if event.HasField("callback_sent"))
        assert not sent.callback_sent.given_up
        told = receiver.calls[operation_id]
        assert {one["state"] for one in told} == {State.Name(sent.state).removeprefix("STATE_")}
        assert 200 <= receiver.answers[operation_id][-1] < 300
        assert sent.callback_sent.attempts >= len(told)


async def test_every_end_calls_back_at_least_once_whoever_is_killed(
    store: Path, journal: Path
) -> None:
    rng = random.Random(5)
    with Receiver(lambda call: 500 if call == 1 and rng.random() < 0.2 else 204) as receiver:
        async with (
            Quay(store, *SHORT) as quay,
            Dockhand(quay.address, journal),
            Office(quay.address) as office,
        ):
            client = quay.client()
            await office.connected()
            enough = asyncio.Event()
            submitting = asyncio.create_task(submit_steadily(client, receiver.url, enough))
            for _ in range(2):
                async with caller(quay.address) as mortal:
                    before = len(receiver.calls)
                    await eventually(
                        lambda: len(receiver.calls) > before,  # noqa: B023
                        "a call",
                    )
                    # The moment is the fault; any will do.
                    await asyncio.sleep(rng.uniform(0, 0.05))
                    await mortal.kill()
                    await quay.restart()
            async with caller(quay.address):
                enough.set()
                count = await within(submitting, "the end of the submits")
                events = await within(until_called_back(client, count), "the last callback")
                callbacks = [
                    task
                    async for task in client.tasks.list(f'queue = "{herald.QUEUE}"', full=True)
                ]
    check_everything(events, most_attempts=1)
    check_sent_once(events, receiver)
    assert len(receiver.calls) == count
    asked = [task.message.spec.actions[0].arguments["operation_id"] for task in callbacks]
    assert sorted(map(str, asked)) == sorted(receiver.calls)
    assert {task.state for task in callbacks} == {"SUCCEEDED"}


async def test_a_callback_that_nobody_answers_is_given_up_after_20_attempts(
    store: Path,
) -> None:
    with Receiver(lambda _: 500) as receiver:
        async with running(store) as longshore:
            await longshore.work(work.worker)
            await longshore.work(herald.worker)
            client = longshore.client
            task = await client.tasks.submit("quick", callback=Callback(url=receiver.url))
            await until_ended(client, [task.id])
            await longshore.clock.advance(hours=2)
            *_, sent = await within(until_called_back(client, 1), "the end of the callback")
    assert sent.operation_id == task.id
    assert sent.callback_sent.given_up
    assert sent.callback_sent.attempts == 20
    assert "500" in sent.callback_sent.message
    assert receiver.answers == {task.id: [500] * 20}

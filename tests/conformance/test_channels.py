"""Channels: what has ended waits there, in the order of the ends, until it is acknowledged."""

from __future__ import annotations

import json

from longshore.core.callers import Caller
from longshore.core.changes import Acknowledge, Cancel, Delete, OpenStream, Wake
from longshore.core.deliveries import Way
from longshore.core.events import EventKind
from longshore.core.operations import Operation
from longshore.core.policies import Policy
from longshore.core.store import Channel
from tests.conformance.arriving import CHANNEL, STORE, arrived, worked
from tests.conformance.codec import request_for
from tests.conformance.world import (
    DAY,
    MINUTE,
    SECOND,
    World,
    done,
    failed,
    submit_change,
)

ME = Caller("default", "ada")
ALL = Channel("default", "ada", after=0, limit=100)


async def waiting(world: World, channel: Channel = ALL) -> list[int]:
    """Return the numbers of what a channel has, in its order."""
    found = await world.store.channel(channel)
    assert [revision for revision, _ in found] == sorted({revision for revision, _ in found})
    return [number for _, number in found]


async def ended(world: World, count: int) -> list[Operation]:
    """Return operations of one channel that have ended, each a second after the other."""
    operations: list[Operation] = []
    for _ in range(count):
        operation = await world.submit(policy=CHANNEL)
        operations.append(await world.do(Cancel(ME, operation.id)))
        world.pass_time(SECOND)
    return operations


async def test_what_has_arrived_waits_with_the_revision_of_its_end(world: World) -> None:
    operation = await arrived(world, CHANNEL)
    assert await world.store.channel(ALL) == [(operation.revision, operation.number)]


async def test_what_is_on_its_way_has_not_arrived(world: World) -> None:
    await worked(world, CHANNEL)
    assert await waiting(world) == []
    await world.wake()
    assert await waiting(world) == []
    await world.wake()
    assert await waiting(world) == [1]


async def test_results_come_in_the_order_of_their_ends(world: World) -> None:
    session = await world.open_session(slots=3)
    await world.apply(*(submit_change(policy=CHANNEL) for _ in range(3)))
    first, second, third = await world.lease(session, free=3)
    for lease in (third, first):
        await world.report(session, lease, done())
        await world.wake()
        await world.wake()
    await world.report(session, second, failed(permanent=True))
    assert await waiting(world) == [3, 1, 2]


async def test_what_has_failed_or_was_canceled_arrives_as_well(world: World) -> None:
    failure = await worked(world, CHANNEL, failed(permanent=True))
    canceled = await world.submit(policy=CHANNEL)
    await world.do(Cancel(ME, canceled.id))
    assert await waiting(world) == [failure.number, canceled.number]


async def test_the_event_of_an_end_names_the_stream(world: World) -> None:
    for policy, expected in ((CHANNEL, "ada"), (STORE, None), (Policy(), None)):
        operation = await world.submit(policy=policy)
        applied = await world.apply(Cancel(ME, operation.id))
        (event,) = applied.events
        assert json.loads(event.detail or "").get("stream") == expected
    operation = await arrived(world, CHANNEL)
    end = (await world.history(operation))[-1]
    assert json.loads(end.detail or "")["stream"] == "ada"
    assert end.revision == operation.revision


async def test_each_submitter_and_tenant_has_a_channel_of_its_own(world: World) -> None:
    mine = await world.submit(policy=CHANNEL)
    bobs = await world.submit(policy=CHANNEL, principal="bob")
    foreign = await world.submit(policy=CHANNEL, tenant="other")
    stored = await world.submit(policy=STORE)
    for one in (mine, bobs, foreign, stored):
        await world.do(Cancel(Caller(one.tenant), one.id))
    assert await waiting(world) == [mine.number]
    assert await waiting(world, ALL._replace(stream="bob")) == [bobs.number]
    assert await waiting(world, ALL._replace(tenant="other")) == [foreign.number]
    assert await waiting(world, ALL._replace(stream="")) == []


async def test_a_channel_is_read_on_from_a_revision(world: World) -> None:
    operations = await ended(world, 5)
    first = await world.store.channel(ALL._replace(limit=2))
    assert [number for _, number in first] == [1, 2]
    last, _ = first[-1]
    assert await waiting(world, ALL._replace(after=last)) == [3, 4, 5]
    assert await waiting(world, ALL._replace(after=operations[-1].revision)) == []


async def test_what_ended_too_long_ago_is_left_out(world: World) -> None:
    operations = await ended(world, 4)
    since = operations[2].end_time
    assert since is not None
    assert await waiting(world, ALL._replace(since=since)) == [3, 4]
    assert await waiting(world, ALL._replace(since=since + 1)) == [4]
    assert await waiting(world, ALL._replace(since=since, limit=1)) == [3]


async def test_only_so_many_of_the_newest_are_looked_at(world: World) -> None:
    await ended(world, 5)
    for newest, expected in (
        (1, [5]),
        (3, [3, 4, 5]),
        (5, [1, 2, 3, 4, 5]),
        (6, [1, 2, 3, 4, 5]),
    ):
        assert await waiting(world, ALL._replace(newest=newest)) == expected
    assert await waiting(world, ALL._replace(newest=3, limit=2)) == [3, 4]
    assert await waiting(world, ALL._replace(newest=0)) == [1, 2, 3, 4, 5]


async def test_as_many_are_read_as_there_is_room_for(world: World) -> None:
    request = request_for("scan", padding="x" * 1_000)
    for _ in range(5):
        operation = await world.submit(policy=CHANNEL, request=request)
        await world.do(Cancel(ME, operation.id))
    for room, expected in (
        (0, [1]),
        (1_000, [1]),
        (3_500, [1, 2, 3]),
        (10_000, [1, 2, 3, 4, 5]),
    ):
        assert await waiting(world, ALL._replace(room=room)) == expected


async def test_bounds_and_a_known_revision_go_together(world: World) -> None:
    operations = await ended(world, 6)
    asked = ALL._replace(newest=4, since=operations[1].end_time or 0)
    assert await waiting(world, asked) == [3, 4, 5, 6]
    assert await waiting(world, asked._replace(after=operations[3].revision)) == [5, 6]
    assert await waiting(world, asked._replace(since=operations[4].end_time or 0)) == [5, 6]


async def test_what_was_acknowledged_comes_no_more(world: World) -> None:
    operations = await ended(world, 4)
    await world.do(Acknowledge(ME, (operations[1].id, operations[3].id)))
    assert await waiting(world) == [1, 3]
    assert await waiting(world, ALL._replace(newest=1)) == [3]


async def test_what_was_acknowledged_on_its_way_never_arrives(world: World) -> None:
    await worked(world, CHANNEL)
    await world.wake()
    await world.do(Acknowledge(ME, (1,)))
    await world.wake()
    operation = (await world.store.get("default", [1]))[0]
    assert operation is not None
    assert operation.operation.ended
    assert await waiting(world) == []
    end = (await world.history(operation.operation))[-1]
    assert "stream" not in json.loads(end.detail or "{}")


async def test_what_ends_and_is_acknowledged_in_one_batch_never_arrives(world: World) -> None:
    submit = submit_change(policy=CHANNEL)
    applied = await world.apply(
        submit, Cancel(ME, submit.id), Acknowledge(ME, (submit.id,)), Acknowledge(ME, (1,))
    )
    assert applied.outcomes[2:] == [None, None]
    assert await waiting(world) == []


async def test_what_arrives_in_the_batch_of_its_acknowledgement_is_gone(world: World) -> None:
    await worked(world, CHANNEL)
    await world.wake()
    await world.apply(Wake(), Acknowledge(ME, (1,)))
    assert await waiting(world) == []


async def test_what_has_expired_comes_no_more(world: World) -> None:
    await worked(world, CHANNEL._replace(expire_after=DAY), failed(permanent=True))
    operation = await world.submit(policy=CHANNEL)
    await world.do(Cancel(ME, operation.id))
    world.pass_time(DAY)
    await world.wake()
    assert await waiting(world) == [operation.number]
    await world.do(Delete(ME, operation.id))
    assert await waiting(world) == []


async def test_what_ends_and_expires_in_one_batch_never_arrives(world: World) -> None:
    operation = await world.submit(policy=CHANNEL)
    await world.apply(Cancel(ME, operation.id), Delete(ME, operation.id))
    assert await waiting(world) == []
    await world.reopen()
    assert await waiting(world) == []


async def test_a_channel_is_as_it_was_after_a_restart(world: World) -> None:
    await ended(world, 3)
    await world.do(Acknowledge(ME, (2,)))
    before = await world.store.channel(ALL)
    await world.reopen()
    assert await world.store.channel(ALL) == before
    assert [number for _, number in before] == [1, 3]


async def test_a_later_event_of_a_task_does_not_move_it(world: World) -> None:
    await ended(world, 2)
    stored = await world.store.channel(ALL)
    policy = CHANNEL._replace(callback=True)
    called = await world.submit(policy=policy)
    end = (await world.do(Cancel(ME, called.id))).revision
    session = await world.open_session(
        "longshore.callback", queues=("longshore.callbacks",), secret=b"caller"
    )
    await world.report(session, await world.lease_one(session), done())
    assert (await world.see(called)).revision > end
    assert await world.store.channel(ALL) == [*stored, (end, called.number)]


async def test_whoever_takes_a_stream_over_is_announced(world: World) -> None:
    first = await world.do(OpenStream(ME, "ada"))
    applied = await world.apply(OpenStream(ME, "ada"))
    (event,) = applied.events
    assert applied.outcomes == [event.revision]
    assert event.revision > first
    assert (event.number, event.kind, event.tenant) == (0, EventKind.STREAM, "default")
    assert json.loads(event.detail or "") == {"principal": "ada", "stream": "ada"}
    assert await world.events() == []


async def test_clocks_that_are_set_back_leave_the_order_alone(world: World) -> None:
    await ended(world, 2)
    world.pass_time(-DAY)
    await ended(world, 1)
    assert await waiting(world) == [1, 2, 3]
    assert await waiting(world, ALL._replace(since=world.now + MINUTE)) == [1, 2]


async def test_thousands_are_read_a_few_at_a_time(world: World) -> None:
    count = 3_000
    policy = Policy(delivery=Way.CHANNEL)
    for start in range(0, count, 1_000):
        await world.apply(*(submit_change(policy=policy) for _ in range(1_000)))
        ends = (Cancel(ME, number) for number in range(start + 1, start + 1_001))
        await world.apply(*ends)
    seen: list[int] = []
    after = 0
    while page := await world.store.channel(ALL._replace(after=after, limit=700)):
        after = page[-1][0]
        seen += (number for _, number in page)
    assert seen == list(range(1, count + 1))

"""Servers that share a store: whoever writes, all decide on it and hear of it once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

import pytest

from longshore.core import limits
from longshore.core.callers import Caller
from longshore.core.catalog_changes import UpdateQueue
from longshore.core.changes import Cancel, Change, ExpireSessions, Grant, Lease, Mode, SetMode
from longshore.core.errors import LeaseLost, SessionTakenOver
from longshore.core.events import Event, EventKind
from longshore.core.operations import State
from longshore.core.store import Renewal
from tests.conformance.candidates import CANDIDATES
from tests.conformance.world import (
    SECOND,
    World,
    done,
    numbers,
    report_change,
    submit_change,
)

ME = Caller("default", "ada")
SILENT = 30 * SECOND


class Pair(NamedTuple):
    one: World
    two: World

    def pass_time(self, milliseconds: int) -> None:
        for world in self:
            world.pass_time(milliseconds)

    async def renew(self, world: World, *live: int, at_most: int = SILENT) -> Renewal:
        renewal = await world.store.renew(live, at_most)
        assert renewal is not None
        return renewal


@pytest.fixture(params=[name for name, one in CANDIDATES.items() if one.shared])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Pair]:
    """Two servers over one empty store."""
    candidate = CANDIDATES[request.param]
    pair = Pair(World(candidate, tmp_path), World(candidate, tmp_path))
    for world in pair:
        await world.open()
    yield pair
    await pair.two.store.close()
    await pair.one.close()


# Of every store.


async def test_what_one_has_done_oneself_is_no_news(world: World) -> None:
    await world.submit()
    assert await world.store.news() is None


async def test_who_is_alone_hears_of_nobody(world: World) -> None:
    session = await world.open_session()
    renewal = await world.store.renew([session.session], SILENT)
    assert renewal is None or (renewal.others, renewal.silent) == (0, [])


async def test_who_listens_may_go_on_writing(world: World) -> None:
    world.store.listen(lambda: None)
    assert (await world.submit()).number == 1


# What others have committed.


async def test_what_one_server_writes_the_other_hears_of_once(pair: Pair) -> None:
    applied = await pair.one.apply(submit_change(), submit_change())
    assert await pair.two.hear() == applied.events
    assert await pair.two.hear() == []
    assert await pair.one.hear() == []


async def test_what_others_wrote_is_told_with_ones_own_batch(pair: Pair) -> None:
    first = await pair.one.apply(submit_change())
    second = await pair.two.apply(submit_change())
    assert list(second.foreign) == first.events
    assert second.events[0].revision == 2
    assert await pair.two.hear() == []
    assert await pair.one.hear() == second.events


async def test_what_a_batch_that_writes_nothing_has_heard_of_is_not_told_again(
    pair: Pair,
) -> None:
    first = await pair.one.apply(submit_change())
    refused = await pair.two.apply(Cancel(ME, 99))
    assert list(refused.foreign) == first.events
    assert await pair.two.hear() == []


async def test_who_opens_the_store_hears_only_of_what_comes(pair: Pair) -> None:
    await pair.one.apply(submit_change())
    await pair.two.reopen()
    pair.two.revision = 1
    assert await pair.two.hear() == []
    applied = await pair.one.apply(submit_change())
    assert await pair.two.hear() == applied.events


async def test_events_of_the_installation_are_heard_of_as_well(pair: Pair) -> None:
    caller = Caller("acme", "eve")
    changes = (UpdateQueue(caller, "default", paused=True), SetMode(caller, Mode.SUSPENDED))
    applied = await pair.one.apply(*changes)
    assert {event.kind for event in applied.events} >= {EventKind.QUEUE, EventKind.MODE}
    assert await pair.two.hear() == applied.events


async def test_more_than_is_told_at_once_comes_in_parts(pair: Pair) -> None:
    count = 2 * limits.NEWS_EVENTS + 1
    applied = await pair.one.apply(*(submit_change() for _ in range(count)))
    first = await pair.two.store.news()
    assert first is not None
    assert len(first.foreign) == limits.NEWS_EVENTS
    assert first.revision == limits.NEWS_EVENTS
    pair.two.revision = first.revision
    assert [*first.foreign, *await pair.two.hear()] == applied.events


async def test_of_too_much_is_said_that_it_was_missed(pair: Pair) -> None:
    for _ in range(limits.FOREIGN_EVENTS // 2_000 + 1):
        await pair.one.apply(*(submit_change() for _ in range(2_000)))
    applied = await pair.one.apply(UpdateQueue(ME, "default", paused=True))
    told = await pair.two.store.news()
    assert told is not None
    assert told.missed
    assert told.revision == pair.one.revision
    assert list(told.foreign)[-len(applied.events) :] == applied.events
    assert all(event.number == 0 for event in told.foreign)
    pair.two.revision = told.revision
    assert (await pair.two.submit()).number == pair.one.revision


async def test_however_servers_take_turns_both_tell_the_same_log(pair: Pair) -> None:
    chance = random.Random(7)
    logs: tuple[list[Event], list[Event]] = ([], [])

    async def turn(at: int) -> None:
        world, log = pair[at], logs[at]
        if chance.random() < 0.3:
            log += await world.hear()
        else:
            count = chance.randrange(5)
            applied = await world.apply(*(submit_change() for _ in range(count)))
            log += [*applied.foreign, *applied.events]

    for _ in range(60):
        await asyncio.gather(turn(0), turn(1))
    logs[0].extend(await pair.one.hear())
    logs[1].extend(await pair.two.hear())
    assert logs[0] == logs[1] == await pair.one.events(limit=10_000)
    assert len(logs[0]) == pair.one.revision


# What others have decided.


async def test_a_key_that_one_server_knows_all_servers_know(pair: Pair) -> None:
    submitted = await pair.one.submit(key="k")
    assert (await pair.two.submit(key="k")).number == submitted.number


async def test_no_server_leases_what_another_has_leased(pair: Pair) -> None:
    await pair.one.apply(*(submit_change() for _ in range(20)))
    sessions = [
        await world.open_session(secret=secret, slots=20)
        for world, secret in zip(pair, (b"one", b"two"), strict=True)
    ]
    leases = await asyncio.gather(
        *(world.lease(one, free=15) for world, one in zip(pair, sessions, strict=True))
    )
    assert sorted(numbers([*leases[0], *leases[1]])) == list(range(1, 21))


async def test_a_server_leases_to_sessions_of_the_other(pair: Pair) -> None:
    session = await pair.one.open_session("scan", "bag", slots=3)
    await pair.two.submit("bag")
    (lease,) = await pair.two.lease(session)
    await pair.one.report(session, lease, done())
    assert (await pair.two.see(lease)).state == State.SUCCEEDED


async def test_a_session_taken_up_elsewhere_is_lost_here(pair: Pair) -> None:
    await pair.one.submit()
    before = await pair.one.open_session()
    lease = await pair.one.lease_one(before)
    after = await pair.two.open_session()
    assert (after.session, after.epoch, after.resumed) == (before.session, 2, True)
    assert numbers(after.held) == [1]
    refusal = await pair.one.refused(report_change(before, lease, done()))
    assert isinstance(refusal, SessionTakenOver | LeaseLost)
    await pair.two.report(after, lease, done())


async def test_a_cancel_on_one_server_is_seen_by_the_report_on_the_other(pair: Pair) -> None:
    operation = await pair.one.submit()
    session = await pair.one.open_session()
    lease = await pair.one.lease_one(session)
    await pair.two.do(Cancel(ME, operation.number, force=True))
    assert isinstance(await pair.one.refused(report_change(session, lease, done())), LeaseLost)


async def test_what_is_paused_on_one_server_is_leased_by_none(pair: Pair) -> None:
    await pair.one.submit()
    session = await pair.one.open_session()
    await pair.two.do(UpdateQueue(ME, "default", paused=True))
    assert await pair.one.lease(session) == []
    await pair.one.do(UpdateQueue(ME, "default", paused=False))
    await pair.two.do(SetMode(ME, Mode.SUSPENDED))
    assert await pair.one.lease(session) == []
    await pair.one.do(SetMode(ME, Mode.ACTIVE))
    assert numbers(await pair.two.lease(session)) == [1]


async def test_a_limit_holds_over_all_servers(pair: Pair) -> None:
    await pair.one.do(UpdateQueue(ME, "default", limit=1))
    await pair.one.apply(submit_change(), submit_change())
    sessions = [
        await world.open_session(secret=secret)
        for world, secret in zip(pair, (b"one", b"two"), strict=True)
    ]
    assert len(await pair.one.lease(sessions[0])) == 1
    assert await pair.two.lease(sessions[1]) == []


async def test_the_catalog_is_the_same_on_all_servers(pair: Pair) -> None:
    await pair.two.store.catalog()
    session = await pair.one.open_session("scan", "bag")
    await pair.one.submit("scan", queue="nightly")
    await pair.one.do(UpdateQueue(ME, "nightly", limit=3))
    catalogs = [await world.store.catalog() for world in pair]
    assert catalogs[0] == catalogs[1]
    await pair.two.do(ExpireSessions(((session.session, session.epoch),)))
    assert (await pair.one.store.catalog()).sessions == {}


async def test_what_was_leased_here_and_reported_there_is_not_leased_again(pair: Pair) -> None:
    await pair.one.submit()
    session = await pair.one.open_session()
    lease = await pair.one.lease_one(session)
    await pair.two.report(session, lease, done())
    changes: list[Change] = [Lease((Grant(session.session, session.epoch, 1),))]
    (leased,) = (await pair.one.apply(*changes)).outcomes
    assert leased == []
    assert (await pair.one.see(lease)).state == State.SUCCEEDED


# Who is alive.


async def test_a_session_is_silent_once_no_server_renews_it(pair: Pair) -> None:
    session = await pair.one.open_session()
    renewed = (session.session, session.epoch)
    await pair.renew(pair.one, session.session)
    for _ in range(5):
        pair.pass_time(10 * SECOND)
        assert (await pair.renew(pair.two)).silent == []
        assert (await pair.renew(pair.one, session.session)).silent == []
    for _ in range(3):
        pair.pass_time(10 * SECOND)
        assert (await pair.renew(pair.two)).silent == []
    pair.pass_time(10 * SECOND)
    assert list((await pair.renew(pair.two)).silent) == [renewed]
    assert (await pair.renew(pair.one, session.session)).silent == []
    assert (await pair.renew(pair.two)).silent == []


async def test_opening_a_session_renews_it(pair: Pair) -> None:
    for _ in range(5):
        pair.pass_time(10 * SECOND)
        await pair.renew(pair.two)
    await pair.one.open_session()
    assert (await pair.renew(pair.two)).silent == []


async def test_after_an_outage_everybody_has_time_to_be_heard(pair: Pair) -> None:
    await pair.one.open_session()
    await pair.renew(pair.one, 1)
    pair.pass_time(10 * SILENT)
    assert (await pair.renew(pair.two)).silent == []
    pair.pass_time(SILENT - 1)
    assert (await pair.renew(pair.two)).silent == []
    pair.pass_time(1)
    assert list((await pair.renew(pair.two)).silent) == [(1, 1)]


async def test_a_session_that_has_ended_is_not_silent(pair: Pair) -> None:
    session = await pair.one.open_session()
    await pair.one.do(ExpireSessions(((session.session, session.epoch),)))
    for _ in range(5):
        pair.pass_time(10 * SECOND)
        assert (await pair.renew(pair.two)).silent == []


async def test_others_are_those_that_were_heard_of_lately(pair: Pair) -> None:
    assert (await pair.renew(pair.one)).others == 0
    renewal = await pair.renew(pair.two)
    assert (renewal.others, renewal.time) == (1, pair.two.now)
    assert (await pair.renew(pair.one)).others == 1
    await pair.two.store.close()
    assert (await pair.renew(pair.one)).others == 0
    await pair.two.open()
    await pair.renew(pair.two)
    pair.pass_time(SILENT + 1)
    assert (await pair.renew(pair.one)).others == 0


async def test_who_listens_is_told_when_to_ask(pair: Pair) -> None:
    asked = asyncio.Event()
    pair.two.store.listen(asked.set)
    await pair.one.apply(submit_change())
    heard: list[Event] = []
    while not heard:
        await asked.wait()
        asked.clear()
        heard = await pair.two.hear()
    assert len(heard) == 1


async def test_it_is_known_of_every_worker_how_much_it_holds(world: World) -> None:
    idle = await world.open_session(secret=b"idle")
    busy = await world.open_session(secret=b"busy", slots=3)
    for _ in range(4):
        await world.submit()
    (done_already, *_) = await world.lease(busy, free=3)
    await world.report(busy, done_already, done())
    known = await world.store.attendance([idle.session, busy.session, 99])
    assert {session: one.running for session, one in known.items()} == {
        idle.session: 0,
        busy.session: 2,
        99: 0,
    }


async def test_it_is_known_on_all_servers_when_a_worker_came_and_was_heard_of(
    pair: Pair,
) -> None:
    began = pair.one.now
    session = (await pair.one.open_session()).session
    pair.pass_time(10 * SECOND)
    await pair.renew(pair.one, session)
    (known,) = (await pair.two.store.attendance([session])).values()
    assert (known.connect_time, known.heard_time) == (began, began + 10 * SECOND)
    pair.pass_time(10 * SECOND)
    await pair.two.open_session()
    (known,) = (await pair.one.store.attendance([session])).values()
    assert (known.connect_time, known.heard_time) == (began + 20 * SECOND,) * 2

"""Sessions: taken up again under a higher epoch, ended once, and what becomes of leases."""

from __future__ import annotations

import json
from typing import cast

from longshore.core.callers import Caller
from longshore.core.changes import (
    CloseSession,
    ExpireSessions,
    Grant,
    Lease,
    Opened,
    OpenSession,
    Publication,
)
from longshore.core.errors import LeaseLost, SessionTakenOver
from longshore.core.events import EventKind
from longshore.core.installation import Queue
from longshore.core.operations import Part, State
from longshore.core.policies import Policy
from tests.conformance.world import (
    NOON,
    SECOND,
    World,
    done,
    numbers,
    report_change,
    submit_change,
)


async def test_a_session_taken_up_again_keeps_its_number_and_its_leases(world: World) -> None:
    await world.apply(submit_change(), submit_change())
    session = await world.open_session()
    leased = await world.lease(session, free=2)
    resumed = await world.open_session()
    assert not session.resumed
    assert resumed.resumed
    assert resumed.session == session.session
    assert (session.epoch, resumed.epoch) == (1, 2)
    assert resumed.held == leased


async def test_an_unknown_secret_begins_a_new_session(world: World) -> None:
    one = await world.open_session(secret=b"one")
    two = await world.open_session(secret=b"two")
    assert (one.session, two.session) == (1, 2)
    assert not two.resumed


async def test_a_secret_of_another_tenant_begins_a_new_session(world: World) -> None:
    await world.open_session(tenant="acme")
    assert not (await world.open_session()).resumed


async def test_a_session_from_before_they_were_marked_is_taken_up_by_its_secret(
    world: World,
) -> None:
    # Then nothing was kept but the secret, as is still so where nobody has a name.
    bare = OpenSession(Caller(), b"secret", "worker-1", ("default",), ("scan",), 1)
    session = cast("Opened", await world.do(bare))
    resumed = await world.open_session()
    assert (resumed.session, resumed.epoch, resumed.resumed) == (session.session, 2, True)
    stranger = bare._replace(caller=Caller("default", "other"))
    assert not cast("Opened", await world.do(stranger)).resumed
    assert not cast("Opened", await world.do(bare)).resumed


async def test_a_session_taken_up_again_may_offer_something_else(world: World) -> None:
    await world.submit("bag")
    session = await world.open_session("scan")
    assert await world.lease(session) == []
    session = await world.open_session("scan", "bag", slots=4)
    assert len(await world.lease(session)) == 1
    known = (await world.store.catalog()).sessions[session.session]
    assert (known.offers, known.slots, known.open_time) == (("scan", "bag"), 4, NOON)


async def test_what_is_leased_in_the_batch_of_a_resumption_is_held(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    again = OpenSession(
        Caller("default", "worker"), b"secret", "worker-1", ("default",), ("scan",), 1
    )
    applied = await world.apply(Lease((Grant(session.session, session.epoch, 1),)), again)
    resumed = cast("Opened", applied.outcomes[1])
    assert resumed.held == applied.outcomes[0]


async def test_a_closed_session_loses_what_it_holds(world: World) -> None:
    operation = await world.submit()
    session = await world.open_session()
    assignment = await world.lease_one(session)
    await world.do(CloseSession(Caller(), session.session, session.epoch))
    lost = await world.see(operation)
    assert (lost.state, lost.session, lost.attempt) == (State.QUEUED, None, 1)
    assert lost.wake_time == NOON + SECOND
    refusal = await world.refused(report_change(session, assignment, done()))
    assert isinstance(refusal, SessionTakenOver)
    assert not (await world.open_session()).resumed


async def test_an_expired_session_loses_what_it_holds(world: World) -> None:
    operation = await world.submit(policy=Policy(max_attempts=1))
    session = await world.open_session()
    await world.lease_one(session)
    await world.do(ExpireSessions(((session.session, session.epoch),)))
    record = await world.record(operation, Part.ERROR)
    assert record.operation.state == State.FAILED
    assert json.loads(record.documents[Part.ERROR])["reason"] == "WORKER_LOST"
    assert (await world.store.catalog()).sessions == {}


async def test_work_that_kills_its_workers_ends_after_its_attempts(world: World) -> None:
    operation = await world.submit(policy=Policy(max_attempts=3, initial_backoff=0))
    for attempt in range(3):
        session = await world.open_session(secret=bytes([attempt]))
        assert numbers(await world.lease(session)) == [operation.number]
        await world.do(ExpireSessions(((session.session, session.epoch),)))
        world.pass_time(1)
        await world.wake()
    ended = await world.see(operation)
    assert (ended.state, ended.attempt) == (State.FAILED, 3)


async def test_a_session_that_was_heard_again_does_not_expire(world: World) -> None:
    await world.submit()
    session = await world.open_session()
    await world.lease_one(session)
    await world.open_session()
    await world.do(ExpireSessions(((session.session, session.epoch), (99, 1))))
    catalog = await world.store.catalog()
    assert catalog.sessions[session.session].epoch == 2


async def test_only_the_youngest_stream_can_close_a_session(world: World) -> None:
    session = await world.open_session()
    await world.open_session()
    close = CloseSession(Caller(), session.session, session.epoch)
    assert isinstance(await world.refused(close), SessionTakenOver)
    assert isinstance(await world.refused(CloseSession(Caller(), 99, 1)), SessionTakenOver)


async def test_what_a_session_lost_can_be_leased_by_the_same_worker_again(
    world: World,
) -> None:
    operation = await world.submit(policy=Policy(initial_backoff=0))
    session = await world.open_session()
    stale = await world.lease_one(session)
    await world.do(ExpireSessions(((session.session, session.epoch),)))
    world.pass_time(1)
    await world.wake()
    session = await world.open_session()
    again = await world.lease_one(session)
    assert again.operation.number == operation.number
    refusal = await world.refused(report_change(session, stale, done()))
    assert isinstance(refusal, LeaseLost)


async def test_what_a_worker_offers_is_published(world: World) -> None:
    await world.open_session(services=[Publication("archive", b"v1")], queues=["night", "day"])
    catalog = await world.store.catalog()
    assert catalog.services == {("default", "archive"): b"v1"}
    assert catalog.queues == {("default", "night"): Queue(), ("default", "day"): Queue()}
    await world.open_session(
        secret=b"other", services=[Publication("archive", b"v2"), Publication("ocr", b"v1")]
    )
    catalog = await world.store.catalog()
    assert catalog.services == {("default", "archive"): b"v2", ("default", "ocr"): b"v1"}


async def test_what_a_worker_offered_stays_published_when_it_leaves(world: World) -> None:
    session = await world.open_session(services=[Publication("archive", b"v1")])
    await world.do(CloseSession(Caller(), session.session, session.epoch))
    assert (await world.store.catalog()).services == {("default", "archive"): b"v1"}


async def test_the_catalog_is_announced_only_when_it_changes(world: World) -> None:
    services = [Publication("archive", b"v1")]
    change = OpenSession(
        Caller(), b"one", "worker-1", ("default",), ("scan",), 1, tuple(services)
    )
    first = await world.apply(change)
    again = await world.apply(change)
    assert [event.kind for event in first.events] == [EventKind.SESSION, EventKind.CATALOG]
    assert [event.kind for event in again.events] == [EventKind.SESSION]
    assert [
        json.loads(one.detail or "")["change"] for one in (*first.events[:1], *again.events)
    ] == [
        "opened",
        "resumed",
    ]

"""Origins: whose change brought each event about, as histories tell it."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.core import limits
from longshore.core.callbacks import CALLBACK_ACTION, CALLBACKS_QUEUE
from longshore.core.callers import Caller
from longshore.core.catalog_changes import ApplySchedule
from longshore.core.changes import (
    Acknowledge,
    Cancel,
    Change,
    CloseSession,
    Delete,
    Direction,
    ExpireSessions,
    FireSchedule,
    Grant,
    Lease,
    Move,
    MoveLaunches,
    Opened,
    Resubmit,
    Resume,
    Submit,
    Suspend,
    Wake,
)
from longshore.core.errors import WrongState
from longshore.core.events import EventKind
from longshore.core.operations import Kind, State
from longshore.core.origins import Origin
from longshore.core.policies import Policy
from longshore.core.reports import (
    Assignment,
    Body,
    Logged,
    Progressed,
    PropertySet,
    Released,
    Report,
)
from longshore.core.store import Events, Replay
from tests.conformance.arriving import CHANNEL, STORE
from tests.conformance.codec import plan_request, step
from tests.conformance.keeping import save_changes
from tests.conformance.world import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    World,
    done,
    failed,
    new_id,
    report_change,
    submit_change,
)

SERVER = "the server"
SUBMITTED = ("SUBMITTED", "ada")
LEASED = ("RUNNING", SERVER)


def by(principal: str) -> Caller:
    """Return a caller of whom everything can be told from everybody else's."""
    return Caller("default", principal, f"{principal}'s call", f"{principal}'s host")


def submit(*arguments: Any, principal: str = "ada", **more: Any) -> Submit:
    return submit_change(*arguments, **more)._replace(caller=by(principal))


def report(session: Opened, lease: Assignment, body: Body, sequence: int = 1) -> Report:
    change = report_change(session, lease, body, sequence)
    return change._replace(caller=by("desk"))


async def leased(world: World, policy: Policy | None = None) -> tuple[Opened, Assignment]:
    await world.do(submit(policy=policy))
    session = await world.open_session(slots=100)
    return session, await world.lease_one(session)


async def read(world: World, *numbers: int, **more: Any) -> Events:
    wanted = frozenset(numbers) or None
    replay = Replay("default", 0, numbers=wanted, reserved=True, origins=True, **more)
    return await world.store.events(replay)


def pairs(found: Events) -> list[tuple[str, str]]:
    """Return what happened, or the state that it led to, and whose change did it."""
    told: list[tuple[str, str]] = []
    for event, origin in zip(found.events, found.origins, strict=True):
        turned = event.kind == EventKind.STATE_CHANGED
        what = State(event.state).name if turned else EventKind(event.kind).name
        who = SERVER if origin is None else origin.principal
        assert origin in (None, Origin._make(by(who)[1:4]))
        told.append((what, who))
    return told


async def told(world: World, *numbers: int) -> list[tuple[str, str]]:
    return pairs(await read(world, *numbers))


async def test_every_change_is_told_with_who_asked_for_it(world: World) -> None:
    await world.do(submit())
    await world.do(Suspend(by("bea"), 1))
    await world.do(Resume(by("cid"), 1))
    await world.do(Move(by("dot"), 1, "night"))
    await world.do(Cancel(by("eve"), 1))
    assert await told(world) == [
        ("SUBMITTED", "ada"),
        ("SUSPENDED", "bea"),
        ("QUEUED", "cid"),
        ("MOVED", "dot"),
        ("CANCELED", "eve"),
    ]


async def test_callers_are_told_apart_in_one_commit_and_after_another_start(
    world: World,
) -> None:
    session = await world.open_session(slots=2)
    await world.apply(
        submit(),
        submit(principal="bea"),
        Suspend(by("cid"), 2),
        Lease((Grant(session.session, session.epoch, 2),)),
        Cancel(by("dot"), 1),
        Wake(),
    )
    expected = [
        ("SUBMITTED", "ada"),
        ("SUBMITTED", "bea"),
        ("SUSPENDED", "cid"),
        LEASED,
        ("CANCEL_REQUESTED", "dot"),
    ]
    assert await told(world) == expected
    await world.reopen()
    assert await told(world) == expected


async def test_who_is_refused_or_asks_again_brings_nothing_about(world: World) -> None:
    first = submit(key="r")
    applied = await world.apply(
        first, first._replace(caller=by("ada")), Resume(by("bea"), 1), Suspend(by("cid"), 1)
    )
    assert isinstance(applied.outcomes[2], WrongState)
    assert await told(world) == [SUBMITTED, ("SUSPENDED", "cid")]


async def test_what_a_worker_says_is_told_as_its_own(world: World) -> None:
    session, lease = await leased(world)
    opening, keeping = save_changes(lease)
    bodies: list[Body] = [
        Progressed('{"done":1}'),
        Logged(2, "it goes on"),
        PropertySet("color", "red"),
    ]
    await world.apply(
        *(report(session, lease, body, at) for at, body in enumerate(bodies, 1)),
        opening,
        keeping._replace(caller=by("worker")),  # The lease is this one's.
        report(session, lease, done(x=1), 4),
    )
    assert await told(world, 1) == [
        SUBMITTED,
        LEASED,
        ("PROGRESS", "desk"),
        ("LOG", "desk"),
        ("PROPERTY_SET", "desk"),
        ("FILE_ADDED", "worker"),
        ("SUCCEEDED", "desk"),
    ]


async def test_the_steps_of_a_plan_are_told_as_the_workers(world: World) -> None:
    plan = plan_request(step("scan"), step("scan"))
    await world.do(submit(request=plan, steps=2))
    session = await world.open_session()
    lease = await world.lease_one(session)
    await world.do(report(session, lease, done(), 1))
    await world.do(report(session, lease, done(), 2))
    assert await told(world) == [
        SUBMITTED,
        LEASED,
        ("ACTION_CHANGED", "desk"),
        ("ACTION_CHANGED", "desk"),
        ("SUCCEEDED", "desk"),
    ]


async def test_a_worker_that_gives_up_says_so_and_the_next_attempt_is_the_servers(
    world: World,
) -> None:
    session, lease = await leased(world)
    await world.do(report(session, lease, failed()))
    world.pass_time(MINUTE)
    await world.wake()
    again = await world.lease_one(session)
    await world.do(report(session, again, Released()))
    last = await world.lease_one(session)
    await world.do(report(session, last, failed(permanent=True)))
    assert await told(world) == [
        SUBMITTED,
        LEASED,
        ("QUEUED", "desk"),
        LEASED,
        ("QUEUED", "desk"),
        LEASED,
        ("FAILED", "desk"),
    ]


async def test_what_ran_too_long_was_stopped_by_the_server(world: World) -> None:
    await leased(world, Policy(run_timeout=SECOND))
    world.pass_time(SECOND)
    await world.wake()
    assert await told(world) == [SUBMITTED, LEASED, ("QUEUED", SERVER)]


async def test_the_end_of_a_cancels_grace_is_the_servers(world: World) -> None:
    await leased(world)
    await world.do(Cancel(by("bea"), 1))
    world.pass_time(limits.CANCEL_GRACE_MS)
    await world.wake()
    assert (await told(world))[2:] == [("CANCEL_REQUESTED", "bea"), ("CANCELED", SERVER)]


@pytest.mark.parametrize("goodbye", [False, True])
async def test_a_lost_worker_is_noticed_by_the_server_and_a_goodbye_is_its_own(
    world: World, goodbye: bool
) -> None:
    session, _ = await leased(world)
    change: Change = ExpireSessions(((session.session, session.epoch),))
    if goodbye:
        change = CloseSession(by("desk"), session.session, session.epoch)
    await world.do(change)
    lost = ("QUEUED", "desk" if goodbye else SERVER)
    assert await told(world) == [SUBMITTED, LEASED, lost]


async def test_a_report_under_a_lost_lease_is_not_told(world: World) -> None:
    session, lease = await leased(world)
    await world.do(Cancel(by("bea"), 1, force=True))
    await world.refused(report(session, lease, done()))
    assert (await told(world))[2:] == [("CANCELED", "bea")]


@pytest.mark.parametrize("policy", [STORE, CHANNEL], ids=["store", "channel"])
async def test_a_delivery_goes_on_by_itself_until_somebody_acknowledges(
    world: World, policy: Policy
) -> None:
    session, lease = await leased(world, policy)
    await world.do(report(session, lease, done(x=1)))
    await world.wake()
    await world.wake()
    await world.do(Acknowledge(by("bea"), (1,)))
    assert (await told(world))[2:] == [
        ("DELIVERY_CHANGED", "desk"),
        ("DELIVERY_CHANGED", SERVER),
        ("DELIVERY_CHANGED", SERVER),
        ("SUCCEEDED", SERVER),
        ("DELIVERY_CHANGED", "bea"),
    ]


async def test_who_resubmits_has_submitted_the_next(world: World) -> None:
    await world.do(submit())
    await world.do(Cancel(by("ada"), 1))
    await world.do(Resubmit(by("bea"), 1, new_id()))
    assert await told(world, 2) == [("SUBMITTED", "bea")]


async def test_who_moves_launches_has_moved_each_of_them(world: World) -> None:
    await world.apply(*(submit(kind=Kind.LAUNCH, queue="operations") for _ in range(4)))
    await world.do(MoveLaunches(by("bea"), (3, 4), Direction.TOP))
    moved = [("MOVED", "bea")]
    assert (await told(world))[4:] == 2 * moved
    assert await told(world, 3) == [SUBMITTED, *moved]


@pytest.mark.parametrize("deleted", [False, True])
async def test_what_expires_is_removed_by_the_server_unless_somebody_deletes_it(
    world: World, deleted: bool
) -> None:
    await world.do(submit(policy=Policy(expire_after=10 * MINUTE)))
    await world.do(Cancel(by("bea"), 1))
    world.pass_time(10 * MINUTE)
    await world.do(Delete(by("cid"), 1) if deleted else Wake())
    assert (await told(world))[1:] == [
        ("CANCELED", "bea"),
        ("EXPIRED", "cid" if deleted else SERVER),
    ]


async def test_the_server_submits_callbacks_and_whoever_calls_tells_the_answer(
    world: World,
) -> None:
    policy = Policy(callback=True, max_attempts=1)
    session, _ = await leased(world, policy)
    await world.do(submit(policy=policy))
    await world.lease_one(session)
    await world.do(CloseSession(by("desk"), session.session, session.epoch))
    ends = [("FAILED", "desk"), ("SUBMITTED", SERVER)]
    assert (await told(world))[4:] == 2 * ends
    calling = await world.open_session(CALLBACK_ACTION, queues=(CALLBACKS_QUEUE,))
    lease = await world.lease_one(calling)
    await world.do(report(calling, lease, done(status=200)))
    assert (await told(world, 1))[-1] == ("CALLBACK_SENT", "desk")


async def test_what_a_schedule_submits_is_its_principals_at_the_occasion(world: World) -> None:
    await world.do(ApplySchedule(by("ada"), "hourly", b"v1", NOON))
    submits = [
        submit_change()._replace(caller=Caller("default", "ada", f"occasion {one}"))
        for one in (1, 2)
    ]
    fire = FireSchedule(
        Caller("default", "ada"), "hourly", b"v1", NOON, tuple(submits), NOON + HOUR
    )
    await world.do(fire)
    assert (await read(world)).origins == [
        Origin("ada", "occasion 1", ""),
        Origin("ada", "occasion 2", ""),
    ]


@pytest.mark.parametrize(
    "caller",
    [
        Caller("default"),
        Caller("default", "corp:Grüße 漢字", "🚢", "fd00::7"),
        Caller("default", 'a"b\\c', "x\n\ty\x00", "'"),
        Caller("default", "p" * 63, "r" * 128, "h" * 255),
    ],
)
async def test_names_are_told_as_they_were_given(world: World, caller: Caller) -> None:
    await world.do(submit_change()._replace(caller=caller))
    await world.reopen()
    assert (await read(world)).origins == [Origin._make(caller[1:4])]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("named", [False, True])
async def test_origins_stay_in_step_with_events_that_are_cut(
    world: World, limit: int, named: bool
) -> None:
    await world.apply(submit(), Suspend(by("bea"), 1), submit(), Resume(by("cid"), 1))
    wanted = frozenset({1}) if named else None
    seen: list[tuple[str, str]] = []
    after = 0
    while after < world.revision:
        replay = Replay("default", after, numbers=wanted, limit=limit, origins=True)
        found = await world.store.events(replay)
        seen += pairs(found)
        after = found.revision
    assert seen == await told(world, *(wanted or ()))


async def test_who_does_not_ask_for_origins_is_not_told(world: World) -> None:
    applied = await world.apply(submit())
    found = await world.store.events(Replay("default", 0))
    assert found.origins == ()
    assert found.events == applied.events == (await read(world)).events

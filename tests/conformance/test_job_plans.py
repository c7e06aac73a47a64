"""What workers run of jobs and launches: a plan kept beside a request that only names it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from longshore.core.callers import Caller
from longshore.core.changes import Cancel, Grant, Lease, Opened, Resubmit
from longshore.core.operations import Kind, Operation, Part
from longshore.core.reports import Assignment
from tests.conformance.codec import plan_request, request_for, step
from tests.conformance.world import World, done, failed, new_id, submit_change

ME = Caller("default", "ada")
NAMED = b"only the name of the plan"
PLAN = plan_request(
    step("scan", results=["files"]),
    step("bag", paths={"files": "files", "to": "target"}),
    context={"target": "/bags"},
)
KINDS = pytest.mark.parametrize("kind", [Kind.JOB, Kind.LAUNCH], ids=lambda kind: kind.name)


async def submit(world: World, kind: Kind = Kind.JOB) -> Operation:
    return await world.submit(
        kind=kind, request=NAMED, plan=PLAN, actions=["bag", "scan"], steps=2
    )


async def open_session(world: World, **more: Any) -> Opened:
    return await world.open_session("bag", "scan", **more)


@KINDS
async def test_plan_and_request_are_kept_apart(world: World, kind: Kind) -> None:
    operation = await submit(world, kind)
    record = await world.record(operation, *Part)
    assert record.documents == {Part.REQUEST: NAMED, Part.PLAN: PLAN}


async def test_a_task_has_no_plan_beside_its_request(world: World) -> None:
    operation = await world.submit()
    assert list((await world.record(operation, *Part)).documents) == [Part.REQUEST]


@KINDS
async def test_a_plan_is_leased_by_the_batch_that_submits_it(world: World, kind: Kind) -> None:
    session = await open_session(world)
    lease = Lease((Grant(session.session, session.epoch, 3),))
    applied = await world.apply(
        submit_change(kind=kind, request=NAMED, plan=PLAN, actions=["bag", "scan"], steps=2),
        submit_change(),
        submit_change(kind=kind, request=NAMED, plan=request_for("scan", path="/x")),
        lease,
    )
    first, task, single = cast("list[Assignment]", applied.outcomes[3])
    assert [one.action for one in (first, task, single)] == ["scan", "scan", "scan"]
    assert json.loads(single.arguments) == {"path": "/x"}


@KINDS
async def test_a_plan_is_stepped_over_restarts(world: World, kind: Kind) -> None:
    operation = await submit(world, kind)
    await world.reopen()
    session = await open_session(world)
    first = await world.lease_one(session)
    assert (first.action, first.operation.number) == ("scan", operation.number)
    await world.reopen()
    resumed = await open_session(world)
    (held,) = resumed.held
    assert held.action == "scan"
    reported = await world.report(resumed, first, done(files=["a"]), 1)
    assert reported.next is not None
    assert json.loads(reported.next.arguments) == {"files": ["a"], "to": "/bags"}
    assert (await world.report(resumed, first, done(), 2)).ended


async def test_tasks_jobs_and_launches_are_leased_together(world: World) -> None:
    for kind in (Kind.JOB, Kind.TASK, Kind.LAUNCH, Kind.TASK, Kind.JOB):
        if kind == Kind.TASK:
            await world.submit(request=request_for("scan", path="/task"))
        else:
            await world.submit(
                kind=kind, request=NAMED, plan=request_for("scan", path=f"/{kind.name}")
            )
    session = await world.open_session()
    paths = [json.loads(one.arguments)["path"] for one in await world.lease(session, free=5)]
    assert paths == ["/JOB", "/task", "/LAUNCH", "/task", "/JOB"]


@KINDS
async def test_a_resubmit_takes_the_plan_along(world: World, kind: Kind) -> None:
    operation = await submit(world, kind)
    await world.do(Cancel(ME, operation.id))
    again = await world.do(Resubmit(ME, operation.id, new_id()))
    record = await world.record(again.operation, *Part)
    assert record.documents == {Part.REQUEST: NAMED, Part.PLAN: PLAN}
    assert (await world.lease_one(await open_session(world))).action == "scan"


async def test_a_resubmit_from_the_failed_action_takes_plan_and_checkpoints_along(
    world: World,
) -> None:
    operation = await submit(world)
    session = await open_session(world)
    assignment = await world.lease_one(session)
    await world.report(session, assignment, done(files=["a"]), 1)
    await world.report(session, assignment, failed(permanent=True), 2)
    made = new_id()
    lease = Lease((Grant(session.session, session.epoch, 1),))
    applied = await world.apply(Resubmit(ME, operation.id, made, from_failed=True), lease)
    (again,) = cast("list[Assignment]", applied.outcomes[1])
    assert (again.operation.id, again.action) == (made, "bag")
    assert json.loads(again.arguments) == {"files": ["a"], "to": "/bags"}
    documents = (await world.record(again, *Part)).documents
    assert set(documents) == {Part.REQUEST, Part.PLAN, Part.CONTEXT, Part.STEPS}


async def test_a_chain_of_resubmits_keeps_its_first_id_and_tells_its_latest_call(
    world: World,
) -> None:
    operation = await world.submit(
        kind=Kind.JOB, attributes={"contract": "a", "dfiid": "first", "lcid": "req-1"}
    )
    await world.do(Cancel(ME, operation.id))
    caller = ME._replace(request_id="req-2")
    again = await world.do(Resubmit(caller, operation.id, new_id()))
    assert json.loads(again.facts.attributes) == {
        "contract": "a",
        "dfiid": "first",
        "lcid": "req-2",
    }
    assert again.facts.request_id == "req-2"

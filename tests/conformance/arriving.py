"""Short words for deliveries: work that is done, and how far its result is."""

from __future__ import annotations

from typing import Any

from longshore.core.changes import Opened
from longshore.core.deliveries import Delivery, Stage, Way
from longshore.core.operations import Operation, Part, State
from longshore.core.policies import Policy
from longshore.core.reports import Assignment, Body
from tests.conformance.world import World, done

STORE, CHANNEL = Policy(delivery=Way.STORE), Policy(delivery=Way.CHANNEL)


async def leased(
    world: World, policy: Policy = STORE, **more: Any
) -> tuple[Opened, Assignment]:
    """Submit a task and lease it; return its session and the lease."""
    await world.submit(policy=policy, **more)
    session = await world.open_session()
    return session, await world.lease_one(session)


async def worked(
    world: World, policy: Policy = STORE, body: Body | None = None, **more: Any
) -> Operation:
    """Submit a task and let a worker report its end."""
    session, assignment = await leased(world, policy, **more)
    await world.report(session, assignment, body or done(x=1))
    return await world.see(assignment)


async def arrived(world: World, policy: Policy = STORE, **more: Any) -> Operation:
    """Submit a task, let a worker do it and its result arrive."""
    operation = await worked(world, policy, **more)
    for _ in range(2):
        await world.wake()
    return await world.see(operation)


async def delivery(world: World, operation: Operation | Assignment) -> Delivery:
    record = await world.record(operation, Part.DELIVERY)
    return Delivery.decode(record.documents[Part.DELIVERY])


async def stage(world: World, operation: Operation | Assignment) -> tuple[State, Stage]:
    """Return state and stage."""
    found = await world.see(operation)
    return State(found.state), Stage((await delivery(world, operation)).stage)


async def result(world: World, operation: Operation | Assignment) -> bytes | None:
    record = await world.record(operation, Part.RESULT)
    return record.documents.get(Part.RESULT)

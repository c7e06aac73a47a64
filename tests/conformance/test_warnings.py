"""What slows a store down is told to whoever runs it."""

from __future__ import annotations

from tests.conformance.world import World


async def test_a_store_that_nobody_holds_back_warns_of_nothing(world: World) -> None:
    await world.submit()
    assert not await world.store.warnings()

"""Copies that are killed, and sources and targets that are not what they were."""

from __future__ import annotations

import sys
from asyncio import create_subprocess_exec
from signal import SIGKILL

import pytest

from longshore.cli.stores import StorePlace
from longshore.core.changes import (
    Mode,
    SetMode,
)
from longshore.core.errors import StoreUnavailable
from longshore.stores.copying import Copier
from longshore.stores.tables import Table
from tests.conformance.copies import ME, Target, closed, executed, fill
from tests.conformance.moves import copy, rows, unseen
from tests.conformance.world import World


async def copied_in_part(source: str, target: str, most: int = 1) -> None:
    """Copy until so many tables have rows."""

    class Enough(Exception):
        pass

    seen: list[Table] = []

    def told(table: Table, _: int) -> None:
        seen.append(table)
        if len(seen) == most:
            raise Enough

    origin, place = StorePlace.parse(source), StorePlace.parse(target)
    with pytest.raises(Enough):
        async with origin.source() as side, place.target() as other:
            await Copier(side, str(origin), other).copy(told)


async def test_a_copy_that_is_killed_anywhere_goes_on(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    steps, code = 1, -SIGKILL
    while code == -SIGKILL:
        child = await create_subprocess_exec(
            sys.executable, "-m", "tests.tools.killed", source, target.url, str(steps)
        )
        code = await child.wait()
        steps += 9
        if code == -SIGKILL:
            with pytest.raises(StoreUnavailable, match="has not ended"):
                await target.store().open()
            with pytest.raises(StoreUnavailable, match="has not ended"):
                await rows(target.url)
            condition = await StorePlace.parse(target.url).condition()
            assert "has not ended" in condition.warnings[0]
    assert code == 0
    assert steps > 30
    assert await rows(target.url) == await rows(source)


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_a_source_that_has_changed_meanwhile_is_noticed(
    world: World, target: Target, most: int
) -> None:
    await fill(world)
    source = await closed(world)
    await copied_in_part(source, target.url, most)
    await world.open()
    await world.do(SetMode(ME, Mode.ACTIVE))
    await world.store.close()
    with pytest.raises(StoreUnavailable, match="another store or has changed"):
        await copy(source, target.url)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE operations SET reports = 99 WHERE number = 1",
        "DELETE FROM documents WHERE number = 1",
    ],
    ids=["another row", "a row that is gone"],
)
async def test_a_change_that_no_revision_tells_is_noticed(
    world: World, target: Target, change: str
) -> None:
    await fill(world)
    source = await closed(world)
    await copied_in_part(source, target.url, 2)
    await executed(source, change)
    with pytest.raises(StoreUnavailable, match="another store or has changed"):
        await copy(source, target.url)


async def test_a_copy_that_is_not_the_same_is_no_store(world: World, target: Target) -> None:
    await fill(world)
    source = await closed(world)
    place = StorePlace.parse(target.url)
    async with StorePlace.parse(source).source() as side, place.target() as other:
        copier = Copier(side, source, other)
        await copier.copy(unseen)
        await executed(target.url, "UPDATE counts SET count = count + 1")
        with pytest.raises(StoreUnavailable, match="not the same: of counts"):
            await copier.verify(unseen)
    with pytest.raises(StoreUnavailable, match="has not ended"):
        await target.store().open()

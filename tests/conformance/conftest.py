"""Gives each test a fresh store of every kind."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.conformance.candidates import CANDIDATES
from tests.conformance.copies import Target
from tests.conformance.moves import other_than
from tests.conformance.world import World


@pytest.fixture(params=CANDIDATES)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[World]:
    """A fresh, empty store, opened."""
    candidate = CANDIDATES[request.param]
    world = World(candidate, tmp_path)
    await world.open()
    yield world
    await world.close()


@pytest.fixture
async def target(world: World, tmp_path: Path) -> AsyncGenerator[Target]:
    """A place for a store of the other kind."""
    target = Target(other_than(world.candidate), tmp_path / "target")
    yield target
    target.remove()

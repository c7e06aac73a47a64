from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.candidates import CANDIDATES
from tests.conformance.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(CANDIDATES["sqlite"], tmp_path)
    await world.open()
    yield world
    await world.close()

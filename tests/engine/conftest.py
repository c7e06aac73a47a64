from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.harness import Machine, StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def machine(tmp_path: Path, clock: StillClock) -> AsyncIterator[Machine]:
    """A running engine over an empty store, whose clocks only the test moves."""
    async with Machine(tmp_path / "longshore.db", clock) as running:
        yield running

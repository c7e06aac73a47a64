from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.harness import Machine, MovableClock


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def machine(tmp_path: Path, clock: MovableClock) -> AsyncIterator[Machine]:
    """A running engine over an empty store, whose clocks only the test moves."""
    async with Machine(tmp_path / "longshore.db", clock) as running:
        yield running

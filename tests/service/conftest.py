from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.harness import World, serving


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server over an empty store."""
    async with serving(tmp_path / "longshore.db") as running:
        yield running

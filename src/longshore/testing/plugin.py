"""A plugin for pytest: name it in `pytest_plugins` of a test file or of the topmost conftest.py.

    pytest_plugins = ["longshore.testing.plugin"]

It is no entry point, so that pytest imports nothing of it for those who only run Longshore.
It needs pytest-asyncio: `pip install longshore[testing]`. A loop for each test does as well as
one for all of them, as long as fixtures and tests have the same: set both
`asyncio_default_fixture_loop_scope` and `asyncio_default_test_loop_scope`, or neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from longshore.testing.server import Longshore, running


@pytest_asyncio.fixture
async def longshore(tmp_path: Path) -> AsyncIterator[Longshore]:
    """A server of this test alone, over an empty store."""
    async with running(tmp_path / "longshore.db") as server:
        yield server

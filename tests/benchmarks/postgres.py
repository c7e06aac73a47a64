"""The PostgreSQL that is measured: a server of its own, with every commit on its disk."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from tests.tools.cluster import Cluster

#: What is not said here is as PostgreSQL has it, so that a crash loses nothing.
_SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "256MB",
    "max_connections": "100",
}

#: For people who read the figures.
DESCRIPTION: Final = ", ".join(f"{name}={value}" for name, value in _SETTINGS.items())


@asynccontextmanager
async def postgres() -> AsyncGenerator[Cluster]:
    """Run a server, and remove all that it has kept at the end."""
    async with Cluster(**_SETTINGS) as cluster:
        yield cluster

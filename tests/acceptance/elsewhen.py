"""A server over PostgreSQL, on a machine whose clock may be wrong: for tests only.

    python -m tests.acceptance.elsewhen URL FILES LISTEN BEAT TIME_TO_LIVE

with `CLOCK_AHEAD_SECONDS` in the environment.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from longshore.cli.logs import configure
from longshore.cli.output import say
from longshore.engine.engine import Engine
from longshore.engine.settings import EngineSettings
from longshore.server.app import Server
from longshore.server.codec import ProtoCodec
from longshore.stores.blobs import ObstoreBlobs
from longshore.stores.postgres.store import PostgresStore

_right_time, _right_nanoseconds = time.time, time.time_ns


def set_clock(seconds: float) -> None:
    """Let everything in this process believe that it is later, or earlier."""
    time.time = lambda: _right_time() + seconds
    time.time_ns = lambda: _right_nanoseconds() + round(seconds * 1e9)


async def serve(url: str, files: str, listen: str, beat: str, time_to_live: str) -> None:
    settings = EngineSettings(
        beat_seconds=float(beat), time_to_live_seconds=float(time_to_live)
    )
    engine = Engine(PostgresStore(url, ProtoCodec()), ObstoreBlobs(files), settings)
    async with engine, Server(engine, listen) as server:
        say(f"longshore listening on {server.address}")
        await engine.failed


if __name__ == "__main__":
    configure("info")
    set_clock(float(os.environ.get("CLOCK_AHEAD_SECONDS", "0")))
    asyncio.run(serve(*sys.argv[1:]))

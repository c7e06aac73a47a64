"""Work that talks: what commands show while it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from longshore.worker import Context, PermanentError, Worker

worker = Worker("talk", identity="talker")


@worker.action
async def count(times: int, context: Context) -> dict[str, int]:
    """Count aloud."""
    for number in range(1, times + 1):
        context.log(f"\x1b[31mnumber {number}")
        context.progress(number, times, unit="numbers", message="counting")
    return {"counted": times}


@worker.action
async def break_down(why: str) -> None:
    """Fail for good."""
    raise PermanentError(why)


@worker.action
async def wait_for(gate: str, context: Context) -> dict[str, str]:
    """Wait for a file."""
    context.progress(1, 2, unit="gates", message="waiting")
    while not Path(gate).exists():
        await asyncio.sleep(0.01)
    return {"gate": gate}

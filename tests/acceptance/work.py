"""The work of the acceptance tests. It keeps a journal that no server has a hand in."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import time
from collections.abc import Generator
from pathlib import Path

from longshore.worker import Context, File, Worker

_JOURNAL = os.environ.get("DOCKHAND_JOURNAL", os.devnull)
_LOOK_EVERY_SECONDS = 0.01

worker = Worker(
    "dockhand",
    slots=int(os.environ.get("DOCKHAND_SLOTS") or 4),
    identity=os.environ.get("DOCKHAND_NAME", ""),
)


def _note(word: str, context: Context) -> None:
    line = f"{word} {context.operation_id} {context.attempt} {os.getpid()} {context.step}\n"
    journal = os.open(_JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)


@contextlib.contextmanager
def _noted(context: Context) -> Generator[None]:
    """Note when a piece of work begins and ends, and whether it was stopped."""
    _note("start", context)
    try:
        yield
    except BaseException:
        _note("stop", context)
        raise
    _note("end", context)


@worker.action
async def quick(context: Context) -> dict[str, int]:
    """Do nothing much."""
    with _noted(context):
        return {"attempt": context.attempt}


@worker.action
async def hold(context: Context, gate: str) -> dict[str, int]:
    """Work until a file exists, or until told to stop."""
    with _noted(context):
        while not Path(gate).exists():
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return {"attempt": context.attempt}


@worker.action
def stubborn(context: Context, gate: str) -> dict[str, int]:
    """Work until a file exists, whatever anybody says."""
    with _noted(context):
        while not Path(gate).exists():
            time.sleep(_LOOK_EVERY_SECONDS)
        return {"attempt": context.attempt}


@worker.action
async def die(context: Context) -> None:
    """Take the worker down with it."""
    _note("start", context)
    os.kill(os.getpid(), signal.SIGKILL)


@worker.action
async def fail(context: Context) -> None:
    """Fail whenever it is tried."""
    with _noted(context):
        raise RuntimeError("the crane is broken")


@worker.action
async def toil(context: Context) -> dict[str, int]:
    """Take a little while, as most work does."""
    with _noted(context):
        await asyncio.sleep(random.uniform(0.01, 0.04))
        return {"attempt": context.attempt}


@worker.action
async def stow(
    context: Context, cargo: tuple[str, ...] = (), gate: str = ""
) -> dict[str, list[str]]:
    """Add to what others have stowed: which execution this is, as `STEP/ATTEMPT`."""
    with _noted(context):
        while gate and not Path(gate).exists():
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return {"cargo": [*cargo, f"{context.step}/{context.attempt}"]}


@worker.action
async def weigh(context: Context, size: int = 0) -> dict[str, str]:
    """Give a result that is this operation's alone, and that long."""
    with _noted(context):
        return {"of": context.operation_id, "cargo": "x" * size}


async def _load(context: Context, sizes: tuple[int, ...], seed: int, gate: str = "") -> None:
    for number, size in enumerate(sizes, 1):
        while number == len(sizes) and gate and not Path(gate).exists():
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        data = random.Random(f"{seed}/{number}/{context.attempt}").randbytes(size)
        await context.save_file(f"hold/{context.step}/{number}.bin", data)


@worker.action
async def load(context: Context, sizes: tuple[int, ...], seed: int = 0, gate: str = "") -> None:
    """Save files of these sizes, and wait before the last of them for a file to exist.

    Each attempt saves other bytes: what `random` makes of the seed, the number and the attempt.
    """
    with _noted(context):
        await _load(context, sizes, seed, gate)


@worker.action
async def unload(context: Context, file: File, gate: str) -> dict[str, str]:
    """Wait for a file to exist, then read the file that was given."""
    with _noted(context):
        while not Path(gate).exists():
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        return {"sha256": hashlib.sha256(await file.read()).hexdigest()}


@worker.operation("freight")
async def freight(context: Context, sizes: tuple[int, ...]) -> None:
    """Save files of these sizes, as `load` does."""
    with _noted(context):
        await _load(context, sizes, seed=0)


@worker.ruleset("inspection")
async def inspect(context: Context) -> None:
    """Run alone in the whole installation."""
    with _noted(context):
        await asyncio.sleep(random.uniform(0.01, 0.04))


@worker.operation("voyage")
async def sail(context: Context) -> None:
    """Run side by side with others."""
    with _noted(context):
        pass

"""Copies a store and is killed on the way, as by kill -9: SOURCE TARGET STEPS."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys

from longshore.cli.stores import StorePlace
from longshore.stores import copying
from longshore.stores.copying import Copier
from longshore.stores.tables import Table


async def copy(source: str, target: str, steps: int) -> None:
    """Copy so many steps; a few rows are one."""
    taken = itertools.count(1)

    def told(_: Table, __: int) -> None:
        if next(taken) == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    origin, place = StorePlace.parse(source), StorePlace.parse(target)
    async with origin.source() as side, place.target() as other:
        copier = Copier(side, str(origin), other)
        await copier.copy(told)
        await copier.verify(told)


if __name__ == "__main__":
    setattr(copying, "_BATCH_ROWS", 3)  # noqa: B010  A constant, but for this.
    asyncio.run(copy(sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""Stopping: what signals do to a program that serves."""

from __future__ import annotations

import asyncio
import os
import signal


def stopped_by_signals() -> asyncio.Future[None]:
    """Return a future that SIGTERM or SIGINT completes; the next one ends the process."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop(number: int) -> None:
        if stopped.done():
            os._exit(128 + number)
        stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped

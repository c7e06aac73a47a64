"""Stopping: what signals do to a program that serves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from multiprocessing import parent_process


def _nothing() -> None:
    """Do nothing."""


def stopped_by_signals(at_once: Callable[[], None] = _nothing) -> asyncio.Future[None]:
    """Return a future that SIGTERM or SIGINT completes.

    The next one ends the process, after it has done something `at_once`.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop(number: int) -> None:
        if stopped.done():
            at_once()
            os._exit(128 + number)
        stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped


def stopped_by_parent() -> asyncio.Future[None]:
    """Return a future that the process completes which has started this one.

    It does so by SIGTERM, or by its own end. Service managers send signals to all processes of
    a service, so that another one means nothing; SIGINT is for the parent.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    parent = parent_process()
    assert parent is not None, "nobody has started this process"
    lifeline = parent.sentinel

    def orphaned() -> None:
        loop.remove_reader(lifeline)
        stop()

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_reader(lifeline, orphaned)
    return stopped

"""Ports for servers that are stopped and started again, or that are not there at all."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Callable, Generator
from itertools import cycle
from typing import Final

import pytest

#: Below those that the system gives to whoever asks for any, be it for a moment only.
_FIRST: Final = 20_000
_PROCESSES: Final = 12
_OF_EACH: Final = 1_000

#: Of this one of the processes that tests run in, side by side; none is handed out twice soon.
_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_own = range(_FIRST + _number * _OF_EACH, _FIRST + (_number + 1) * _OF_EACH)
_ports = cycle(random.SystemRandom().sample(_own, _OF_EACH))


def unused_port() -> int:
    """Return a port that is free, and stays so while nobody listens there."""
    while True:
        port = next(_ports)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port


def steady_address() -> str:
    """Return an address that is free, and stays so while nobody listens there for a moment."""
    return f"127.0.0.1:{unused_port()}"


@contextlib.contextmanager
def reserved() -> Generator[str]:
    """Have such an address for as long as the block lasts."""
    yield steady_address()


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """What `unused_tcp_port` takes its ports from."""
    return unused_port

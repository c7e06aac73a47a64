"""Fixtures that tests of every kind share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from longshore.stores import scanning
from tests.tools.certificates import authority, stranger
from tests.tools.ports import unused_tcp_port_factory

__all__ = ["authority", "stranger", "unused_tcp_port_factory"]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Undo what a command that runs in our own process does to logs.

    What it configures would else be kept by every logger that is used thereafter.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture(autouse=True)
def scans_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no list or count be cut short because the machine is busy.

    What becomes of those that are cut short is a matter of `test_scans`.
    """
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 30.0)

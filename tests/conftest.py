"""Fixtures that tests of every kind share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.tools.certificates import authority, stranger

__all__ = ["authority", "stranger"]


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

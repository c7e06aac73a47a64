"""Fixtures that tests of every kind share."""

from __future__ import annotations

from tests.tools.certificates import authority, stranger

__all__ = ["authority", "stranger"]

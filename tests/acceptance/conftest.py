from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "longshore.db"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that does not exist yet; work that holds ends when it does."""
    return tmp_path / "gate"

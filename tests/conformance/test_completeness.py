"""The suite itself: no method of the contract without a test here."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.core.store import Store

METHODS = sorted(name for name in vars(Store) if not name.startswith("_"))


@pytest.mark.parametrize("method", METHODS)
def test_every_store_method_is_exercised(method: str) -> None:
    here = Path(__file__).parent
    sources = [*here.glob("test_*.py"), here / "world.py"]
    assert any(f"store.{method}(" in source.read_text() for source in sources)

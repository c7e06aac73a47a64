"""What is logged of errors: where, and never with what."""

from __future__ import annotations

import logging

import pytest

from longshore.cli.logs import formatter


def broken() -> float:
    """Fail with a secret at hand."""
    secret = f"{'hu'}sh"
    return len(secret) / 0


def logged(*, terminal: bool) -> str:
    """Return how that is logged."""
    with pytest.raises(ZeroDivisionError) as caught:
        broken()
    raised = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("here", logging.ERROR, __file__, 1, "it broke", None, raised)
    return formatter(terminal=terminal).format(record)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_is_logged_with_its_place_and_without_variables(terminal: bool) -> None:
    line = logged(terminal=terminal)
    assert "it broke" in line
    assert "test_cli_logs.py" in line
    assert "hush" not in line

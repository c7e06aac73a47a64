"""What is logged of errors: where, and never with what."""

from __future__ import annotations

import logging

import pytest

from longshore.cli.logs import formatter


def logged(*, terminal: bool) -> str:
    """Return how an error is logged that was met with a secret at hand."""
    secret = f"{'hu'}sh"
    try:
        len(secret) / 0  # noqa: B018
    except ZeroDivisionError as error:
        raised = (type(error), error, error.__traceback__)
    record = logging.LogRecord("here", logging.ERROR, __file__, 1, "it broke", None, raised)
    return formatter(terminal=terminal).format(record)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_is_logged_with_its_place_and_without_variables(terminal: bool) -> None:
    line = logged(terminal=terminal)
    assert "it broke" in line
    assert "test_cli_logs.py" in line
    assert "hush" not in line

"""The audit log in a file of its own."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Final

import click

from longshore.cli.logs import formatter
from longshore.cli.settings import setting
from longshore.server.audit import LOGGER

audit_log_option: Final = setting(
    "--audit-log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file for what was denied to whom, and for what operators and admins did, as JSON "
    "lines. Default: among the logs.",
)


def audit_to(file: Path) -> None:
    """Write the audit log to a file, all of it, and no longer among the logs.

    The file is opened again when it was moved away. Raises `OSError` if it cannot be.
    """
    handler = _PrivateFile(file, encoding="utf-8")
    handler.setFormatter(formatter(terminal=False))
    logger = logging.getLogger(LOGGER)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _PrivateFile(WatchedFileHandler):
    """A file that is appended to, and that nobody else can read if it is new."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)

"""One of the processes of a server, which another one has started and watches over."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import click

from longshore.cli.auditing import audit_to
from longshore.cli.composition import faults_of_servers, run_server
from longshore.cli.logs import configure
from longshore.cli.running import run_async
from longshore.cli.serving import Serving
from longshore.cli.stopping import stopped_by_parent


@dataclass(frozen=True, slots=True)
class Logs:
    """What is logged, and where."""

    level: str
    audit: Path | None

    def open(self) -> None:
        """Begin to log. Raises `OSError` if the audit log cannot be written."""
        configure(self.level)
        if self.audit is not None:
            audit_to(self.audit)


class Refusal(NamedTuple):
    """Why a process cannot serve, in its last words."""

    message: str
    mistake: bool  #: Whether the command line is wrong.


def serve_supervised(serving: Serving, logs: Logs, parent: Connection) -> None:
    """Serve, and tell the parent what is announced, or why there is nothing to announce."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent.
    logs.open()
    try:
        with faults_of_servers():
            run_async(run_server(serving, parent.send, stopped_by_parent))
    except click.ClickException as error:
        parent.send(Refusal(error.format_message(), isinstance(error, click.UsageError)))
        sys.exit(error.exit_code)

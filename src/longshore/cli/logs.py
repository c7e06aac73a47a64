"""Logs of what runs for long: on stderr, `key=value` for people, JSON lines for programs."""

from __future__ import annotations

import logging
import sys
from multiprocessing import current_process, parent_process
from typing import Final

import click
import structlog
from structlog.typing import EventDict, Processor

from longshore.cli.settings import setting

_LEVELS: Final = ("debug", "info", "warning", "error")


def _add_process(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Say which one of many processes logs this."""
    if parent_process() is not None:
        event["process"] = current_process().name
    return event


#: What both our events and those of libraries are given.
_COMMON: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_process,
)

log_level_option = setting(
    "--log-level", type=click.Choice(_LEVELS), default="info", help="The least that is logged."
)


def configure(level: str) -> None:
    """Send all logs to stderr, those of libraries too."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_COMMON,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(terminal=sys.stderr.isatty()))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def formatter(*, terminal: bool) -> logging.Formatter:
    """Return what writes events: for people on a terminal, or as JSON lines for programs."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_rendered(terminal),
        ],
    )


def _rendered(terminal: bool) -> list[Processor]:
    if terminal:
        # Variables may hold passwords.
        tracebacks = structlog.dev.RichTracebackFormatter(show_locals=False)
        return [structlog.dev.ConsoleRenderer(exception_formatter=tracebacks)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]

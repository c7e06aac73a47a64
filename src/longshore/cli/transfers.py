"""Bytes on their way: bars on stderr for people, nothing for programs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Callable, Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from longshore.cli.faults import local_faults
from longshore.cli.output import on_one_line

_NAME: Final = 40  #: Characters of a line.


@contextmanager
def bar(
    name: str, total: int | None = None, *, quiet: bool = False
) -> Generator[Callable[[int], None]]:
    """Show how many bytes of how many are through, while they are: call what this gives with it.

    Nothing is shown where `quiet`, nor if stderr is no terminal.
    """
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),  # What is left of the line.
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        expand=True,
        # What goes to stdout is not for stderr.
        redirect_stdout=False,
        disable=quiet or not sys.stderr.isatty(),
    )
    with progress:
        task = progress.add_task(_end_of(on_one_line(name)), total=total)
        yield lambda done: progress.update(task, completed=done)


def _end_of(name: str) -> str:
    """Return what tells a long path from others, so that there is room for the bar."""
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"


async def print_bytes(
    chunks: AsyncIterable[bytes], name: str, total: int | None = None
) -> None:
    """Write bytes to standard output: all of them when this returns. Raises `LocalFault`.

    The bar is left out where they are shown to somebody.
    """
    count = 0
    shown = bar(name, total, quiet=sys.stdout.isatty())
    with local_faults("written", "standard output"), shown as told:
        async for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            count += len(chunk)
            told(count)
        sys.stdout.buffer.flush()

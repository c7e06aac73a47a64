"""Where what is downloaded is put: nowhere that is taken."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

STDOUT: Final = "-"

#: Where a command writes to.
output_option: Final = click.option(
    "--output", "-o", metavar="PLACE", help="A file or a folder; - is standard output."
)

force_option: Final = click.option(
    "--force", is_flag=True, help="Replace files that are there."
)


def place_of_one(output: str | None, name: str) -> Path:
    """Return where a single file is put: at the place that was named, or in it under its name."""
    if output is None:
        return Path(name)
    if Path(output).is_dir() or output.endswith(os.sep):
        return Path(output, name)
    return Path(output)


def refuse_taken(places: Iterable[Path], *, force: bool) -> None:
    """Raise `click.UsageError` if two files would be one, or would replace one that is there."""
    seen: set[Path] = set()
    for place in places:
        if place in seen:
            raise click.UsageError(f"two files would become {place}: download them one by one")
        if place.exists() and not place.is_file():  # but a folder, or a device
            raise click.UsageError(f"{place} cannot be replaced: -o names another place")
        if place.exists() and not force:
            raise click.UsageError(
                f"{place} exists already: --force replaces it, -o names another place"
            )
        seen.add(place)

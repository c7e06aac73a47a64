"""`longshore deployment`: the files that containers are built and run with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from longshore.cli.commands import examples
from longshore.cli.faults import local_faults
from longshore.cli.output import say

_KEPT: Final = "longshore.deployment"
_NOT_SHIPPED: Final = ("__init__.py", "__pycache__")


@click.command(epilog=examples("deployment deploy"))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def deployment(folder: Path) -> None:
    """Write a container file, a compose file and Kubernetes manifests to FOLDER.

    Each says at its top what it needs and how it is used. Nothing that is there is replaced.
    """
    shipped = dict(_shipped(files(_KEPT), folder))
    for place in shipped:
        if place.exists():
            raise click.UsageError(f"{place} exists already: name another folder")
    for place, content in shipped.items():
        with local_faults("written", place):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        say(str(place))


def _shipped(folder: Traversable, target: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield where each file goes, and what is in it."""
    for one in sorted(folder.iterdir(), key=lambda found: found.name):
        if one.name in _NOT_SHIPPED:
            continue
        if one.is_dir():
            yield from _shipped(one, target / one.name)
        else:
            yield target / one.name, one.read_bytes()

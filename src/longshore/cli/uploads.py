"""`longshore upload`: send files to the server, by themselves or for work that takes them."""

from __future__ import annotations

import sys
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import Any, Final

import click

from longshore.cli.commands import examples
from longshore.cli.faults import local_faults
from longshore.cli.output import say, say_json
from longshore.cli.parameters import Lifetime
from longshore.cli.requests import Order, R
from longshore.cli.running import Asking, asks
from longshore.cli.transfers import bar
from longshore.v1.operation_pb2 import File

_STDIN: Final = "-"

_EXAMPLES = examples(
    "upload photo.png",
    "upload photo.png drawing.svg --expire-after 2d",
    "upload - --name notes.txt --type text/plain < notes.txt",
)


@click.command(epilog=_EXAMPLES)
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="PATH...",
)
@click.option("--name", default="", help="Its name there; for one file. Default: as here.")
@click.option(
    "--type", "content_type", default="", help="Its media type. Default: by its name."
)
@click.option(
    "--expire-after",
    type=Lifetime(),
    help="Kept so long, or `never` removed; at least as long as work that takes it. "
    "Default: 30 minutes.",
)
@asks
async def upload(
    asking: Asking,
    paths: tuple[str, ...],
    name: str,
    content_type: str,
    expire_after: timedelta | None,
) -> None:
    """Upload files, - for what is piped in, and print the id of each once it is stored whole.

    Work takes a file by its id. `submit` and `run` upload on their way: KEY@=PATH.
    """
    if name and len(paths) > 1:
        raise click.UsageError("--name is for one file")
    for number, path in enumerate(paths, 1):
        place = f" ({number}/{len(paths)})" if len(paths) > 1 else ""
        file = await _sent(
            asking,
            path,
            place,
            path=name,
            content_type=content_type,
            expire_after=expire_after,
        )
        if asking.as_json:
            say_json(file)
        else:
            say(file.file_id)


async def completed(asking: Asking, order: Order[R]) -> R:
    """Upload the files of an order and return the request with their ids."""
    ids = {name: (await _sent(asking, path)).file_id for name, path in order.files.items()}
    return order.completed(ids)


async def _sent(asking: Asking, named: str | Path, place: str = "", **fields: Any) -> File:
    """Upload a file, or what is piped in. Raises `LocalFault` if it cannot be read."""
    source: FileIO | Path = Path(named)
    if named == _STDIN:
        # Without a buffer, whose lock a thread that waits for input would keep from the exit.
        source, named = FileIO(sys.stdin.fileno(), closefd=False), "standard input"
    with local_faults("read", named):
        total = source.stat().st_size if isinstance(source, Path) else None
        with bar(f"{named}{place}", total) as told:
            return await asking.client.files.upload(source, told=told, **fields)

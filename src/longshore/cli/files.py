"""`longshore files` and `delete-file`: what is kept of the files that work takes and makes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import click
from rich.filesize import decimal

from longshore.cli.commands import examples
from longshore.cli.output import say
from longshore.cli.running import Asking, asks, each
from longshore.cli.tables import Column, Fit, say_list
from longshore.cli.wording import moment
from longshore.client import NotFound
from longshore.client.handles import Handle
from longshore.v1.operation_pb2 import File

_COLUMNS: Final = (
    Column("PATH", Fit.CUT),
    Column("SIZE"),
    Column("TYPE", Fit.CUT),
    Column("ID"),
    Column("EXPIRES", Fit.SPARE),
    Column("SHA256", Fit.SPARE),
)

_IDS: Final = click.argument("ids", nargs=-1, required=True, metavar="ID...")


@click.command(epilog=examples("files 17", "files 17 18 --json"))
@_IDS
@asks
async def files(asking: Asking, ids: tuple[str, ...]) -> None:
    """List the files that operations have made, by id or number; or files by their own ids."""
    found = [file for one in ids for file in files_of(await named(asking, one))]
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


@click.command(
    "delete-file", epilog=examples("delete-file 019aa1f0-93d3-7cc0-8000-1c2a4b6d8e0f")
)
@_IDS
@asks
async def delete_file(asking: Asking, ids: tuple[str, ...]) -> int:
    """Delete uploaded files by their ids. Files that an operation has made stay as long as it."""

    async def delete(one: str) -> None:
        await asking.client.files.delete(one)
        if not asking.as_json:
            say(f"file {one} is deleted")

    return await each(asking, ids, delete)


async def named(asking: Asking, one: str) -> File | Handle[Any, Any]:
    """Return what has an id: a file, or an operation, which may be named by its number, too.

    Raises `NotFound` if it is neither.
    """
    if one.isdecimal():
        return await asking.client.operations.get(one)
    try:
        return await asking.client.files.get(one)
    except NotFound:
        with suppress(NotFound):
            return await asking.client.operations.get(one)
        raise


def files_of(one: File | Handle[Any, Any]) -> Sequence[File]:
    """Return the file itself, or the files that an operation has made so far."""
    return [one] if isinstance(one, File) else list(one.message.status.files)


def _row(file: File) -> tuple[str, ...]:
    return (
        file.path,
        decimal(file.size),
        file.content_type,
        file.file_id,
        moment(file.expire_time),
        file.sha256,
    )

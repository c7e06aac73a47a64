"""`longshore db copy`: one store becomes another, such as a file a database of many servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from longshore.cli.commands import examples
from longshore.cli.output import say
from longshore.cli.running import run_async
from longshore.cli.settings import config_option
from longshore.cli.stores import StorePlace, StoreType
from longshore.cli.tables import Column, Fit, say_table
from longshore.core.errors import StoreUnavailable
from longshore.stores.copying import Copier, Tally, Told
from longshore.stores.tables import Table

_COLUMNS = (Column("TABLE"), Column("ROWS"), Column("DIGEST", Fit.CUT))


@click.command(
    epilog=examples(
        "db copy sqlite:longshore.db postgresql://db/longshore",
        "db copy postgresql://db/longshore sqlite:longshore.db --json",
    )
)
@click.argument("source", type=StoreType())
@click.argument("target", type=StoreType())
@click.option("--json", "as_json", is_flag=True, help="One JSON object per table.")
@config_option
def copy(source: StorePlace, target: StorePlace, as_json: bool) -> None:
    """Copy all that a store has into an empty one, and see that it is the same.

    No server may have either of them meanwhile. A copy that was interrupted goes on when it is
    asked for again; until it has ended no server opens the target. What is in files is not in
    the store: servers of the target are to be given the same --files, or a copy of that place.

    The list of processes shows a password in a URL: rather use PGPASSWORD or a passfile.
    """
    try:
        copied = run_async(_copied(source, target))
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        for name, tally in copied.items():
            say(json.dumps({"table": name, "rows": tally.rows, "digest": tally.digest}))
        return
    rows = [(name, str(tally.rows), tally.digest) for name, tally in copied.items()]
    say_table(_COLUMNS, rows)
    if copied["files"].rows and source.path is not None:
        say(f"what is in files stays where it is, by default in {source.path}.files")


async def _copied(source: StorePlace, target: StorePlace) -> Mapping[str, Tally]:
    async with source.source() as origin, target.target() as place:
        copier = Copier(origin, str(source), place)
        with _shown(await copier.rows()) as shown:
            await copier.copy(shown("copying"))
            return await copier.verify(shown("verifying"))


@contextmanager
def _shown(total: int) -> Generator[Callable[[str], Told]]:
    """Show on stderr what is done to how many of so many rows.

    To people as bars; else a line for each table.
    """
    if not sys.stderr.isatty():
        yield _told_in_lines
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # What goes to stdout is not for stderr.
        redirect_stdout=False,
    ) as progress:

        def shown(doing: str) -> Told:
            task = progress.add_task(doing, total=total)

            def told(table: Table, rows: int) -> None:
                progress.update(task, advance=rows, description=f"{doing} {table.name}")

            return told

        yield shown


def _told_in_lines(doing: str) -> Told:
    latest: Table | None = None

    def told(table: Table, _: int) -> None:
        nonlocal latest
        if table is not latest:
            latest = table
            click.echo(f"{doing} {table.name}", err=True)

    return told

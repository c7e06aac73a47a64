"""`longshore watch`: follow work as it goes."""

from __future__ import annotations

import click

from longshore.cli.follow import follow
from longshore.cli.running import Asking, asks


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--filter", "filter_", default="", help="Which: an AIP-160 filter.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    help="Begin after this revision; 0 is the beginning. Default: how things stand comes first.",
)
@click.option("--logs", is_flag=True, help="Show log lines too.")
@asks
async def watch(
    asking: Asking, ids: tuple[str, ...], filter_: str, after: int | None, logs: bool
) -> int:
    """Watch the tasks with these ids or numbers until they end, or all there are.

    A lost connection is taken up again where it broke off. If tasks are named and one of them
    does not succeed, the exit code is 1.
    """
    async with asking.client.tasks.watch(
        *ids, filter=filter_, after_revision=after, include_logs=logs
    ) as changes:
        code = await follow(asking, changes)
    return code if ids else 0

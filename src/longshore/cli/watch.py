"""`longshore watch`: follow work as it goes."""

from __future__ import annotations

from typing import Any

import click

from longshore.cli.commands import examples
from longshore.cli.describing import KINDS
from longshore.cli.follow import follow
from longshore.cli.running import Asking, asks
from longshore.client import Watch

_EXAMPLES = examples(
    "watch 17 18 --logs",
    "watch --kind jobs --filter 'contract = orders'",
    "watch --after 0 --json",
)


@click.command(epilog=_EXAMPLES)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="Only these, whose own names --filter then knows too.",
)
@click.option("--filter", "filter_", default="", help="Which: an AIP-160 filter.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    help="Begin after this revision; 0 is the beginning. Default: how things stand comes first.",
)
@click.option("--logs", is_flag=True, help="Show log lines too.")
@asks
async def watch(
    asking: Asking,
    ids: tuple[str, ...],
    kind: str | None,
    filter_: str,
    after: int | None,
    logs: bool,
) -> int:
    """Watch the operations with these ids or numbers until they end, or all there are.

    A lost connection is taken up again where it broke off. If operations are named and one of
    them does not succeed, the exit code is 1.
    """
    room: Any = getattr(asking.client, kind or "operations")
    watched: Watch[Any] = room.watch(
        *ids, filter=filter_, after_revision=after, include_logs=logs
    )
    async with watched as changes:
        code = await follow(asking, changes)
    return code if ids else 0

"""`longshore list`: the operations of a kind, as a table."""

from __future__ import annotations

from typing import Any, Final

import click

from longshore.cli.commands import examples
from longshore.cli.describing import KINDS, subject
from longshore.cli.output import say_json
from longshore.cli.running import Asking, asks
from longshore.cli.tables import Column, Fit, say_table
from longshore.cli.wording import STATE_STYLES, age, progress
from longshore.client.handles import Handle
from longshore.client.rooms import Room

_PAGE: Final = 1_000

#: What the operations of each kind are called by: the head of their column.
_HEADS: Final = {"tasks": "ACTION", "jobs": "CONTRACT/ACTION", "launches": "SERVICE"}

_EXAMPLES = examples(
    """list --filter 'state = FAILED AND labels.team = "north"'""",
    "list jobs --filter 'contract = orders' --order-by 'priority desc, number'",
    "list launches --all --json",
)


@click.command("list", epilog=_EXAMPLES)
@click.argument("kind", type=click.Choice(KINDS), default="tasks")
@click.option("--filter", "filter_", default="", help="Which: an AIP-160 filter.")
@click.option("--order-by", default="", help="`priority desc, number`, for example.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many at most.",
)
@click.option("--all", "all_", is_flag=True, help="All of them, however many.")
@asks
async def list_(
    asking: Asking, kind: str, filter_: str, order_by: str, limit: int, all_: bool
) -> None:
    """List tasks, jobs or launches, the newest first. Default: tasks."""
    found: list[Handle[Any, Any]] = []
    size = _PAGE if all_ else min(limit, _PAGE)
    room: Room[Any, Any, Any] = getattr(asking.client, kind)
    async for one in room.list(filter_, order_by=order_by, page_size=size):
        if asking.as_json:
            say_json(one.message)
        found.append(one)
        if len(found) == limit and not all_:
            break
    if not asking.as_json:
        say_table(_columns(kind), map(_row, found))


def _columns(kind: str) -> tuple[Column, ...]:
    return (
        Column("NUMBER"),
        Column("STATE", styles=STATE_STYLES),
        Column(_HEADS[kind], Fit.CUT),
        Column("QUEUE", Fit.CUT),
        Column("AGE"),
        Column("PROGRESS", Fit.CUT),
        Column("ID", Fit.SPARE),
    )


def _row(handle: Handle[Any, Any]) -> tuple[str, ...]:
    operation = handle.message
    return (
        str(handle.number),
        handle.state,
        subject(operation.spec),
        operation.options.queue,
        age(operation.metadata.create_time),
        progress(handle.progress) if handle.state == "RUNNING" else "",
        handle.id,
    )

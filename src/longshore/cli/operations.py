"""`longshore explain` and `history`: why something waits, and what has happened to it."""

from __future__ import annotations

import click

from longshore.cli.output import printable, say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.wording import happened, moment
from longshore.client.handles import state_name


@click.command()
@click.argument("operation_id", metavar="ID")
@asks
async def explain(asking: Asking, operation_id: str) -> None:
    """Explain why the operation with this id or number is not running.

    All reasons, the weightiest first.
    """
    answer = await asking.client.explain(operation_id)
    if asking.as_json:
        say_json(answer)
        return
    say(state_name(answer.state))
    for number, reason in enumerate(answer.reasons, 1):
        say(f"{number}. {printable(reason.message)}")


@click.command()
@click.argument("operation_id", metavar="ID")
@click.option(
    "--detail",
    "details",
    multiple=True,
    metavar="NAME",
    help="Only events of this sort: state_changed, progress, log, …; may be repeated.",
)
@asks
async def history(asking: Asking, operation_id: str, details: tuple[str, ...]) -> None:
    """Show what has happened to the operation with this id or number, the oldest first."""
    async for event in asking.client.history(operation_id, *details):
        if asking.as_json:
            say_json(event)
        else:
            cells = (f"{event.revision:>8}", moment(event.time), f"{state_name(event.state):9}")
            say("  ".join([*cells, printable(happened(event))]).rstrip())

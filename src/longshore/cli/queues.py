"""`longshore queue`: where operations wait."""

from __future__ import annotations

from typing import Final

import click

from longshore.cli.commands import Listing, examples
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.suggestions import queues as known
from longshore.cli.tables import Column, Fit, say_list
from longshore.cli.wording import age, moment
from longshore.v1.queue_service_pb2 import Queue

_COLUMNS: Final = (
    Column("NAME"),
    Column("WAITING"),
    Column("RUNNING"),
    Column("LIMIT"),
    Column("OLDEST"),
    Column("PAUSED", Fit.CUT),
)

_NAMES: Final = click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=known
)


@click.group(
    cls=Listing,
    epilog=examples(
        "queue list", "queue pause night", "queue resume night", "queue limit night 4"
    ),
)
def queue() -> None:
    """Show, pause, resume and limit queues: where operations wait."""


@queue.command("list", epilog=examples("queue list", "queue list --json"))
@asks
async def list_(asking: Asking) -> None:
    """List queues by name: how much waits and runs, and what holds it."""
    found = [one async for one in asking.client.queues.list()]
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


@queue.command(epilog=examples("queue pause night", "queue pause night default"))
@_NAMES
@asks
async def pause(asking: Asking, names: tuple[str, ...]) -> None:
    """Start nothing more of queues. What runs goes on."""
    for name in names:
        one = await asking.client.queues.pause(name)
        _tell(asking, one, f"is paused: {one.waiting} wait, {one.running} run on")


@queue.command(epilog=examples("queue resume night"))
@_NAMES
@asks
async def resume(asking: Asking, names: tuple[str, ...]) -> None:
    """Start what waits in queues again."""
    for name in names:
        one = await asking.client.queues.resume(name)
        _tell(asking, one, f"goes on: {one.waiting} wait, {one.running} run")


@queue.command(epilog=examples("queue limit night 4", "queue limit night 0"))
@click.argument("name", shell_complete=known)
@click.argument("limit", type=click.IntRange(min=0))
@asks
async def limit(asking: Asking, name: str, limit: int) -> None:
    """Run at most LIMIT operations of a queue at once, in the whole installation; 0: any number.

    Makes the queue if there is none of the name. What runs goes on.
    """
    one = await asking.client.queues.limit(name, limit)
    allowed = f"at most {limit} at once" if limit else "any number at once"
    _tell(asking, one, f"runs {allowed}: {one.waiting} wait, {one.running} run")


def _tell(asking: Asking, one: Queue, what: str) -> None:
    if asking.as_json:
        say_json(one)
    else:
        say(f"queue {one.name} {what}")


def _row(one: Queue) -> tuple[str, ...]:
    return (
        one.name,
        str(one.waiting),
        str(one.running),
        str(one.concurrency_limit or ""),
        age(one.oldest_time),
        f"since {moment(one.pause_time)} by {one.paused_by}" if one.paused else "",
    )

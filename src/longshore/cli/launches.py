"""`longshore launches`: the queue of launches, and how it is ordered."""

from __future__ import annotations

from typing import Final

import click

from longshore.cli.commands import Listing, examples
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.tables import Column, Fit, say_table
from longshore.cli.wording import STATE_STYLES, age
from longshore.client import LaunchHandle
from longshore.v1.launch_service_pb2 import Direction
from longshore.v1.operation_pb2 import ServiceKind

_COLUMNS: Final = (
    Column("PLACE"),
    Column("NUMBER"),
    Column("SERVICE", Fit.CUT),
    Column("STATE", styles=STATE_STYLES),
    Column("PRIORITY"),
    Column("WHO", Fit.CUT),
    Column("SINCE"),
    Column("ID", Fit.SPARE),
)

_KINDS: Final = {
    "ruleset": ServiceKind.SERVICE_KIND_RULESET,
    "operation": ServiceKind.SERVICE_KIND_OPERATION,
}

_DIRECTIONS: Final = {
    "top": Direction.DIRECTION_TOP,
    "up": Direction.DIRECTION_UP,
    "down": Direction.DIRECTION_DOWN,
    "bottom": Direction.DIRECTION_BOTTOM,
}


@click.group(
    cls=Listing, epilog=examples("launches", "launches --kind ruleset", "launches move top 17")
)
def launches() -> None:
    """Show the queue of launches, and order it."""


@launches.command("queue", epilog=examples("launches queue", "launches queue --kind ruleset"))
@click.option("--kind", type=click.Choice(tuple(_KINDS)), help="Only of such services.")
@asks
async def queue(asking: Asking, kind: str | None) -> None:
    """Show the launches that run, then all that wait, in the order in which they start."""
    wanted = _KINDS[kind] if kind else None
    found = [one async for one in asking.client.launches.queue(wanted)]
    if asking.as_json:
        for one in found:
            say_json(one.message)
    else:
        say_table(_COLUMNS, _rows(found))


@launches.command(epilog=examples("launches move top 17 18", "launches move down 17"))
@click.argument("direction", type=click.Choice(tuple(_DIRECTIONS)))
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@asks
async def move(asking: Asking, direction: str, ids: tuple[str, ...]) -> None:
    """Move launches that wait to another place of the queue.

    They keep their order and take the priority of their new place; those that do not wait are
    skipped.
    """
    moved = await asking.client.launches.move(_DIRECTIONS[direction], *ids)
    if asking.as_json:
        for one in moved:
            say_json(one.message)
        return
    numbers = ", ".join(str(one.number) for one in moved)
    skipped = len(set(ids)) - len(moved)
    told = f"; {skipped} skipped, which do not wait" if skipped else ""
    say(f"moved {_WORDS[direction]}: {numbers}{told}")


_WORDS: Final = {
    "top": "to the top",
    "up": "up",
    "down": "down",
    "bottom": "to the bottom",
}


def _rows(found: list[LaunchHandle]) -> list[tuple[str, ...]]:
    """Return a row for each launch; what waits has a place, from 1."""
    running = sum(one.state == "RUNNING" for one in found)
    return [_row(one, place) for place, one in enumerate(found, 1 - running)]


def _row(one: LaunchHandle, place: int) -> tuple[str, ...]:
    launch = one.message
    runs = one.state == "RUNNING"
    return (
        "" if runs else str(place),
        str(one.number),
        launch.spec.service,
        one.state,
        str(launch.options.priority),
        launch.metadata.submitter,
        age(launch.status.start_time if runs else launch.metadata.create_time),
        one.id,
    )

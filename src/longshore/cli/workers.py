"""`longshore workers`: who does the work."""

from __future__ import annotations

from typing import Final

import click

from longshore.cli.commands import examples
from longshore.cli.running import Asking, asks
from longshore.cli.tables import Column, Fit, say_list
from longshore.cli.wording import age
from longshore.v1.worker_service_pb2 import WorkerInfo

_COLUMNS: Final = (
    Column("NAME"),
    Column("STATE", styles={"away": "yellow", "draining": "cyan"}),
    Column("BUSY"),
    Column("SEEN"),
    Column("QUEUES", Fit.CUT),
    Column("ACTIONS", Fit.CUT),
    Column("ID", Fit.SPARE),
)


@click.command(epilog=examples("workers", "workers --json"))
@asks
async def workers(asking: Asking) -> None:
    """List the workers that have a session: what they serve, and how busy they are."""
    found = [one async for one in asking.client.server.workers()]
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


def _row(one: WorkerInfo) -> tuple[str, ...]:
    state = "connected" if one.connected else "away"
    return (
        one.name,
        "draining" if one.draining else state,
        f"{one.running}/{one.slots}",
        age(one.last_seen_time),
        ", ".join(one.queues),
        ", ".join(one.actions),
        one.id,
    )

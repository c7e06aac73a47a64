"""`longshore workers`: who does the work."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

from longshore.cli.commands import examples
from longshore.cli.output import say_json
from longshore.cli.running import Asking, asks
from longshore.cli.tables import Column, Fit, say_table
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
    if asking.as_json:
        for one in found:
            say_json(one)
    else:
        now = datetime.now(UTC)
        say_table(_COLUMNS, (_row(one, now) for one in found))


def _row(one: WorkerInfo, now: datetime) -> tuple[str, ...]:
    state = "connected" if one.connected else "away"
    return (
        one.name,
        "draining" if one.draining else state,
        f"{one.running}/{one.slots}",
        age(one.last_seen_time, now),
        ", ".join(one.queues),
        ", ".join(one.actions),
        one.id,
    )

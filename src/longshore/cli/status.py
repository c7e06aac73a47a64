"""`longshore status`: how the server is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from longshore.cli.commands import examples
from longshore.cli.output import say_json, say_sheet
from longshore.cli.running import Asking, asks
from longshore.cli.wording import moment
from longshore.client.handles import state_name
from longshore.v1.operation_pb2 import Kind
from longshore.v1.server_service_pb2 import GetStatusResponse, ServerMode, ServerStatus

_KINDS: Final = {Kind.KIND_TASK: "tasks", Kind.KIND_JOB: "jobs", Kind.KIND_LAUNCH: "launches"}


@click.command(epilog=examples("status", "status --json"))
@asks
async def status(asking: Asking) -> None:
    """Show how the server is, and how many operations it has in which state."""
    answer = await asking.client.server.status()
    if asking.as_json:
        say_json(answer)
    else:
        say_sheet([("server", asking.server), *_sheet(answer)])


def _sheet(answer: GetStatusResponse) -> Iterator[tuple[str, str]]:
    yield "version", answer.version
    yield "status", ServerStatus.Name(answer.status).removeprefix("SERVER_STATUS_")
    yield "mode", ServerMode.Name(answer.mode).removeprefix("SERVER_MODE_")
    yield "started", moment(answer.start_time)
    yield "id", answer.id
    for one in answer.counts:
        yield f"{_KINDS[one.kind]} {state_name(one.state)}", str(one.count)
    for warning in answer.warnings:
        yield "warning", warning

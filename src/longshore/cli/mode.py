"""`longshore mode`: what the server does with work."""

from __future__ import annotations

from typing import Final

import click

from longshore.cli.commands import examples
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.v1.server_service_pb2 import GetStatusResponse, ServerMode, SetModeResponse

_MODES: Final = {
    "active": ServerMode.SERVER_MODE_ACTIVE,
    "suspended": ServerMode.SERVER_MODE_SUSPENDED,
    "maintenance": ServerMode.SERVER_MODE_MAINTENANCE,
}

_MEANINGS: Final = {
    ServerMode.SERVER_MODE_ACTIVE: "takes work and starts it",
    ServerMode.SERVER_MODE_SUSPENDED: "takes work and starts nothing; what runs goes on",
    ServerMode.SERVER_MODE_MAINTENANCE: "takes no work and starts nothing; what runs goes on",
}


@click.command(
    epilog=examples("mode", "mode suspended", "mode maintenance --no-resume-on-restart")
)
@click.argument("mode", required=False, type=click.Choice(tuple(_MODES)))
@click.option(
    "--resume-on-restart/--no-resume-on-restart",
    default=True,
    show_default=True,
    help="Whether the next start makes it active.",
)
@asks
async def mode(asking: Asking, mode: str | None, resume_on_restart: bool) -> None:
    """Show what the server does with work, or say what it shall do, in the whole installation."""
    server = asking.client.server
    if mode is None:
        _show(asking, await server.status())
    else:
        set_ = await server.set_mode(_MODES[mode], resume_on_restart=resume_on_restart)
        _show(asking, set_)


def _show(asking: Asking, answer: GetStatusResponse | SetModeResponse) -> None:
    if asking.as_json:
        say_json(answer)
        return
    name = ServerMode.Name(answer.mode).removeprefix("SERVER_MODE_")
    told = f"{name}: {_MEANINGS[answer.mode]}"
    if answer.mode != ServerMode.SERVER_MODE_ACTIVE:
        after = "ends" if answer.resume_on_restart else "does not end"
        told += f"; the next start {after} this"
    say(told)

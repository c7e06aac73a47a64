"""The `longshore` command itself. A command's module is imported when it is wanted."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

import click

from longshore.cli.settings import PREFIX, config_option

# gRPC writes lines of its own to stderr, one for every handshake that fails anywhere. What
# matters of it is told by errors and the log. It reads this once, when a command imports it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

#: Where each command is.
_COMMANDS: Final = {
    "accounts": "longshore.cli.accounts:accounts",
    "ack": "longshore.cli.results:ack",
    "cancel": "longshore.cli.operations:cancel",
    "certs": "longshore.cli.certs:certs",
    "completion": "longshore.cli.completion:completion",
    "contracts": "longshore.cli.contracts:contracts",
    "db": "longshore.cli.db:db",
    "delete-file": "longshore.cli.files:delete_file",
    "deployment": "longshore.cli.deployment:deployment",
    "download": "longshore.cli.downloads:download",
    "explain": "longshore.cli.operations:explain",
    "fetch": "longshore.cli.fetching:fetch",
    "files": "longshore.cli.files:files",
    "gateway": "longshore.cli.gateway:gateway",
    "get": "longshore.cli.operations:get",
    "health": "longshore.cli.health:health",
    "history": "longshore.cli.operations:history",
    "launches": "longshore.cli.launches:launches",
    "list": "longshore.cli.listing:list_",
    "mode": "longshore.cli.mode:mode",
    "move": "longshore.cli.operations:move",
    "principals": "longshore.cli.principals:principals",
    "queue": "longshore.cli.queues:queue",
    "resubmit": "longshore.cli.operations:resubmit",
    "results": "longshore.cli.results:results",
    "resume": "longshore.cli.operations:resume",
    "run": "longshore.cli.submit:run",
    "schedules": "longshore.cli.schedules:schedules",
    "serve": "longshore.cli.serve:serve",
    "services": "longshore.cli.services:services",
    "status": "longshore.cli.status:status",
    "submit": "longshore.cli.submit:submit",
    "suspend": "longshore.cli.operations:suspend",
    "upload": "longshore.cli.uploads:upload",
    "watch": "longshore.cli.watch:watch",
    "worker": "longshore.cli.worker:worker",
    "workers": "longshore.cli.workers:workers",
}


class _Commands(click.Group):
    """A group whose commands are found by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(
    cls=_Commands,
    context_settings={
        "auto_envvar_prefix": PREFIX,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    epilog="""
\b
Exit codes:
  0    success
  1    the work failed or was canceled; the server could not run
  2    the command line is wrong
  3    the call failed: it was refused, no server answered, or there was no room for the answer
  130  interrupted by Ctrl-C; the work goes on
""",
)
@config_option
@click.version_option(package_name="longshore", message="longshore %(version)s")
def main() -> None:
    """Run long work for other services, and watch it.

    Every option is also an environment variable, LONGSHORE_<COMMAND>_<OPTION>, such as
    LONGSHORE_SUBMIT_TASK_QUEUE; those marked so have a shorter name as well.

    With --json a command prints one JSON object per line: the messages of the contract, under
    the names of its .proto files. As in all JSON of protobuf, 64-bit numbers are strings.
    """

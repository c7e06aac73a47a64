"""`longshore submit` and `longshore run`: ask for work, or ask for it and follow it."""

from __future__ import annotations

from typing import Final

import click

from longshore.cli.follow import follow_one
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.task_options import task_options
from longshore.v1.task_service_pb2 import SubmitTaskRequest

_EXAMPLES: Final = """
\b
Examples:
  longshore submit task archive/digest path=/srv/archive
  longshore submit task resize width:=640 --label team=north --start-in 5m
  longshore submit task --plan @plan.json --context '{"folder": "/srv/archive"}'
"""


@click.group()
def submit() -> None:
    """Ask for work. Prints its id as soon as it is safely on the server's disk."""


@submit.command("task", epilog=_EXAMPLES)
@task_options
@asks
async def submit_task(asking: Asking, request: SubmitTaskRequest) -> None:
    """Submit ACTION with its arguments, or a plan of actions.

    An argument is KEY=TEXT, or KEY:=JSON for what is no text.
    """
    handle = await asking.client.tasks.submit(request)
    if asking.as_json:
        say_json(handle.message)
    else:
        say(handle.id)


@click.group()
def run() -> None:
    """Ask for work and follow it to its end."""


@run.command("task")
@task_options
@asks
async def run_task(asking: Asking, request: SubmitTaskRequest) -> int:
    """Submit ACTION with its arguments, or a plan of actions, and follow it to its end.

    An argument is KEY=TEXT, or KEY:=JSON for what is no text.

    Shows progress and log lines, then the result. Ctrl-C ends the following, not the work.
    """
    async with asking.client.tasks.run(request, include_logs=True) as changes:
        return await follow_one(asking, changes)

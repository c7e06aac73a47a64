"""Following work to its end, in whichever view fits."""

from __future__ import annotations

import asyncio
import json

import click

from longshore.cli.output import is_terminal, say
from longshore.cli.running import EXIT_WORK, Asking
from longshore.cli.views import JsonLines, Lines, Live, View
from longshore.cli.wording import failure_lines
from longshore.client import Watch, from_struct
from longshore.client.handles import has_ended, state_name
from longshore.v1.operation_pb2 import State
from longshore.v1.task_service_pb2 import Task, TaskChange


async def follow(asking: Asking, changes: Watch[TaskChange]) -> int:
    """Show changes until there are no more; return 1 if any work did not succeed."""
    code = 0
    with _view(asking, several=True) as view:
        async for change in changes:
            view.show(change)
            if change.HasField("task") and _is_bad(change.task):
                code = EXIT_WORK
    return code


async def follow_one(asking: Asking, changes: Watch[TaskChange]) -> int:
    """Show what happens to a task, then its result or its error; return 1 if it has none."""
    task = Task()
    with _view(asking, several=False) as view:
        try:
            async for change in changes:
                view.show(change)
                if change.HasField("task"):
                    task = change.task
        except asyncio.CancelledError:
            _say_that_it_goes_on(task)
            raise
    if not asking.as_json:
        _conclude(task)
    return EXIT_WORK if _is_bad(task) else 0


def _view(asking: Asking, *, several: bool) -> View:
    if asking.as_json:
        return JsonLines()
    return Live(several=several) if is_terminal() else Lines(several=several)


def _is_bad(task: Task) -> bool:
    return has_ended(task) and task.status.state != State.STATE_SUCCEEDED


def _say_that_it_goes_on(task: Task) -> None:
    number = task.metadata.number
    if number and not has_ended(task):
        click.echo(
            f"\ntask {number} goes on: `longshore watch {number}` follows it again, "
            f"`longshore cancel {number}` cancels it",
            err=True,
        )


def _conclude(task: Task) -> None:
    status = task.status
    if status.state == State.STATE_SUCCEEDED:
        indent = 2 if is_terminal() else None
        say(json.dumps(from_struct(status.result), ensure_ascii=False, indent=indent))
        return
    message = f"task {task.metadata.number} {state_name(status.state)}"
    lines = failure_lines(status.error) if status.HasField("error") else [status.message]
    click.echo("\n  ".join([message, *filter(None, lines)]), err=True)

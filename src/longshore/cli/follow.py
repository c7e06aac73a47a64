"""Following work to its end, in whichever view fits."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from longshore.cli.describing import called
from longshore.cli.output import is_terminal, say
from longshore.cli.running import EXIT_WORK, Asking
from longshore.cli.views import JsonLines, Lines, Live, View
from longshore.cli.wording import failure_lines, struct_text
from longshore.client import Watch, shown
from longshore.client.handles import has_ended, state_name
from longshore.client.kinds import Operation
from longshore.v1.operation_pb2 import State


async def follow(asking: Asking, changes: Watch[Any]) -> int:
    """Show changes until there are no more; return 1 if any work did not succeed."""
    code = 0
    with _view(asking, several=True) as view:
        async for change in changes:
            view.show(change)
            operation = shown(change)
            if operation and _is_bad(operation):
                code = EXIT_WORK
    return code


async def follow_one(asking: Asking, changes: Watch[Any]) -> int:
    """Show what happens to an operation, then its result or its error; 1 if it has none."""
    operation: Operation | None = None
    with _view(asking, several=False) as view:
        try:
            async for change in changes:
                view.show(change)
                operation = shown(change) or operation
        except asyncio.CancelledError:
            if operation and not has_ended(operation):
                _say_that_it_goes_on(operation)
            raise
    assert operation  # the first change of a run shows it
    if not asking.as_json:
        _conclude(operation)
    return EXIT_WORK if _is_bad(operation) else 0


def _view(asking: Asking, *, several: bool) -> View:
    if asking.as_json:
        return JsonLines()
    return Live(several=several) if is_terminal() else Lines(several=several)


def _is_bad(operation: Operation) -> bool:
    return has_ended(operation) and operation.status.state != State.STATE_SUCCEEDED


def _say_that_it_goes_on(operation: Operation) -> None:
    number = operation.metadata.number
    click.echo(
        f"\n{called(operation)} goes on: `longshore watch {number}` follows it again, "
        f"`longshore cancel {number}` cancels it",
        err=True,
    )


def _conclude(operation: Operation) -> None:
    status = operation.status
    if status.state == State.STATE_SUCCEEDED:
        _say_what_it_gave(operation)
        return
    message = f"{called(operation)} {state_name(status.state)}"
    lines = failure_lines(status.error) if status.HasField("error") else [status.message]
    click.echo("\n  ".join([message, *filter(None, lines)]), err=True)


def _say_what_it_gave(operation: Operation) -> None:
    number, status = operation.metadata.number, operation.status
    if status.delivery.stream:
        click.echo(
            f"its result is on channel {status.delivery.stream}: `longshore results`", err=True
        )
    elif status.HasField("delivery"):
        click.echo(f"its result is in the store: `longshore fetch {number}`", err=True)
    else:
        say(struct_text(status.result, indent=2 if is_terminal() else None))
    if status.files:
        many = f"{len(status.files)} files" if len(status.files) > 1 else "1 file"
        click.echo(f"it made {many}: `longshore download {number}`", err=True)

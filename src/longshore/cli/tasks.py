"""`longshore get`, `list` and `cancel`: tasks by id, or all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import click

from longshore.cli.output import say, say_json, say_sheet
from longshore.cli.running import Asking, asks
from longshore.cli.tables import Column, Fit, say_table
from longshore.cli.wording import age, failure_lines, moment, progress, span
from longshore.client import TaskHandle, from_struct
from longshore.client.handles import state_name
from longshore.v1.task_service_pb2 import Task

_PAGE: Final = 1_000

_COLUMNS: Final = (
    Column("NUMBER"),
    Column("STATE"),
    Column("ACTION", Fit.CUT),
    Column("QUEUE", Fit.CUT),
    Column("AGE"),
    Column("PROGRESS", Fit.CUT),
    Column("ID", Fit.SPARE),
)


@click.command()
@click.argument("task_id", metavar="ID")
@asks
async def get(asking: Asking, task_id: str) -> None:
    """Show the task with this id or number."""
    task = (await asking.client.tasks.get(task_id)).message
    if asking.as_json:
        say_json(task)
    else:
        say_sheet(_sheet(task))


@click.command(
    "list",
    epilog="""Example: longshore list --filter 'state = FAILED AND labels.team = "north"'""",
)
@click.option("--filter", "filter_", default="", help="Which: an AIP-160 filter.")
@click.option("--order-by", default="", help="`priority desc, number`, for example.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many at most.",
)
@click.option("--all", "all_", is_flag=True, help="All of them, however many.")
@asks
async def list_(asking: Asking, filter_: str, order_by: str, limit: int, all_: bool) -> None:
    """List tasks, the newest first."""
    found: list[TaskHandle] = []
    size = _PAGE if all_ else min(limit, _PAGE)
    async for one in asking.client.tasks.list(filter_, order_by=order_by, page_size=size):
        if asking.as_json:
            say_json(one.message)
        found.append(one)
        if len(found) == limit and not all_:
            break
    if not asking.as_json:
        now = datetime.now(UTC)
        say_table(_COLUMNS, (_row(one, now) for one in found))


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--message", default="", help="Why, for people.")
@click.option("--force", is_flag=True, help="End a running attempt at once, without the grace.")
@asks
async def cancel(asking: Asking, task_id: str, message: str, force: bool) -> None:
    """Cancel the task with this id or number, unless it has ended.

    One that waits ends at once; one that runs is told to, and ends within its grace.
    """
    handle = await asking.client.tasks.cancel(task_id, message, force=force)
    if asking.as_json:
        say_json(handle.message)
    elif handle.ended:
        say(f"task {handle.number} is {handle.state}")
    else:
        say(f"task {handle.number} is told to end: `longshore watch {handle.number}`")


def _row(handle: TaskHandle, now: datetime) -> tuple[str, ...]:
    task = handle.message
    return (
        str(handle.number),
        handle.state,
        _actions(task),
        task.options.queue,
        age(task.metadata.create_time, now),
        progress(handle.progress) if handle.state == "RUNNING" else "",
        handle.id,
    )


def _actions(task: Task) -> str:
    names = " → ".join(call.action for call in task.spec.actions)
    return f"{task.spec.service}/{names}" if task.spec.service else names


def _sheet(task: Task) -> Iterator[tuple[str, str]]:
    about, options, status = task.metadata, task.options, task.status
    yield "id", about.id
    yield "number", str(about.number)
    yield "name", task.spec.name
    yield "actions", _actions(task)
    yield "state", state_name(status.state)
    yield "message", status.message
    yield "cancel", "requested" if status.cancel_requested else ""
    yield "progress", progress(status.progress)
    yield "queue", f"{options.queue}, priority {options.priority}"
    yield "attempt", str(status.attempt or "")
    yield "worker", status.worker
    yield "submitter", f"{about.submitter} of {about.tenant}"
    yield "labels", ", ".join(f"{name}={text}" for name, text in sorted(about.labels.items()))
    yield "created", moment(about.create_time)
    yield "not before", moment(options.start_time)
    yield "started", moment(status.start_time)
    yield "ended", moment(status.end_time)
    yield "kept until", moment(status.expire_time)
    yield "run timeout", span(options.run_timeout)
    yield from ((name, text) for name, text in sorted(status.properties.items()))
    yield "error", "\n".join(failure_lines(status.error)) if status.HasField("error") else ""
    if status.HasField("result"):
        yield "result", json.dumps(from_struct(status.result), ensure_ascii=False, indent=2)

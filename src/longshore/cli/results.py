"""`longshore results` and `ack`: the results of tasks with a delivery, as they come."""

from __future__ import annotations

import base64
import json
import os
from tempfile import gettempdir
from typing import Any

import click
from rich.filesize import decimal

from longshore.cli.commands import examples
from longshore.cli.describing import called
from longshore.cli.faults import local_faults
from longshore.cli.output import as_dict, printable, say
from longshore.cli.running import Asking, asks
from longshore.cli.wording import JSON_TYPE, failure_lines, files_remain, leaves_files
from longshore.client.handles import state_name
from longshore.client.results import Result


@click.command(epilog=examples("results", "results -n 1 --json", "results --keep"))
@click.argument("stream", default="")
@click.option("--number", "-n", type=click.IntRange(min=1), help="End after so many results.")
@click.option("--keep", is_flag=True, help="Acknowledge nothing: all of it comes again.")
@asks
async def results(asking: Asking, stream: str, number: int | None, keep: bool) -> None:
    """Follow a channel: a line for each result of a task submitted with --delivery channel.

    Without STREAM it is your own. What has been printed whole is acknowledged, which removes
    it. Left to `fetch`, `download` and `ack` are what is no JSON, unless --json prints it as
    base64, and results of tasks that made files besides. Ctrl-C ends it.
    """
    room, printed = asking.client.tasks, 0
    with local_faults("written", gettempdir()):  # where a large result is put together
        async with room.results(stream, acknowledge=False) as found:
            async for result in found:
                whole = _say(result, as_json=asking.as_json)
                if whole and not keep:
                    await room.acknowledge(result.task.metadata.id)
                printed += 1
                if printed == number:
                    break


@click.command(epilog=examples("ack 17", "ack 17 18 19"))
@click.argument("ids", nargs=-1, required=True, metavar="TASK...")
@asks
async def ack(asking: Asking, ids: tuple[str, ...]) -> None:
    """Acknowledge the results of tasks, all or none: they have arrived, and are removed.

    The files that the tasks have made are removed as well.
    """
    await asking.client.tasks.acknowledge(*ids)
    if not asking.as_json:
        say(f"acknowledged, and removed: {', '.join(ids)}")


def _say(result: Result, *, as_json: bool) -> bool:
    """Print a result, and return whether there is nothing left of it."""
    leaves = leaves_files(result.task, result.content_type)
    if as_json:
        say(json.dumps(_document(result), ensure_ascii=False))
        return not leaves
    task = result.task
    cells = (called(task), f"{state_name(task.status.state):9}", printable(_shown(result)))
    say("  ".join(cells))
    if leaves:
        say(f"    {files_remain(task)}")
    return not leaves and result.content_type in ("", JSON_TYPE)


def _document(result: Result) -> dict[str, Any]:
    """Return a result for programs."""
    about, status = result.task.metadata, result.task.status
    document: dict[str, Any] = {
        "id": about.id,
        "number": str(about.number),
        "state": state_name(status.state),
        "revision": str(result.revision),
    }
    if status.HasField("error"):
        document["error"] = as_dict(status.error)
    if status.files:
        document["files"] = [as_dict(file) for file in status.files]
    if result.content_type == JSON_TYPE:
        document["result"] = json.loads(result.data)
    elif result.content_type:
        document["content_type"] = result.content_type
        document["data"] = base64.b64encode(result.data).decode()
    return document


def _shown(result: Result) -> str:
    """Return what people are shown of a result."""
    status = result.task.status
    if result.content_type == JSON_TYPE:
        return json.dumps(json.loads(result.data), ensure_ascii=False)
    if result.content_type:
        with result.open() as file:
            size = decimal(file.seek(0, os.SEEK_END))
        fetches = f"`longshore fetch {result.task.metadata.number}` fetches it"
        return f"{result.content_type}, {size}: {fetches}"
    return (
        "\n".join(failure_lines(status.error)) if status.HasField("error") else status.message
    )

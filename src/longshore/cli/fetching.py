"""`longshore fetch`: the result of a task."""

from __future__ import annotations

from pathlib import Path

import click

from longshore.cli.commands import examples
from longshore.cli.describing import called
from longshore.cli.faults import local_faults
from longshore.cli.output import is_terminal, say
from longshore.cli.places import STDOUT, force_option, output_option, refuse_taken
from longshore.cli.running import Asking, asks
from longshore.cli.transfers import bar, print_bytes
from longshore.cli.wording import JSON_TYPE, files_remain, leaves_files
from longshore.client.fetching import Fetching


@click.command(epilog=examples("fetch 17", "fetch 17 -o result.zip", "fetch 17 --keep | jq"))
@click.argument("task_id", metavar="TASK")
@output_option
@click.option("--keep", is_flag=True, help="Do not acknowledge it: it can be fetched again.")
@force_option
@asks
async def fetch(
    asking: Asking, task_id: str, output: str | None, keep: bool, force: bool
) -> None:
    """Fetch the result of the task with this id or number: JSON, or the file that it made.

    Of several files it is a zip. If the task was submitted with a --delivery, the result is
    acknowledged once it has been written whole. That removes it; but if the task made files
    besides a result, they are to be downloaded before, and `ack` acknowledges it.
    """
    task = (await asking.client.tasks.get(task_id)).message
    place = None if output is None or output == STDOUT else Path(output)
    if place is not None:
        refuse_taken([place], force=force)
    async with asking.client.tasks.fetch(task.metadata.id, acknowledge=False) as result:
        await _written(result, place, called(task))
    if keep or not task.status.HasField("delivery"):
        return
    if leaves_files(task, result.content_type):
        click.echo(files_remain(task), err=True)
    else:
        await asking.client.tasks.acknowledge(task.metadata.id)


async def _written(result: Fetching, place: Path | None, name: str) -> None:
    """Write all of it to a file that appears when it is whole, or to standard output."""
    if place is None:
        await print_bytes(result, name)
        if is_terminal() and result.content_type == JSON_TYPE:
            say("")  # where the next prompt is to stand
    else:
        with local_faults("written", place), bar(str(place)) as told:
            await result.save(place, told=told)

"""`longshore schedules`: what is submitted again and again."""

from __future__ import annotations

from typing import Final, TextIO

import click

from longshore.cli.applying import apply_documents
from longshore.cli.commands import Listing, examples
from longshore.cli.describing import subject
from longshore.cli.documents import files_argument, read_documents
from longshore.cli.output import say, say_json
from longshore.cli.running import Asking, asks
from longshore.cli.suggestions import schedules as known
from longshore.cli.tables import Column, Fit, say_list
from longshore.cli.wording import moment, span
from longshore.cli.yaml_text import to_yaml
from longshore.v1.catalog_service_pb2 import Schedule

_COLUMNS: Final = (
    Column("NAME"),
    Column("WHEN", Fit.CUT),
    Column("WHAT", Fit.CUT),
    Column("NEXT"),
    Column("LAST", Fit.SPARE),
)

_EXAMPLES: Final = examples(
    "schedules apply nightly.yaml",
    "schedules list",
    "schedules show nightly",
    "schedules delete nightly",
)


@click.group(cls=Listing, epilog=_EXAMPLES)
def schedules() -> None:
    """Show, make, change and delete schedules: what is submitted again and again."""


@schedules.command("list", epilog=examples("schedules list", "schedules list --json"))
@asks
async def list_(asking: Asking) -> None:
    """List schedules by name: when each submits next, and the id of what it submitted last."""
    found = [one async for one in asking.client.catalog.schedules()]
    say_list(found, _COLUMNS, _row, as_json=asking.as_json)


@schedules.command(epilog=examples("schedules show nightly > nightly.yaml"))
@click.argument("name", shell_complete=known)
@asks
async def show(asking: Asking, name: str) -> None:
    """Show a schedule as YAML that can be applied again."""
    schedule = await asking.client.catalog.schedule(name)
    if asking.as_json:
        say_json(schedule)
        return
    say(f"# next: {_next(schedule)}")
    if schedule.last_id:
        say(f"# last: {schedule.last_id}")
    say(to_yaml(schedule))


@schedules.command(
    epilog=examples("schedules apply nightly.yaml", "schedules apply - < nightly.json")
)
@files_argument
@asks
async def apply(asking: Asking, files: tuple[TextIO, ...]) -> None:
    """Make the schedules in files of YAML or JSON, or make them what is there.

    A file may hold several documents; `-` is standard input. All are read before anything is
    sent.
    """
    await apply_documents(
        asking,
        read_documents(files, Schedule),
        asking.client.catalog.apply_schedule,
        lambda one: f"schedule {one.name} holds: {_when(one)}, next {_next(one)}",
    )


@schedules.command(epilog=examples("schedules delete nightly"))
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=known)
@asks
async def delete(asking: Asking, names: tuple[str, ...]) -> None:
    """Delete schedules. What they have submitted goes on."""
    for name in names:
        await asking.client.catalog.delete_schedule(name)
        if not asking.as_json:
            say(f"schedule {name} is deleted; what it has submitted goes on")


def _row(schedule: Schedule) -> tuple[str, ...]:
    return (
        schedule.name,
        _when(schedule),
        _what(schedule),
        _next(schedule),
        schedule.last_id,
    )


def _when(schedule: Schedule) -> str:
    if schedule.HasField("interval"):
        return f"every {span(schedule.interval)}"
    return f"{schedule.cron} {schedule.time_zone}".rstrip()


def _what(schedule: Schedule) -> str:
    match schedule.WhichOneof("spec"):
        case "task":
            return f"task {subject(schedule.task)}"
        case "job":
            return f"job {subject(schedule.job)}"
        case _:
            return f"launch {subject(schedule.launch)}"


def _next(schedule: Schedule) -> str:
    return "paused" if schedule.paused else moment(schedule.next_time)

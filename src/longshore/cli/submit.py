"""`longshore submit` and `longshore run`: ask for work, or ask for it and follow it."""

from __future__ import annotations

from typing import Any, Final

import click

from longshore.cli.commands import examples
from longshore.cli.describing import called
from longshore.cli.follow import follow_one
from longshore.cli.output import say, say_json
from longshore.cli.requests import Order, job_options, launch_options, task_options
from longshore.cli.running import Asking, asks
from longshore.cli.uploads import completed
from longshore.client.handles import Handle
from longshore.v1.job_service_pb2 import SubmitJobRequest
from longshore.v1.launch_service_pb2 import SubmitLaunchRequest
from longshore.v1.task_service_pb2 import SubmitTaskRequest

_TASK: Final = (
    "task archive/digest path=/srv/archive",
    "task resize width:=640 image@=photo.png --label team=north --delivery store",
    """task --plan @plan.json --context '{"folder": "/srv/archive"}'""",
)
_JOB: Final = (
    "job archive ingest folder=/srv/archive/7 --external-id box-7",
    "job archive ingest --variables @box.json --attribute owner=ada --priority 5",
)
_LAUNCH: Final = (
    "launch yearly-report year:=2026",
    "launch check-rules strict:=true --suspended",
)


def _examples(command: str, lines: tuple[str, ...]) -> str:
    return examples(*(f"{command} {line}" for line in lines))


@click.group(epilog=_examples("submit", (_TASK[0], _JOB[0], _LAUNCH[0])))
def submit() -> None:
    """Ask for work. Prints its id as soon as it is safely on the server's disk."""


@submit.command("task", epilog=_examples("submit", _TASK))
@task_options
@asks
async def submit_task(asking: Asking, order: Order[SubmitTaskRequest]) -> None:
    """Submit ACTION with its arguments, or a plan of actions.

    An argument is KEY=TEXT, KEY:=JSON for what is no text, or KEY@=PATH for a file to upload.
    """
    request = await completed(asking, order)
    _submitted(asking, await asking.client.tasks.submit(request))


@submit.command("job", epilog=_examples("submit", _JOB))
@job_options
@asks
async def submit_job(asking: Asking, order: Order[SubmitJobRequest]) -> None:
    """Submit ACTION of CONTRACT, with variables that win over the contract's.

    A variable is KEY=TEXT, KEY:=JSON for what is no text, or KEY@=PATH for a file to upload.
    """
    request = await completed(asking, order)
    _submitted(asking, await asking.client.jobs.submit(request))


@submit.command("launch", epilog=_examples("submit", _LAUNCH))
@launch_options
@asks
async def submit_launch(asking: Asking, order: Order[SubmitLaunchRequest]) -> None:
    """Submit the one action of SERVICE, a rule set or an operation service.

    An argument is KEY=TEXT, KEY:=JSON for what is no text, or KEY@=PATH for a file to upload.
    """
    request = await completed(asking, order)
    _submitted(asking, await asking.client.launches.submit(request))


def _submitted(asking: Asking, handle: Handle[Any, Any]) -> None:
    if asking.as_json:
        say_json(handle.message)
        return
    say(handle.id)
    if not handle.created:
        there = f"{called(handle.message)} was there already, and is {handle.state}"
        click.echo(there, err=True)


@click.group(epilog=_examples("run", (_TASK[0], _JOB[0], _LAUNCH[0])))
def run() -> None:
    """Ask for work and follow it to its end.

    Shows progress and log lines, then the result. Ctrl-C ends the following, not the work.
    """


@run.command("task", epilog=_examples("run", _TASK))
@task_options
@asks
async def run_task(asking: Asking, order: Order[SubmitTaskRequest]) -> int:
    """Submit ACTION with its arguments, or a plan of actions, and follow it to its end.

    An argument is KEY=TEXT, KEY:=JSON for what is no text, or KEY@=PATH for a file to upload.
    """
    request = await completed(asking, order)
    async with asking.client.tasks.run(request, include_logs=True) as changes:
        return await follow_one(asking, changes)


@run.command("job", epilog=_examples("run", _JOB))
@job_options
@asks
async def run_job(asking: Asking, order: Order[SubmitJobRequest]) -> int:
    """Submit ACTION of CONTRACT, and follow the job to its end.

    A variable is KEY=TEXT, KEY:=JSON for what is no text, or KEY@=PATH for a file to upload; it
    wins over the contract's.
    """
    request = await completed(asking, order)
    async with asking.client.jobs.run(request, include_logs=True) as changes:
        return await follow_one(asking, changes)


@run.command("launch", epilog=_examples("run", _LAUNCH))
@launch_options
@asks
async def run_launch(asking: Asking, order: Order[SubmitLaunchRequest]) -> int:
    """Submit the one action of SERVICE, and follow the launch to its end.

    An argument is KEY=TEXT, KEY:=JSON for what is no text, or KEY@=PATH for a file to upload.
    """
    request = await completed(asking, order)
    async with asking.client.launches.run(request, include_logs=True) as changes:
        return await follow_one(asking, changes)

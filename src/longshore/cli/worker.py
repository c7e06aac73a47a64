"""`longshore worker`: work for a server, as a process of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from longshore.cli.commands import examples
from longshore.cli.credentials import take_credentials, with_credentials
from longshore.cli.loading import load_worker
from longshore.cli.logs import configure, log_level_option
from longshore.cli.parameters import Servers, Span
from longshore.cli.running import run_async
from longshore.cli.settings import config_option, setting
from longshore.client import InvalidValue
from longshore.client.connection import DEFAULT_SERVER


@click.command(
    epilog=examples(
        "worker hello:worker", "worker hello:worker --server 10.0.0.5:50051 --slots 4"
    )
)
@click.argument("target", metavar="MODULE:WORKER")
@setting(
    "--server", type=Servers(), default=DEFAULT_SERVER, help="Whom to work for: any of them."
)
@setting("--tenant", default="", show_default="your first", help="For which tenant to work.")
@with_credentials
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    help="How much at once. Default: what the worker says.",
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="Which queues to serve; may be repeated. Default: what the worker says.",
)
@click.option(
    "--reachable-at",
    metavar="HOST",
    help="Where machines that run actions for it find this one. Default: what the worker says.",
)
@click.option(
    "--grace",
    type=Span(),
    default="30s",
    show_default=True,
    help="How long running work may take after SIGTERM.",
)
@log_level_option
@config_option
def worker(
    target: str,
    server: str,
    tenant: str,
    slots: int | None,
    queues: tuple[str, ...],
    reachable_at: str | None,
    grace: timedelta,
    log_level: str,
    **options: Any,
) -> None:
    """Run a worker: the object WORKER of the Python module MODULE.

    It connects again whenever it loses its server. SIGTERM and Ctrl-C drain it: what has not
    begun is handed back, what runs may end; a second one ends the grace.
    """
    configure(log_level)
    one = load_worker(target)
    one.slots = slots or one.slots
    one.queues = queues or one.queues
    one.reachable_at = reachable_at or one.reachable_at
    credentials = take_credentials(options)
    try:
        run_async(
            one.run(server, grace_seconds=grace.total_seconds(), tenant=tenant, **credentials)
        )
    except InvalidValue as error:
        raise click.UsageError(str(error)) from None

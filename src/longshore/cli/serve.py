"""`longshore serve`: run a server, perhaps with workers inside."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import structlog

from longshore.cli.auditing import audit_log_option
from longshore.cli.commands import examples
from longshore.cli.composition import faults_of_servers, run_server
from longshore.cli.faults import local_faults
from longshore.cli.gateway_options import take_gateway, with_gateway
from longshore.cli.gateways import need_gateway
from longshore.cli.logs import log_level_option
from longshore.cli.output import say
from longshore.cli.parameters import Processes, Span
from longshore.cli.protection import Protection, protected
from longshore.cli.running import run_async
from longshore.cli.serving import Serving
from longshore.cli.settings import config_option, setting
from longshore.cli.stopping import stopped_by_signals
from longshore.cli.stores import StorePlace, store_option
from longshore.cli.supervised import Logs
from longshore.cli.supervising import run_processes
from longshore.client.connection import DEFAULT_SERVER
from longshore.engine.settings import EngineSettings
from longshore.gateway.settings import GatewaySettings

log = structlog.get_logger()


@click.command(
    epilog=examples(
        "serve --demo",
        "serve --store sqlite:/var/lib/longshore.db --worker hello:worker",
        "serve --listen 0.0.0.0:50051 --principals principals.toml "
        "--tls-cert server.pem --tls-key server.key",
        "serve --store postgresql://longshore@db/longshore --files s3://longshore --processes auto",
        "serve --http 127.0.0.1:8080 --callback-allow 127.0.0.0/8",
    )
)
@setting("--listen", default=DEFAULT_SERVER, metavar="HOST:PORT", help="Port 0: any free one.")
@store_option("Where all is kept.")
@setting(
    "--files",
    default="",
    show_default="STORE.files",
    metavar="FOLDER|URL",
    help="Where files are kept: a folder, s3://…, gs://… or az://…. With PostgreSQL it must be "
    "said, and be the same for all servers of the database.",
)
@setting(
    "--processes",
    type=Processes(),
    default=1,
    metavar="N|auto",
    help="How many processes serve, all on the same ports; auto: one per core. Takes "
    "PostgreSQL. Workers inside run in the first one; limits per caller hold in each.",
)
@click.option(
    "--worker",
    "targets",
    multiple=True,
    metavar="MODULE:WORKER",
    help="A worker to run inside; may be repeated.",
)
@click.option("--demo", is_flag=True, help="Run the demonstration inside.")
@setting(
    "--grace", type=Span(), default="30s", help="How long calls and work may take at the end."
)
@setting(
    "--beat", type=Span(), default="5s", help="How long a worker's stream is silent at most."
)
@setting(
    "--time-to-live",
    type=Span(),
    default="30s",
    help="How long a worker that is not heard of keeps its work; at least three beats.",
)
@setting("--history", type=Span(), default="7d", help="How far back watches can start.")
@setting(
    "--http",
    metavar="HOST:PORT",
    help="Speak HTTP there, as `longshore gateway` does. Default: nowhere.",
    show_default=False,
)
@with_gateway
@protected
@audit_log_option
@log_level_option
@config_option
def serve(
    listen: str,
    store: StorePlace,
    files: str,
    processes: int,
    targets: tuple[str, ...],
    demo: bool,
    grace: timedelta,
    beat: timedelta,
    time_to_live: timedelta,
    history: timedelta,
    http: str | None,
    protection: Protection,
    audit_log: Path | None,
    log_level: str,
    **options: Any,
) -> None:
    """Serve. The first line of output names the address; logs go to stderr.

    SIGTERM and Ctrl-C drain the server: it takes leave of its callers, the workers inside end
    what they do. A second one ends it at once; nothing that was answered is lost.
    """
    serving = Serving(
        listen=listen,
        store=store,
        files=files,
        protection=protection,
        settings=_settings(beat, time_to_live, history),
        grace_seconds=grace.total_seconds(),
        workers=targets,
        demo=demo,
        gateway=_gateway(http, options),
        processes=processes,
    )
    logs = Logs(log_level, audit_log)
    with local_faults("written", audit_log or ""):
        logs.open()
    for missing in serving.missing:
        log.warning("insecure", missing=missing)
    with faults_of_servers():
        if processes == 1:
            run_async(run_server(serving, say, stopped_by_signals))
        else:
            run_async(run_processes(serving, logs))


def _gateway(http: str | None, options: dict[str, Any]) -> GatewaySettings | None:
    settings = take_gateway(options, http or "127.0.0.1:0")
    if http is None:
        return None
    need_gateway()
    return settings


def _settings(beat: timedelta, time_to_live: timedelta, history: timedelta) -> EngineSettings:
    if beat <= timedelta(0) or time_to_live < 3 * beat:
        raise click.UsageError("--time-to-live must be at least three times --beat")
    if history <= timedelta(0):
        raise click.UsageError("--history must be above 0")
    return EngineSettings(
        beat_seconds=beat.total_seconds(),
        time_to_live_seconds=time_to_live.total_seconds(),
        history_seconds=history.total_seconds(),
        # Often enough that the log does not grow far beyond what is to be kept.
        compact_every_seconds=min(60.0, history.total_seconds() / 2),
    )

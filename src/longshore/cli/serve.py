"""`longshore serve`: run a server, perhaps with workers inside."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta

import click
import structlog

from longshore.cli.commands import examples
from longshore.cli.composition import run_server
from longshore.cli.demonstration import apply_demonstration, demonstration_worker
from longshore.cli.loading import load_worker
from longshore.cli.logs import configure, log_level_option
from longshore.cli.parameters import Span
from longshore.cli.running import run_async
from longshore.cli.settings import config_option, setting
from longshore.client.connection import DEFAULT_SERVER
from longshore.core.errors import FilesUnavailable, StoreUnavailable
from longshore.engine.settings import EngineSettings
from longshore.server.app import CannotListen

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Everything an operator can choose, checked once."""

    listen: str
    store: str
    files: str  #: A folder or the URL of a bucket; empty: beside the store.
    insecure: bool

    def __post_init__(self) -> None:
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise click.UsageError(
                f"--listen {self.listen}: write HOST:PORT, as in 0.0.0.0:50051"
            )
        if not self.store.removeprefix("sqlite:") or not self.store.startswith("sqlite:"):
            raise click.UsageError(f"--store {self.store}: write sqlite:PATH")
        if not self.is_local and not self.insecure:
            raise click.UsageError(
                f"--listen {self.listen} would let anyone on the network in: there are no "
                "principals and there is no TLS. Listen on 127.0.0.1 and put a proxy that knows "
                "its callers in front, or say --insecure if the network is yours alone."
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        host = self.listen.rpartition(":")[0].strip("[]")
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def path(self) -> str:
        return self.store.removeprefix("sqlite:")

    @property
    def place_of_files(self) -> str:
        return self.files or f"{self.path}.files"


@click.command(
    epilog=examples(
        "serve --demo", "serve --store sqlite:/var/lib/longshore.db --worker hello:worker"
    )
)
@setting("--listen", default=DEFAULT_SERVER, metavar="HOST:PORT", help="Port 0: any free one.")
@setting(
    "--store", default="sqlite:longshore.db", metavar="sqlite:PATH", help="Where all is kept."
)
@setting(
    "--files",
    default="",
    show_default="STORE.files",
    metavar="FOLDER|URL",
    help="Where files are kept: a folder, s3://…, gs://… or az://….",
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
@setting("--insecure", is_flag=True, show_default=False, help="Let anyone on the network in.")
@log_level_option
@config_option
def serve(
    listen: str,
    store: str,
    files: str,
    targets: tuple[str, ...],
    demo: bool,
    grace: timedelta,
    beat: timedelta,
    time_to_live: timedelta,
    history: timedelta,
    insecure: bool,
    log_level: str,
) -> None:
    """Serve. The first line of output names the address; logs go to stderr.

    SIGTERM and Ctrl-C drain the server: it takes leave of its callers, the workers inside end
    what they do. A second one ends it at once; nothing that was answered is lost.
    """
    configure(log_level)
    serving = Serving(listen=listen, store=store, files=files, insecure=insecure)
    settings = _settings(beat, time_to_live, history)
    workers = [load_worker(target) for target in targets]
    if demo:
        workers.append(demonstration_worker())
    if not serving.is_local:
        log.warning("listening_without_credentials", listen=listen)
    try:
        run_async(
            run_server(
                serving.path,
                listen,
                workers,
                grace.total_seconds(),
                settings,
                serving.place_of_files,
                apply_demonstration if demo else None,
            )
        )
    except (StoreUnavailable, FilesUnavailable, CannotListen) as error:
        raise click.ClickException(str(error)) from None


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

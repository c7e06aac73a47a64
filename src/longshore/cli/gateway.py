"""`longshore gateway`: HTTP in front of servers that run elsewhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import click
import structlog

from longshore.cli.commands import examples
from longshore.cli.credentials import Credentials, take_credentials, with_credentials
from longshore.cli.gateway_options import take_gateway, with_gateway
from longshore.cli.gateways import CannotServe, gateway_running, need_gateway
from longshore.cli.logs import configure, log_level_option
from longshore.cli.memory import collect_garbage_rarely
from longshore.cli.output import say
from longshore.cli.parameters import Servers, Span
from longshore.cli.protection import NO_HTTPS, refuse_strangers
from longshore.cli.running import run_async
from longshore.cli.settings import config_option, setting
from longshore.cli.stopping import stopped_by_signals
from longshore.client.callers import is_loopback
from longshore.client.connection import DEFAULT_SERVER
from longshore.gateway.settings import GatewaySettings

log = structlog.get_logger()

_NO_PRINCIPAL: Final = (
    "the gateway has no principal of its own, so its server is open to everybody and so would "
    "it be: make one with `longshore principals add gateway --role worker --role viewer "
    "--role submitter --tenant '*' --queue longshore.callbacks --go-between`, and say "
    "--token-file"
)


@click.command(
    epilog=examples(
        "gateway --server longshore.example:50051 --ca ca.pem --token-file gateway.token",
        "gateway --http 0.0.0.0:443 --http-cert server.pem --http-key server.key "
        "--token-file gateway.token",
        "gateway --public-url https://work.example --trusted-proxy 127.0.0.1",
        "gateway --mount vitam=/v1 --mount asapi=asapi.example/ --mount dataone=:8081/",
        "gateway --callback-allow 10.0.0.0/8 --callback-secret-file callbacks.secret",
    )
)
@setting(
    "--server",
    default=DEFAULT_SERVER,
    type=Servers(),
    help="Where the servers are: any one is asked, another where one is not there.",
)
@with_credentials
@setting("--http", default="127.0.0.1:8080", metavar="HOST:PORT", help="Port 0: any free one.")
@with_gateway
@setting(
    "--grace",
    type=Span(),
    default="30s",
    help="How long requests, and then callbacks, may take at the end.",
)
@log_level_option
@config_option
def gateway(server: str, http: str, grace: timedelta, log_level: str, **options: Any) -> None:
    """Speak HTTP for gRPC servers: canonical JSON, five dialects, and callbacks.

    The first line of output names the address; logs go to stderr. SIGTERM and Ctrl-C drain it:
    it takes no more requests, answers those it has, and ends the callbacks that are under way.
    """
    configure(log_level)
    credentials = take_credentials(options)
    settings = take_gateway(options, http)
    _check(settings, credentials)
    need_gateway()
    try:
        run_async(_run(settings, server, credentials, grace.total_seconds()))
    except CannotServe as error:
        raise click.ClickException(str(error)) from None


def _check(settings: GatewaySettings, credentials: Credentials) -> None:
    if is_loopback(settings.listen):
        return
    missing = [] if credentials["token"] else [_NO_PRINCIPAL]
    if settings.tls is None:
        missing.append(NO_HTTPS)
    refuse_strangers(f"--http {settings.listen}", missing, insecure=credentials["insecure"])
    for one in missing:
        log.warning("insecure", http=settings.listen, missing=one)


async def _run(
    settings: GatewaySettings, server: str, credentials: Credentials, grace_seconds: float
) -> None:
    collect_garbage_rarely()
    stopped = stopped_by_signals()
    async with gateway_running(settings, server, credentials, grace_seconds) as url:
        say(f"longshore gateway listening on {url}")
        await stopped
        log.info("draining", grace_seconds=grace_seconds)
    log.info("stopped")

"""`longshore health`: whether a server serves, for those who start and stop it."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, Final

import click
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from longshore.cli.advice import advice
from longshore.cli.commands import examples
from longshore.cli.credentials import take_credentials, with_credentials
from longshore.cli.output import say
from longshore.cli.parameters import Servers, Span
from longshore.cli.running import EXIT_CALL, CallFailed, run_async
from longshore.cli.settings import config_option, setting
from longshore.client import CallError, InvalidValue
from longshore.client.callers import Caller
from longshore.client.connection import DEFAULT_SERVER, Connection

_SERVING: Final = "SERVING"


@click.command(epilog=examples("health", "health --timeout 1s"))
@setting("--server", default=DEFAULT_SERVER, type=Servers(), help="Whom to ask.")
@with_credentials
@click.option(
    "--timeout", type=Span(), default="5s", show_default=True, help="How long to wait."
)
@config_option
def health(server: str, timeout: timedelta, **options: Any) -> None:
    """Tell whether a server serves; if not, the exit code is 3.

    It asks the gRPC health service, for which nobody needs a credential: what probes of
    containers run where the server speaks TLS, which those of Kubernetes do not.
    """
    credentials = take_credentials(options)
    try:
        caller = Caller(server, **credentials)
    except InvalidValue as error:
        raise click.UsageError(str(error)) from None
    try:
        status = run_async(_ask(caller, timeout.total_seconds()))
    except CallError as error:
        raise CallFailed(advice(error, server)) from None
    say(status)
    if status != _SERVING:
        sys.exit(EXIT_CALL)


async def _ask(caller: Caller, seconds: float) -> str:
    connection = Connection(caller, seconds)
    try:
        await connection.reach()
        answer = await connection.ask(HealthCheckRequest(), HealthCheckResponse)
        return HealthCheckResponse.ServingStatus.Name(answer.status)
    finally:
        await connection.close()

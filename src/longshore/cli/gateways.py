"""Gateways put together, if what they need is installed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module

import click

from longshore.cli.credentials import Credentials
from longshore.client import InvalidValue
from longshore.client.transports import Transport
from longshore.gateway.settings import GatewaySettings, InvalidSettings


class CannotServe(Exception):
    """A gateway cannot be what it is to be; says why."""


def need_gateway() -> None:
    """Raise `click.UsageError` if something is not installed that a gateway needs."""
    try:
        import_module("longshore.gateway.running")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("longshore"):
            raise
        raise click.UsageError(
            f"HTTP needs {error.name}, which is not installed: pip install 'longshore[gateway]'"
        ) from None


@asynccontextmanager
async def gateway_running(
    settings: GatewaySettings,
    servers: str,
    credentials: Credentials,
    grace_seconds: float,
    inside: Callable[[], Transport] | None = None,
) -> AsyncGenerator[str]:
    """Run a gateway until the block ends; yield its URL. Raises `CannotServe`.

    `inside` is the way to a server in this process; without it the wire is.
    """
    # What needs libraries that not everybody has is imported where it is wanted.
    from longshore.gateway.running import Entrance, running  # noqa: PLC0415
    from longshore.gateway.serving import CannotListen  # noqa: PLC0415

    entrance = Entrance(servers=servers, inside=inside, **credentials)
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context(running(settings, entrance, grace_seconds))
        try:
            address = await start
        except (InvalidSettings, InvalidValue, CannotListen) as error:
            raise CannotServe(str(error)) from None
        yield f"{'https' if settings.tls else 'http'}://{address}"

"""How a command meets a server, and which exit code tells what."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import click

from longshore.cli.advice import advice
from longshore.cli.credentials import Credentials, take_credentials, with_credentials
from longshore.cli.parameters import Servers, Span
from longshore.cli.settings import config_option, setting
from longshore.client import CallError, Client, FailedPrecondition, InvalidValue, NotFound
from longshore.client.connection import DEFAULT_SERVER

try:
    import uvloop
except ImportError:  # not on every platform
    _new_loop = None
else:
    _new_loop = uvloop.new_event_loop

T = TypeVar("T")

EXIT_WORK: Final = 1  #: The work failed or was canceled.
EXIT_CALL: Final = 3  #: The call failed: it was refused, or no server answered.
EXIT_INTERRUPTED: Final = 130  #: Somebody pressed Ctrl-C.


@dataclass(frozen=True, slots=True)
class Asking:
    """What every command that asks a server was told: whom, and how to answer."""

    client: Client
    server: str
    as_json: bool


class CallFailed(click.ClickException):
    """The call failed; says what to do."""

    exit_code = EXIT_CALL


def asks(command: Callable[..., Awaitable[int | None]]) -> Callable[..., Any]:
    """Turn a coroutine that takes an `Asking` into a command's body, with the options for it.

    What the coroutine returns is the exit code; None is success.
    """

    @functools.wraps(command)
    def body(
        server: str, tenant: str, timeout: timedelta, as_json: bool, **options: Any
    ) -> None:
        credentials = take_credentials(options)

        async def ask() -> int | None:
            async with _client(server, tenant, timeout, credentials) as client:
                await client.connect()
                return await command(Asking(client, server, as_json), **options)

        try:
            code = run_async(ask())
        except CallError as error:
            raise CallFailed(advice(error, server)) from None
        if code:
            sys.exit(code)

    for option in reversed(_ASKING):
        body = option(body)
    return body


def _client(server: str, tenant: str, timeout: timedelta, credentials: Credentials) -> Client:
    try:
        return Client(server, tenant=tenant, timeout=timeout.total_seconds(), **credentials)
    except InvalidValue as error:
        raise click.UsageError(str(error)) from None


async def each(asking: Asking, ids: Iterable[str], do: Callable[[str], Awaitable[None]]) -> int:
    """Do something for one id after another; return the exit code.

    One that is refused does not keep the others from it.
    """
    code = 0
    for one in ids:
        try:
            await do(one)
        except (NotFound, FailedPrecondition) as error:
            click.echo(f"Error: {one}: {advice(error, asking.server)}", err=True)
            code = EXIT_CALL
    return code


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's main coroutine, on the faster loop where there is one."""
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(main)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


_ASKING: Final = (
    setting(
        "--server",
        default=DEFAULT_SERVER,
        type=Servers(),
        help="Whom to ask: any of them, another where one is not there.",
    ),
    setting("--tenant", default="", show_default="your first", help="On whose behalf."),
    with_credentials,
    setting(
        "--timeout",
        type=Span(),
        default="30s",
        help="How long a call may take, repeats included.",
    ),
    setting(
        "--json", "as_json", is_flag=True, show_default=False, help="One JSON object per line."
    ),
    config_option,
)

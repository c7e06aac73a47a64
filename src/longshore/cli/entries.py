"""What is said of a new principal on the command line, and what it is told once."""

from __future__ import annotations

import functools
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from longshore.access.editing import Entry, Secrets
from longshore.cli.output import say
from longshore.cli.parameters import Pair, Span
from longshore.core.principals import Delivery, Role

_ROLES: Final = tuple(role.value for role in Role)
_DELIVERIES: Final = tuple(one.name.lower() for one in Delivery)

expires_option: Final = click.option(
    "--expires-in",
    type=Span(),
    help="How long the token is good. Default: until it is revoked.",
)

password_stdin_option: Final = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)

_ENTRY: Final = (
    click.argument("name"),
    click.option(
        "--role",
        "roles",
        type=click.Choice(_ROLES),
        multiple=True,
        required=True,
        help="What it may do; may be repeated, as may all that follow with three dots. "
        "An operator is a submitter as well, a submitter a viewer, an admin everything.",
    ),
    click.option(
        "--tenant", "tenants", multiple=True, metavar="T...", help="Default: default; *: all."
    ),
    click.option(
        "--action",
        "actions",
        multiple=True,
        metavar="SERVICE/ACTION|ACTION...",
        help="What it may ask for, or offer; archive/* is all of a service. Default: all.",
    ),
    click.option(
        "--queue",
        "queues",
        multiple=True,
        metavar="Q...",
        help="What it may serve as a worker. Default: all but longshore.….",
    ),
    click.option(
        "--value",
        "values",
        type=Pair(),
        multiple=True,
        metavar="SERVICE/ACTION/PARAMETER=V...",
        help="What it may send as a parameter. Default: anything.",
    ),
    click.option(
        "--delivery",
        type=click.Choice(_DELIVERIES),
        help="How results reach it where a dialect leaves that to it. Default: none.",
    ),
    click.option("--stream", default="", help="The id of its channel. Default: its name."),
    click.option(
        "--go-between",
        is_flag=True,
        help="It asks for others, as a gateway does, and is believed from where they call.",
    ),
    click.option(
        "--certificate",
        "certificates",
        multiple=True,
        metavar="SUBJECT|NAME...",
        help="A client certificate that it is known by: CN=press,O=Longshore, or a host, address "
        "or URI in it.",
    ),
)


def makes_entry(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare what says who a principal is; the command gets the `entry`."""

    @functools.wraps(command)
    def body(
        name: str,
        roles: tuple[str, ...],
        tenants: tuple[str, ...],
        actions: tuple[str, ...],
        queues: tuple[str, ...],
        values: tuple[tuple[str, str], ...],
        delivery: str | None,
        stream: str,
        go_between: bool,
        certificates: tuple[str, ...],
        **options: Any,
    ) -> Any:
        permitted = defaultdict[str, list[str]](list)
        for parameter, value in values:
            permitted[parameter].append(value)
        entry = Entry(
            name=name,
            roles=roles,
            tenants=tenants,
            actions=actions,
            queues=queues,
            values=permitted,
            delivery=delivery or "",
            stream=stream,
            go_between=go_between,
            certificates=certificates,
        )
        return command(entry=entry, **options)

    for option in reversed(_ENTRY):
        body = option(body)
    return body


def moment_in(span: timedelta | None) -> datetime | None:
    """Return when something ends that is good for so long. Raises `click.UsageError`."""
    if span is None:
        return None
    try:
        if span > timedelta(0):
            return datetime.now(UTC) + span
    except OverflowError:
        pass
    raise click.UsageError("--expires-in must be above 0, and before the year 10000")


def asked_password(*, from_stdin: bool) -> str:
    """Return a password that somebody types twice, or pipes in."""
    if not from_stdin:
        answer: str = click.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
        return answer
    password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not password:
        raise click.UsageError("--password-stdin: standard input is empty")
    return password


def tell(file: Path, name: str, secrets: Secrets, *, as_json: bool) -> None:
    """Show what was made: the token alone on stdout, all that explains it on stderr."""
    token = secrets.token
    if as_json:
        told = {
            "name": name,
            "token_id": token and token.id,
            "token": token and token.secret_text,
            "api_key": secrets.api_key,
        }
        say(json.dumps({key: value for key, value in told.items() if value is not None}))
        return
    _explain(f"{file}: {name} is known to servers that serve with this file within a second")
    if secrets.api_key is not None:
        _explain(f"api-key, shown this once: {secrets.api_key}")
    if token is not None:
        _explain(f"token {token.id}, shown this once; callers give it as LONGSHORE_TOKEN:")
        say(token.secret_text)


def _explain(text: str) -> None:
    click.echo(text, err=True)

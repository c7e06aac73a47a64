"""The options by which a command shows who calls, and makes sure whom it meets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

import click

from longshore.cli.settings import setting
from longshore.client import InvalidValue, Tls


class Credentials(TypedDict):
    """What a client and a worker take."""

    token: str | Path | None
    tls: Tls | None
    insecure: bool


F = TypeVar("F", bound=Callable[..., Any])

_FILE: Final = click.Path(path_type=Path)

#: A token in a file of settings, or in the environment, is not shown as the default.
_HIDDEN: Final[dict[str, Any]] = {"show_default": False}

_OPTIONS: Final = (
    setting(
        "--token",
        metavar="TOKEN",
        help="Who you are. The list of processes shows it: rather use the environment or a file.",
        **_HIDDEN,
    ),
    setting("--token-file", type=_FILE, help="A file that holds the token.", **_HIDDEN),
    setting(
        "--tls",
        is_flag=True,
        help="Speak TLS, and trust whom this machine trusts.",
        **_HIDDEN,
    ),
    setting("--ca", type=_FILE, help="Speak TLS, and trust the CAs in this file.", **_HIDDEN),
    setting("--cert", type=_FILE, help="The certificate to show.", **_HIDDEN),
    setting("--key", type=_FILE, help="The key of --cert.", **_HIDDEN),
    setting(
        "--server-name",
        metavar="NAME",
        help="Whose certificate to expect, if not that of --server.",
        **_HIDDEN,
    ),
    click.option(
        "--insecure", is_flag=True, help="Send a token to another machine without TLS."
    ),
)


def with_credentials(command: F) -> F:
    """Declare them all."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_credentials(options: dict[str, Any]) -> Credentials:
    """Take out of a command's options what `with_credentials` declares, and return what it says.

    Raises `click.UsageError` if it contradicts itself.
    """
    taken = {name: options.pop(name, None) for name in _NAMES}
    given = [taken["tls"], taken["ca"], taken["cert"], taken["key"], taken["server_name"]]
    try:
        tls = (
            Tls(taken["ca"], taken["cert"], taken["key"], taken["server_name"] or "")
            if any(given)
            else None
        )
    except InvalidValue:
        raise click.UsageError("--cert and --key go together") from None
    return Credentials(
        token=_token(taken["token"], taken["token_file"]),
        tls=tls,
        insecure=bool(taken["insecure"]),
    )


def _token(token: str | None, file: Path | None) -> str | Path | None:
    """Return the token, or where it is: what is said more directly holds."""
    if not token or not file:
        return token or file
    context = click.get_current_context()
    sources = [context.get_parameter_source(name) for name in ("token", "token_file")]
    of_token, of_file = (source.value if source else 0 for source in sources)
    if of_token == of_file:
        raise click.UsageError("either --token or --token-file says who you are")
    return token if of_token < of_file else file


_NAMES: Final = (
    "token",
    "token_file",
    "tls",
    "ca",
    "cert",
    "key",
    "server_name",
    "insecure",
)

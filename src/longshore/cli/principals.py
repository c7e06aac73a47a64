"""`longshore principals`: who may call. Edits the file that servers read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from longshore.access import editing
from longshore.access.configuration import read
from longshore.access.editing import CannotEdit, Entry, Secrets, UnknownPrincipal
from longshore.access.errors import InvalidPrincipals
from longshore.cli.commands import Listing, examples
from longshore.cli.entries import (
    asked_password,
    expires_option,
    makes_entry,
    moment_in,
    password_stdin_option,
    tell,
)
from longshore.cli.faults import local_faults
from longshore.cli.output import say
from longshore.cli.principal_views import list_principals, show_principal
from longshore.cli.running import EXIT_CALL
from longshore.cli.settings import config_option, setting

_DEFAULT: Final = "principals.toml"

_FILE: Final = setting(
    "--principals",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_DEFAULT,
    help="The file that servers read.",
)
_JSON: Final = setting(
    "--json", "as_json", is_flag=True, show_default=False, help="One JSON object per line."
)


class Refused(click.ClickException):
    """The file cannot be changed so; says why."""

    exit_code = EXIT_CALL


def _known(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names that a shell may offer."""
    try:
        principals = read(Path(context.params.get("file") or _DEFAULT)).principals
    except (OSError, InvalidPrincipals):
        return []
    names = (one.name for one in principals)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_NAME: Final = click.argument("name", shell_complete=_known)


@click.group(
    cls=Listing,
    epilog=examples(
        "principals add ada --role submitter",
        "principals add press --role worker --tenant '*' --expires-in 90d",
        "principals list",
        "principals token ada",
        "principals revoke k3v6x2m7q4",
    ),
)
def principals() -> None:
    """Show and change who may call a server: the file of `longshore serve --principals`.

    Servers that read the file follow within a second; nothing but hashes of secrets is in it.
    """


@principals.command("list", epilog=examples("principals list", "principals list --json"))
@_FILE
@_JSON
@config_option
def list_(file: Path, as_json: bool) -> None:
    """List principals in the order of the file: what they may do, and what they are known by.

    Tokens are named by their ids, which are no secrets.
    """
    with _faults(file):
        list_principals(read(file).principals, as_json=as_json)


@principals.command(epilog=examples("principals show ada"))
@_NAME
@_FILE
@_JSON
@config_option
def show(name: str, file: Path, as_json: bool) -> None:
    """Show all that the file says of a principal, but its secrets."""
    with _faults(file):
        known = {one.name: one for one in read(file).principals}
        if name not in known:
            raise UnknownPrincipal(file, name, list(known))
    show_principal(known[name], as_json=as_json)


@principals.command(
    epilog=examples(
        "principals add ada --role submitter --tenant north --tenant south",
        "principals add press --role worker --queue default --expires-in 90d",
        "principals add root --role admin --tenant '*' --certificate CN=root",
        "principals add kiosk --role submitter --action 'archive/*' "
        "--value archive/ingest/data=photos",
    )
)
@makes_entry
@click.option("--password", "with_password", is_flag=True, help="Ask for a password, twice.")
@password_stdin_option
@click.option("--api-key", "with_api_key", is_flag=True, help="Make an api-key as well.")
@expires_option
@click.option("--no-token", is_flag=True, help="Make no token.")
@_FILE
@_JSON
@config_option
def add(
    entry: Entry,
    with_password: bool,
    password_stdin: bool,
    with_api_key: bool,
    expires_in: timedelta | None,
    no_token: bool,
    file: Path,
    as_json: bool,
) -> None:
    """Add a principal, and print its token: the only time that anybody sees it.

    The token stands alone on standard output: TOKEN=$(longshore principals add ada …). The file
    is made if there is none.
    """
    if no_token and expires_in is not None:
        raise click.UsageError("--expires-in is of the token that --no-token does not make")
    expires = moment_in(expires_in)
    wanted = with_password or password_stdin
    password = asked_password(from_stdin=password_stdin) if wanted else None
    with _faults(file):
        secrets = editing.add(
            file,
            entry,
            password=password,
            with_api_key=with_api_key,
            with_token=not no_token,
            expires=expires,
        )
    tell(file, entry.name, secrets, as_json=as_json)


@principals.command(epilog=examples("principals remove ada"))
@_NAME
@_FILE
@config_option
def remove(name: str, file: Path) -> None:
    """Remove a principal. What it has asked for goes on; its streams end within a second."""
    with _faults(file):
        editing.remove(file, name)
    say(f"{name} is no longer known; what it has asked for goes on")


@principals.command(
    epilog=examples("principals token ada", "principals token ada --expires-in 90d")
)
@_NAME
@expires_option
@_FILE
@_JSON
@config_option
def token(name: str, expires_in: timedelta | None, file: Path, as_json: bool) -> None:
    """Give a principal a further token, and print it: the only time that anybody sees it.

    To change one token for another, hand out the new one, then revoke the old one.
    """
    with _faults(file):
        made = editing.add_token(file, name, moment_in(expires_in))
    tell(file, name, Secrets(made), as_json=as_json)


@principals.command(epilog=examples("principals revoke k3v6x2m7q4"))
@click.argument("token_id")
@_FILE
@config_option
def revoke(token_id: str, file: Path) -> None:
    """Revoke a token by its id: calls with it are refused within a second, its streams end.

    The id stands in lists, and in the token itself: lsk_ID_….
    """
    with _faults(file):
        name = editing.revoke(file, token_id)
    say(f"the token of {name} is revoked")


@principals.command(
    epilog=examples(
        "principals password ada", "principals password ada --password-stdin < file"
    )
)
@_NAME
@password_stdin_option
@_FILE
@config_option
def password(name: str, password_stdin: bool, file: Path) -> None:
    """Give a principal a password in place of the one it has, for clients that know no tokens."""
    with _faults(file):
        editing.set_password(file, name, asked_password(from_stdin=password_stdin))
    say(f"{name} has a new password")


@principals.command(
    epilog=examples("principals check", "principals check --principals new.toml")
)
@_FILE
@config_option
def check(file: Path) -> None:
    """Check the file as a server would, and name all that is wrong with it."""
    try:
        found = read(file)
    except InvalidPrincipals as error:
        raise click.ClickException(
            f"{file} is invalid:\n" + "\n".join(error.problems)
        ) from None
    say(f"{file} is valid; principals: {len(found.principals)}, issuers: {len(found.issuers)}")


@contextmanager
def _faults(file: Path) -> Generator[None]:
    """Let what cannot be done say so. Raises `click.ClickException`."""
    with local_faults("used", file):
        try:
            yield
        except (CannotEdit, InvalidPrincipals) as error:
            raise Refused(str(error)) from None

"""`longshore certs`: certificates to try TLS with."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import click

from longshore.cli.commands import examples
from longshore.cli.faults import local_faults
from longshore.cli.output import say
from longshore.cli.throw_away import HOSTS, Pair, ThrowAway, make

#: What a client may be called: it is part of the name of a file.
_CLIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RESERVED: Final = ("ca", "server")


@click.group(epilog=examples("certs dev"))
def certs() -> None:
    """Make certificates to try TLS with."""


@certs.command(
    epilog=examples("certs dev", "certs dev certs --host quay.example.org --client press")
)
@click.argument(
    "folder", default="certs", type=click.Path(file_okay=False, path_type=Path), metavar="[DIR]"
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help=f"What clients call the server besides {', '.join(HOSTS)}; may be repeated.",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    default=("client",),
    show_default=True,
    metavar="NAME",
    help="Whom to make a certificate for; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def dev(
    folder: Path,
    hosts: tuple[str, ...],
    clients: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Make a CA, and certificates of it for a server and for clients, in DIR.

    They are good for a year, and for trying things out: whoever can read the folder can be the
    server and every client. The CA's own key is thrown away, so nobody can make more.
    """
    for name in clients:
        if not _CLIENT.fullmatch(name) or name in _RESERVED:
            raise click.UsageError(f"--client {name}: letters, digits and .-_ make a name")
    try:
        made = make(folder, hosts, dict.fromkeys(clients))
    except ValueError as error:
        raise click.UsageError(f"--host: {error}") from None
    taken = [file for file in made.files if file.exists()]
    if taken and not force:
        raise click.UsageError(f"{taken[0]} exists already: --force replaces it")
    with local_faults("written", folder):
        made.write()
    if as_json:
        say(json.dumps(_document(made)))
    else:
        _tell(made)


def _tell(made: ThrowAway) -> None:
    for file in made.files:
        say(str(file))
    say("")
    for line in _steps(made):
        say(line)


def _document(made: ThrowAway) -> dict[str, Any]:
    return {
        "ca": str(made.ca),
        "server": {**_files(made.server), "names": list(made.hosts)},
        "clients": [
            {"name": name, "subject": pair.subject, **_files(pair)}
            for name, pair in made.clients.items()
        ],
        "commands": _steps(made),
    }


def _files(pair: Pair) -> dict[str, str]:
    return {"certificate": str(pair.certificate), "key": str(pair.key)}


def _steps(made: ThrowAway) -> list[str]:
    """Return what to type next: a server and who meets it, then one that wants certificates."""
    serve = ("serve", "--tls-cert", made.server.certificate, "--tls-key", made.server.key)
    status = ("status", "--ca", made.ca)
    client = next(iter(made.clients.values()))
    return [
        _line(*serve),
        _line(*status),
        _line(*serve, "--tls-client-ca", made.ca),
        _line(*status, "--cert", client.certificate, "--key", client.key),
    ]


def _line(*words: str | Path) -> str:
    return shlex.join(["longshore", *map(str, words)])

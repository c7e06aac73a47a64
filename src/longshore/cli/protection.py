"""Who may call a server, over what, and how often: the options, and what they must come to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from longshore.cli.settings import setting
from longshore.client.callers import is_loopback
from longshore.server.limits import DEFAULT, AccessLimits
from longshore.server.reflection import Reflection
from longshore.server.tls import Tls

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_RATE: Final = click.FloatRange(min=0, min_open=True)

#: What is missing where, what that would do, and what mends it.
_NO_PRINCIPALS: Final = (
    "there are no principals, so anyone on the network could do everything: make one with "
    "`longshore principals add NAME --role admin` and serve with `--principals principals.toml`"
)
_NO_TLS: Final = (
    "there is no TLS, so the network could read all, credentials too: serve with --tls-cert and "
    "--tls-key, which `longshore certs dev` makes to try it with"
)
NO_HTTPS: Final = (
    "there is no TLS for HTTP, so the network could read all, credentials too: serve with "
    "--http-cert and --http-key, or stay on loopback behind a proxy that has them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Who may call, over what, and how often. Raises `click.UsageError`."""

    principals: Path | None = None
    tls: Tls | None = None
    limits: AccessLimits = DEFAULT
    reflection: str = "auto"  #: `on`, `off`, or `auto`: by where it listens.
    insecure: bool = False

    def missing(self, listen: str) -> list[str]:
        """Return what strangers are not kept out by, in words; nothing where none can come."""
        return self._missing(listen, _NO_TLS, tls=self.tls is not None)

    def missing_http(self, listen: str, *, https: bool) -> list[str]:
        """Return the same for where HTTP is spoken."""
        return self._missing(listen, NO_HTTPS, tls=https)

    def _missing(self, listen: str, no_tls: str, *, tls: bool) -> list[str]:
        if is_loopback(listen):
            return []
        no_principals = self.principals is None
        return [*([_NO_PRINCIPALS] if no_principals else []), *([] if tls else [no_tls])]

    def check(self, listen: str) -> None:
        """Refuse to let anyone in. Raises `click.UsageError` that says what to do."""
        refuse_strangers(f"--listen {listen}", self.missing(listen), insecure=self.insecure)

    def check_http(self, listen: str, *, https: bool) -> None:
        """Do the same for where HTTP is spoken. Raises `click.UsageError`."""
        missing = self.missing_http(listen, https=https)
        refuse_strangers(f"--http {listen}", missing, insecure=self.insecure)

    def who_may_reflect(self, listen: str) -> Reflection:
        """Return who is told what can be called."""
        if self.reflection == "off":
            return Reflection.OFF
        is_open = self.reflection == "on" or is_loopback(listen)
        return Reflection.OPEN if is_open else Reflection.KNOWN


def refuse_strangers(option: str, missing: Sequence[str], *, insecure: bool) -> None:
    """Raise `click.UsageError` that says what to do, if anything is missing."""
    if missing and not insecure:
        raise click.UsageError(
            f"{option} would let anyone on the network in. "
            + "".join(f"{one[0].upper()}{one[1:]}. " for one in missing)
            + "Or listen on 127.0.0.1, or say --insecure if the network is yours alone."
        )


def protected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options; the command gets the `protection` that they make."""

    @functools.wraps(command)
    def body(
        principals: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        tls_client_ca: Path | None,
        rate_per_principal: float | None,
        rate_per_address: float | None,
        streams_per_principal: int,
        reflection: str,
        insecure: bool,
        **options: Any,
    ) -> Any:
        protection = Protection(
            principals=_there(principals),
            tls=_tls(tls_cert, tls_key, tls_client_ca),
            limits=AccessLimits(
                calls_per_principal=rate_per_principal,
                calls_per_address=rate_per_address,
                streams_per_principal=streams_per_principal,
            ),
            reflection=reflection,
            insecure=insecure,
        )
        return command(protection=protection, **options)

    for option in reversed(_OPTIONS):
        body = option(body)
    return body


def _there(principals: Path | None) -> Path | None:
    if principals is not None and not principals.is_file():
        raise click.UsageError(
            f"--principals {principals}: there is no such file; "
            f"`longshore principals add NAME --role admin --principals {principals}` makes it"
        )
    return principals


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    if certificate is not None and key is not None:
        return Tls(certificate, key, client_ca)
    if certificate or key or client_ca:
        raise click.UsageError("TLS takes both --tls-cert and --tls-key")
    return None


_OPTIONS: Final = (
    setting(
        "--principals",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Who may call; read again when it changes. Default: everybody, on loopback only.",
    ),
    setting("--tls-cert", type=_FILE, help="The server's certificate, with those above it."),
    setting("--tls-key", type=_FILE, help="The key of it."),
    setting(
        "--tls-client-ca", type=_FILE, help="Serve only those with a certificate of this CA."
    ),
    setting(
        "--rate-per-principal",
        type=_RATE,
        metavar="N",
        help="Calls per second. Default: any number.",
    ),
    setting(
        "--rate-per-address",
        type=_RATE,
        metavar="N",
        help="Calls per second. Default: any number.",
    ),
    setting(
        "--streams-per-principal",
        type=click.IntRange(min=1),
        metavar="N",
        default=DEFAULT.streams_per_principal,
        help="Watches, channels, uploads and workers that are open at once.",
    ),
    setting(
        "--reflection",
        type=click.Choice(("auto", "on", "off")),
        default="auto",
        help="Tell anybody what can be called; auto: on loopback, elsewhere principals only.",
    ),
    setting(
        "--insecure",
        is_flag=True,
        show_default=False,
        help="Listen to the network without principals or without TLS.",
    ),
)

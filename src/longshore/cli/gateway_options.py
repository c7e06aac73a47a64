"""The options of a gateway, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from longshore.cli.gateway_parameters import MountPair, NetworkType, Size
from longshore.cli.parameters import Span
from longshore.cli.settings import setting
from longshore.gateway.settings import (
    MOUNTS,
    CallbackRules,
    GatewaySettings,
    InvalidSettings,
    Limits,
    Mount,
    TlsFiles,
)

F = TypeVar("F", bound=Callable[..., Any])

_USUAL: Final = GatewaySettings()
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_HIDDEN: Final[dict[str, Any]] = {"show_default": False}

_OPTIONS: Final = (
    setting("--http-cert", type=_FILE, help="The certificate of HTTPS, with those above it."),
    setting("--http-key", type=_FILE, help="The key of --http-cert."),
    setting(
        "--public-url",
        default="",
        metavar="URL",
        help="What clients call it, for links; dialects with a host or a port of their own "
        "have the rest of it. Default: as they have called it.",
        **_HIDDEN,
    ),
    setting(
        "--trusted-proxy",
        "trusted_proxies",
        type=NetworkType(),
        multiple=True,
        help="Whose X-Forwarded headers are believed; may be repeated.",
        **_HIDDEN,
    ),
    setting(
        "--mount",
        "mounts",
        type=MountPair(MOUNTS),
        multiple=True,
        help="Where a dialect stands: vitam=/v1, asapi=host.example/, dataone=:8081/, or "
        "mdworkbench=off; may be repeated. Default: "
        + ", ".join(f"{name}={place}" for name, place in MOUNTS.items())
        + ".",
        **_HIDDEN,
    ),
    setting(
        "--no-callbacks", is_flag=True, help="Leave callbacks to other gateways.", **_HIDDEN
    ),
    setting(
        "--callback-allow",
        type=NetworkType(),
        multiple=True,
        help="A network that callbacks may go to although it is not public; may be repeated.",
        **_HIDDEN,
    ),
    setting(
        "--callback-secret",
        default="",
        metavar="SECRET",
        help="Signs callbacks. The list of processes shows it: rather use a file.",
        **_HIDDEN,
    ),
    setting("--callback-secret-file", type=_FILE, help="A file that holds it.", **_HIDDEN),
    setting(
        "--callback-timeout",
        type=Span(),
        default="10s",
        help="How long the answer to a callback may take.",
    ),
    setting(
        "--max-body",
        type=Size(),
        default="4MiB",
        help="How long bodies may be that are no files.",
    ),
    setting(
        "--max-upload",
        type=Size(),
        default="1GiB",
        help="How much all files of a request may have.",
    ),
    setting("--asapi-error", is_flag=True, help="asapi: answers have `error` too.", **_HIDDEN),
    setting(
        "--asapi-register-again",
        is_flag=True,
        help="asapi: who is registered already may register again.",
        **_HIDDEN,
    ),
    setting(
        "--dataone-login-key-file",
        type=_FILE,
        help="A file with 32 random characters or more: lets clients of Data One log in.",
        **_HIDDEN,
    ),
    setting("--dataone-login-lifetime", type=Span(), default="8h", help="How long that lasts."),
    setting(
        "--ehealth-entity",
        default=_USUAL.ehealth_entity,
        help="eHealth: what links are called.",
    ),
    setting(
        "--ehealth-scope-401",
        is_flag=True,
        help="eHealth: whoever may not see a job is told 401, as of old.",
        **_HIDDEN,
    ),
)


def with_gateway(command: F) -> F:
    """Declare all options of a gateway but where it listens."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_gateway(options: dict[str, Any], listen: str) -> GatewaySettings:
    """Take out of a command's options what `with_gateway` declares, and return what they say.

    Raises `click.UsageError` if that cannot be.
    """
    taken = {name: options.pop(name) for name in _NAMES}
    _check_address(listen)
    return GatewaySettings(
        listen=listen,
        tls=_tls(taken["http_cert"], taken["http_key"]),
        public_url=_url(taken["public_url"]),
        trusted_proxies=taken["trusted_proxies"],
        mounts=_mounts(taken["mounts"]),
        limits=Limits(body_bytes=taken["max_body"], upload_bytes=taken["max_upload"]),
        callbacks=CallbackRules(
            enabled=not taken["no_callbacks"],
            allowed_networks=taken["callback_allow"],
            secret=_secret(taken["callback_secret"], taken["callback_secret_file"]),
            timeout=_above_nothing(taken["callback_timeout"], "--callback-timeout"),
        ),
        asapi_error=taken["asapi_error"],
        asapi_register_again=taken["asapi_register_again"],
        dataone_login_key=_read(taken["dataone_login_key_file"]),
        dataone_login_lifetime=taken["dataone_login_lifetime"],
        ehealth_entity=taken["ehealth_entity"],
        ehealth_scope_401=taken["ehealth_scope_401"],
    )


def _check_address(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise click.UsageError(f"--http {listen}: write HOST:PORT, as in 127.0.0.1:8080")


def _tls(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    if certificate is not None and key is not None:
        return TlsFiles(certificate, key)
    if certificate or key:
        raise click.UsageError("HTTPS takes both --http-cert and --http-key")
    return None


def _url(text: str) -> str:
    parts = urlsplit(text)
    wrong = parts.scheme not in ("http", "https") or not parts.netloc
    if text and (wrong or parts.query or parts.fragment):
        raise click.UsageError(f"--public-url {text}: write https://HOST, and perhaps a path")
    return text


def _mounts(chosen: Iterable[tuple[str, str]]) -> Mapping[str, Mount]:
    places = {**MOUNTS, **dict(chosen)}
    try:
        found = {name: Mount.parse(at) for name, at in places.items() if at != "off"}
    except InvalidSettings as error:
        raise click.UsageError(f"--mount {error}") from None
    for name, mount in found.items():
        twins = [other for other in found if found[other] == mount and other != name]
        if twins:
            raise click.UsageError(f"--mount: {name} and {twins[0]} are at the same place")
    return found


def _secret(text: str, file: Path | None) -> str:
    # What it has to be is known to the room that signs, which needs nothing that is optional.
    from longshore.gateway.callbacks.signing import InvalidSecret, key_of  # noqa: PLC0415

    if text and file:
        raise click.UsageError("either --callback-secret or --callback-secret-file")
    secret = text or _read(file)
    try:
        key_of(secret)
    except InvalidSecret as error:
        raise click.UsageError(f"--callback-secret: {error}") from None
    return secret


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from None
    if not found:
        raise click.UsageError(f"{file} is empty")
    return found


def _above_nothing(span: timedelta, option: str) -> timedelta:
    if span <= timedelta(0):
        raise click.UsageError(f"{option} must be above 0")
    return span


_NAMES: Final = (
    *("http_cert", "http_key", "public_url", "trusted_proxies", "mounts"),
    *("no_callbacks", "callback_allow", "callback_secret", "callback_secret_file"),
    *("callback_timeout", "max_body", "max_upload", "asapi_error", "asapi_register_again"),
    *("dataone_login_key_file", "dataone_login_lifetime"),
    *("ehealth_entity", "ehealth_scope_401"),
)

"""Everything that an operator can choose of a gateway."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_MIB: Final = 1024 * 1024

#: Where each dialect stands unless it is moved.
MOUNTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vitam": "/vitam/v1",
        "asapi": "/asapi",
        "dataone": "/ghibli-rest/v2",
        "mdworkbench": "/mdworkbench",
        "ehealth": "/ehealth",
    }
)

_MOUNT: Final = re.compile(r"(?P<host>[A-Za-z0-9.-]*)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)")


class InvalidSettings(ValueError):
    """A setting cannot be; the message names it."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a dialect stands: below a path of every host, or of one, or on a port of its own."""

    path: str  #: Begins with a slash and ends without one; empty: at the root.
    host: str = ""  #: A host name; empty: any.
    port: int | None = None  #: Of its own, on the interface of the gateway; None: that of all.

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `/path`, `host/path` or `:port/path`. Raises `InvalidSettings`."""
        found = _MOUNT.fullmatch(text)
        port = int(found["port"]) if found and found["port"] else None
        if found is None or (port is not None and (found["host"] or not 0 < port < 65_536)):
            raise InvalidSettings(f"{text!r}: write /PATH, HOST/PATH or :PORT/PATH")
        return cls(found["path"].rstrip("/"), found["host"].lower(), port)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What HTTP is secured with; read again when the files change."""

    certificate: Path  #: PEM, with those above it.
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is refused before anything is made of it."""

    body_bytes: int = 4 * _MIB  #: Of JSON and forms; as long as a message may be.
    upload_bytes: int = 1024 * _MIB  #: Of all files of one request.
    header_bytes: int = 64 * 1024
    form_fields: int = 1_000
    head: timedelta = timedelta(seconds=30)  #: For the head of a request to arrive.
    #: For a client to send the next of a body, or to take the next of an answer.
    silence: timedelta = timedelta(minutes=2)
    wait: timedelta = timedelta(seconds=30)  #: For a server to answer.


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRules:
    """Whom callbacks may go to, and how they are signed."""

    enabled: bool = True
    #: Networks that are no business of strangers' URLs unless they are named here.
    allowed_networks: tuple[Network, ...] = ()
    secret: str = field(default="", repr=False)  #: Signs bodies; empty: they are not signed.
    timeout: timedelta = timedelta(seconds=10)
    answer_bytes: int = 64 * 1024  #: More of an answer is not read.


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """A gateway as it is to be."""

    listen: str = "127.0.0.1:8080"
    shared: bool = False  #: Whether other processes have its ports as well.
    tls: TlsFiles | None = None
    #: As clients see it, `https://work.example.org`; empty: as a request was sent. Of dialects
    #: with a host name or a port of their own it tells the rest.
    public_url: str = ""
    #: Proxies whose `X-Forwarded-…` headers are believed.
    trusted_proxies: tuple[Network, ...] = ()
    mounts: Mapping[str, Mount] = field(
        default_factory=lambda: {name: Mount(path) for name, path in MOUNTS.items()}
    )
    limits: Limits = field(default_factory=Limits)
    callbacks: CallbackRules = field(default_factory=CallbackRules)
    #: Whether asapi answers have a root `error` beside `errors`, as its client expects.
    asapi_error: bool = False
    #: Whether registering an account twice is fine in asapi.
    asapi_register_again: bool = False
    #: Seals what a login of Data One hands out; empty: there is no login.
    dataone_login_key: str = field(default="", repr=False)
    dataone_login_lifetime: timedelta = timedelta(hours=8)
    #: What links of eHealth are called.
    ehealth_entity: str = "eHealth/resources"
    #: Whether a missing scope is 401 in eHealth, as of old, instead of 403.
    ehealth_scope_401: bool = False

"""The caller: whom a client calls, as whom, and how that is shown and kept secret."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import grpc

from longshore.client.errors import InvalidValue
from longshore.client.rereading import Reread, read
from longshore.client.tls import Tls
from longshore.client.transports import Transport

Metadata: TypeAlias = tuple[tuple[str, str], ...]

NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})

_AUTHORIZATION: Final = "authorization"
_CREDENTIALS: Final = frozenset({_AUTHORIZATION, "x-go-between"})
_SCHEME: Final = re.compile(r"(dns:(///)?|ipv[46]:)")
_LOCAL_SCHEMES: Final = ("unix:", "unix-abstract:")


class Caller:
    """Everything that calls have in common, whatever is asked, and by whom.

    `servers` is `host:port`, several with commas between, or a sequence; `turns` has them in the
    order in which this caller asks them, which is another for each. A `token` that is a path is
    read from that file, and again when it changes, as are the files of `tls`. Raises
    `InvalidValue` if a file cannot be used, and if a token would be sent in the clear to another
    machine, unless that is said to be `insecure`. With `inside`, which opens another way to
    the server than a channel of gRPC, there is none to other machines.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        tenant: str = "",
        metadata: Mapping[str, str] = NO_METADATA,
        token: str | Path | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
        inside: Callable[[], Transport] | None = None,
    ) -> None:
        self.servers = split_addresses(servers)
        self.turns = in_any_order(self.servers)
        tenancy = {"x-tenant-id": tenant} if tenant else {}
        self._metadata = _with_token({**metadata, **tenancy}, token)
        self._tls = tls
        self._insecure = insecure
        self._inside = inside
        self._credentials = Reread(tls.files, tls.credentials) if tls else None
        self.check(dict(self.metadata()))

    def check(self, metadata: Mapping[str, str]) -> None:
        """Raise `InvalidValue` if these would show a credential to those who listen."""
        if self._tls is not None or self._insecure or _CREDENTIALS.isdisjoint(metadata):
            return
        _refuse_listeners(self.servers)

    def metadata(self) -> Metadata:
        """Return what every call carries."""
        return self._metadata.now()

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return what channels are secured with; another object when a file has changed."""
        return None if self._credentials is None else self._credentials.now()

    def open(self, server: str, options: Sequence[tuple[str, int]]) -> Transport:
        """Open a way to one of the servers."""
        return self.channel(server, options) if self._inside is None else self._inside()

    def channel(self, server: str, options: Sequence[tuple[str, int]]) -> grpc.aio.Channel:
        """Open a channel of gRPC to one of the servers."""
        credentials = self.credentials()
        if credentials is None or self._tls is None:
            return grpc.aio.insecure_channel(server, options=options)
        return grpc.aio.secure_channel(
            server, credentials, options=(*options, *self._tls.options)
        )

    @property
    def secure(self) -> bool:
        return self._tls is not None


def split_addresses(servers: str | Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that are written as `host:port,host:port` or one by one.

    Raises `InvalidValue` if there is none.
    """
    written = servers.split(",") if isinstance(servers, str) else servers
    addresses = tuple(address.strip() for address in written if address.strip())
    if not addresses:
        raise InvalidValue("no server is named")
    return addresses


def in_any_order(servers: Sequence[str]) -> Sequence[str]:
    """Return servers so that many callers spread over them, and over the rest when one is gone."""
    return random.sample(servers, len(servers))


def is_loopback(address: str) -> bool:
    """Whether nobody but this machine hears what is sent to an address."""
    if address.startswith(_LOCAL_SCHEMES):
        return True
    address = _SCHEME.sub("", address, count=1)
    host = (address.rpartition(":")[0] or address).strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_token(metadata: Mapping[str, str], token: str | Path | None) -> Reread[Metadata]:
    fixed = tuple(metadata.items())
    if token is None:
        return Reread((), lambda: fixed)
    if isinstance(token, str):
        return Reread((), lambda: (*fixed, _header(token, "the token")))

    def from_file() -> Metadata:
        text = read(token, "token file").decode(errors="replace")
        return (*fixed, _header(text, f"token file {token}: what it holds"))

    return Reread((token,), from_file)


def _header(token: str, what: str) -> tuple[str, str]:
    """Return the metadata that shows a token. Raises `InvalidValue`, without showing it."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidValue(f"{what} is no token: that is one word of ASCII")
    return _AUTHORIZATION, f"Bearer {token}"


def _refuse_listeners(servers: Sequence[str]) -> None:
    for server in servers:
        if not is_loopback(server):
            raise InvalidValue(
                f"{server} is another machine, and the token would be sent there in the clear: "
                "use tls, or say insecure if the network is yours alone"
            )

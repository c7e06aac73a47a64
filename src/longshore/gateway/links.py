"""Links: how things of the gateway are called from outside."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from longshore.gateway.clients import comes_by_proxy
from longshore.gateway.settings import MOUNTS, GatewaySettings, Mount

_PORTS: Final = {"http": "80", "https": "443"}

#: Where a gateway listens that listens everywhere.
_EVERYWHERE: Final = ("0.0.0.0", "[::]", "")  # noqa: S104 - nobody listens here


@dataclass(frozen=True, slots=True)
class Links:
    """Makes absolute URLs of paths of one dialect, or of the canonical API."""

    settings: GatewaySettings
    dialect: str = ""  #: Empty: the canonical API.

    def of(self, dialect: str) -> Links:
        """Return the links of a dialect."""
        return replace(self, dialect=dialect)

    def base(self, request: Request) -> str:
        """Return where the application that serves a request stands, without a last slash."""
        return f"{self.origin(request)}{request.scope.get('root_path', '')}"

    def origin(self, request: Request) -> str:
        """Return scheme and host as the client wrote them, or as they are configured."""
        if self.settings.public_url:
            return self.public()
        scheme: str = request.scope["scheme"]
        host = request.headers.get("host") or request.url.netloc
        if comes_by_proxy(request.scope, self.settings.trusted_proxies):
            scheme = _first(request, "x-forwarded-proto") or scheme
            host = _first(request, "x-forwarded-host") or host
        return f"{scheme}://{host}"

    def standing(self) -> str:
        """Return where the dialect stands where no request tells how it is reached."""
        origin = self.public() if self.settings.public_url else self._listening()
        return f"{origin}{self.mount.path}"

    def public(self) -> str:
        """Return the configured URL, which is that of the port and the name that all share.

        Of it, what has a host name of its own has the scheme and the port, and what has a port
        of its own the scheme and the name.
        """
        url, mount = self.settings.public_url.rstrip("/"), self.mount
        shared = urlsplit(url)
        if mount.host:
            port = f":{shared.port}" if shared.port else ""
            return f"{shared.scheme}://{mount.host}{port}"
        if mount.port is not None:
            name = shared.netloc.removesuffix(f":{shared.port}")
            return f"{shared.scheme}://{name}:{mount.port}"
        return url

    @property
    def mount(self) -> Mount:
        """Where the dialect stands."""
        found = self.settings.mounts.get(self.dialect)
        return found or Mount.parse(MOUNTS.get(self.dialect, "/"))

    def _listening(self) -> str:
        """Return scheme and host by where the gateway listens, and how this machine is called."""
        mount, scheme = self.mount, "https" if self.settings.tls else "http"
        host, _, shared = self.settings.listen.rpartition(":")
        if host in _EVERYWHERE:
            host = socket.gethostname()
        port = str(mount.port or shared)
        shown = "" if port == _PORTS[scheme] else f":{port}"
        return f"{scheme}://{mount.host or host}{shown}"


def _first(request: Request, header: str) -> str:
    return request.headers.get(header, "").partition(",")[0].strip()

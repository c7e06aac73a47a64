"""Links: how things of the gateway are called from outside."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.requests import Request

from longshore.gateway.settings import MOUNTS, GatewaySettings, Mount


@dataclass(frozen=True, slots=True)
class Links:
    """Makes absolute URLs of paths of one dialect."""

    settings: GatewaySettings

    def base(self, request: Request) -> str:
        """Return where the application that serves a request stands, without a last slash."""
        return f"{self.origin(request)}{request.scope.get('root_path', '')}"

    def origin(self, request: Request) -> str:
        """Return scheme and host as the client wrote them, or as they are configured."""
        if self.settings.public_url:
            return self.settings.public_url.rstrip("/")
        scheme = request.url.scheme
        host = request.headers.get("host") or request.url.netloc
        if self._is_trusted(request):
            scheme = _first(request, "x-forwarded-proto") or scheme
            host = _first(request, "x-forwarded-host") or host
        return f"{scheme}://{host}"

    def standing(self, dialect: str) -> str:
        """Return where a dialect stands where no request tells how it is reached: in callbacks."""
        mount = self.settings.mounts.get(dialect) or Mount.parse(MOUNTS[dialect])
        if self.settings.public_url:
            return f"{self.settings.public_url.rstrip('/')}{mount.path}"
        host, _, port = self.settings.listen.rpartition(":")
        scheme = "https" if self.settings.tls else "http"
        return f"{scheme}://{mount.host or f'{host}:{mount.port or port}'}{mount.path}"

    def _is_trusted(self, request: Request) -> bool:
        if request.client is None or not self.settings.trusted_proxies:
            return False
        try:
            address = ipaddress.ip_address(request.client.host)
        except ValueError:
            return False
        return any(address in network for network in self.settings.trusted_proxies)


def _first(request: Request, header: str) -> str:
    return request.headers.get(header, "").partition(",")[0].strip()

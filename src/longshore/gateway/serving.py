"""Serving: the applications of a gateway on their ports, until they are drained."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Final, TypeAlias

import uvicorn

from longshore.gateway.app import applications
from longshore.gateway.certificates import tls_context
from longshore.gateway.connections import bounded
from longshore.gateway.dialects import Gateway
from longshore.gateway.leaving import Leaving
from longshore.gateway.settings import GatewaySettings

#: So much of an answer the system holds that it has not begun to send; more is of no use to it.
_UNSENT_BYTES: Final = 64 * 1024


Sockets: TypeAlias = Mapping[int | None, socket.socket]
"""Bound sockets by port; None: that of the gateway."""


class CannotListen(OSError):
    """An address cannot be had."""


class _Server(uvicorn.Server):
    """One that leaves signals to whoever runs it, and tells when it listens.

    When it stops it listens no more before it ends what would last for ever.
    """

    def __init__(self, config: uvicorn.Config, app: Leaving) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.leave()  # Streams hear of it when the sockets are closed: at the next turn.
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    gateway: Gateway, grace_seconds: float = 30.0, sockets: Sockets | None = None
) -> AsyncGenerator[str]:
    """Serve until the block ends, then answer what was asked within the grace.

    Yields the address of the gateway as HOST:PORT, with the port that was chosen for port 0.
    `sockets` are those that were bound before. Raises `CannotListen`, and `InvalidValue` if
    certificates cannot be used.
    """
    tls = tls_context(gateway.settings.tls) if gateway.settings.tls else None
    apps = {port: Leaving(app) for port, app in applications(gateway).items()}
    sockets = sockets or all_bound(gateway.settings)
    servers = {
        port: _server(app, gateway.settings, tls, grace_seconds) for port, app in apps.items()
    }
    tasks = [
        asyncio.create_task(server.serve([sockets[port]]), name="http")
        for port, server in servers.items()
    ]
    try:
        for server in servers.values():
            await server.listens.wait()
        yield address_of(sockets)
    finally:
        for server in servers.values():
            server.should_exit = True
        await asyncio.gather(*tasks)


def _server(
    app: Leaving, settings: GatewaySettings, tls: ssl.SSLContext | None, grace_seconds: float
) -> _Server:
    config = uvicorn.Config(
        app,
        http=bounded(settings),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=math.ceil(grace_seconds),
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    return _Server(config, app)


def all_bound(settings: GatewaySettings) -> Sockets:
    """Return a socket for each port, all or none. Raises `CannotListen`."""
    host, _, common = settings.listen.rpartition(":")
    bound: dict[int | None, socket.socket] = {}
    try:
        for port in {None} | {mount.port for mount in settings.mounts.values()}:
            own = int(common) if port is None else port
            bound[port] = _bound(host.strip("[]"), own, shared=settings.shared)
    except CannotListen:
        for one in bound.values():
            one.close()
        raise
    return bound


def address_of(sockets: Sockets) -> str:
    """Return where a gateway listens as HOST:PORT."""
    host, port, *_ = sockets[None].getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server(
            (host, port), family=family, backlog=2_048, reuse_port=shared
        )
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None
    # Accepted connections inherit it. Without uvloop nobody else sets it, and the second packet
    # of an answer waits 40 ms for the first to be acknowledged.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # What a client does not take waits here, where it is known to be on its way still.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    return bound

"""Serving: the applications of a gateway on their ports, until they are drained."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator

import structlog
import uvicorn
from starlette.types import ASGIApp

from longshore.gateway.app import applications
from longshore.gateway.dialects import Gateway

log = structlog.get_logger()


class CannotListen(OSError):
    """An address cannot be had."""


class _Server(uvicorn.Server):
    """One that leaves signals to whoever runs it, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(gateway: Gateway, grace_seconds: float = 30.0) -> AsyncGenerator[str]:
    """Serve until the block ends, then answer what was asked within the grace.

    Yields the address of the gateway as HOST:PORT, with the port that was chosen for port 0.
    Raises `CannotListen`.
    """
    host, _, port = gateway.settings.listen.rpartition(":")
    host = host.strip("[]")
    sockets: dict[int | None, socket.socket] = {}
    apps = applications(gateway)
    try:
        for own in apps:
            sockets[own] = _bound(host, int(port) if own is None else own)
    except BaseException:
        for one in sockets.values():
            one.close()
        raise
    servers = [_server(app, grace_seconds) for app in apps.values()]
    tasks = [
        asyncio.create_task(server.serve([sockets[own]]), name="http")
        for own, server in zip(apps, servers, strict=True)
    ]
    try:
        for server in servers:
            await server.listens.wait()
        bound = sockets[None].getsockname()
        yield f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)


def _server(app: ASGIApp, grace_seconds: float) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(grace_seconds),
            h11_max_incomplete_event_size=64 * 1024,
        )
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2_048)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None

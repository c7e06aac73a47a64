"""The application: canonical JSON, the dialects where they are mounted, documents, health."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from longshore.gateway.access_log import AccessLog
from longshore.gateway.canonical import canonical_application
from longshore.gateway.dialects import Dialect, Gateway
from longshore.gateway.documents import document_routes
from longshore.gateway.faults import Fault
from longshore.gateway.health import health_routes
from longshore.gateway.hosts import OneHost
from longshore.gateway.mounting import Below
from longshore.gateway.sites import OwnSite


def applications(gateway: Gateway) -> dict[int | None, ASGIApp]:
    """Return what is served by port; None is the port that the gateway listens on.

    Dialects on a port of their own are served there only; the others share the first with
    canonical JSON, the documents and health.
    """
    dialects = {name: _made(name, gateway) for name in gateway.settings.mounts}
    ports = {mount.port for mount in gateway.settings.mounts.values()} | {None}
    return {port: _application(port, dialects, gateway) for port in ports}


def _made(name: str, gateway: Gateway) -> FastAPI:
    """Return the application of a dialect; only modules of those that are mounted are read."""
    dialect: Dialect = importlib.import_module(f"longshore.gateway.{name}").application
    made = dialect(replace(gateway, links=gateway.links.of(name)))
    made.add_exception_handler(ClientDisconnect, _unanswered)
    return made


async def _unanswered(_request: Request, _gone: Exception) -> Any:
    """Answer nothing: the client has gone in the midst of its body."""


def _application(
    port: int | None, dialects: Mapping[str, FastAPI], gateway: Gateway
) -> ASGIApp:
    routes = [*_mounted(port, dialects, gateway)]
    if port is None:
        shown = [*health_routes(gateway), *document_routes(gateway, dialects)]
        application: ASGIApp = _Shared([*shown, *routes], canonical_application(gateway))
    else:
        application = _routed(routes)
    return AccessLog(OneHost(application), gateway.settings.trusted_proxies)


class _Shared:
    """Canonical JSON, and what else stands on the same port. What nothing else can be meant by
    goes there at once, past all routes: they cost more than to read and to print a message.
    """

    def __init__(self, others: Sequence[BaseRoute], canonical: ASGIApp) -> None:
        self._canonical = canonical
        self._routed = _routed([*others, Below("", canonical)])
        paths = [one.path if isinstance(one, Route | Mount) else "" for one in others]
        # Those of hosts may be anywhere, and of a template only the beginning is known.
        self._starts = tuple(path.partition("{")[0] for path in paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(self._starts):
            await self._routed(scope, receive, send)
        else:
            await self._canonical(scope, receive, send)


def _routed(routes: list[BaseRoute]) -> Starlette:
    application = Starlette(routes=routes)
    application.router.redirect_slashes = False
    return application


def _mounted(
    port: int | None, dialects: Mapping[str, FastAPI], gateway: Gateway
) -> Iterator[BaseRoute]:
    """Yield the dialects of a port: those of hosts first, then the longest paths first."""
    mounts = gateway.settings.mounts
    here = [name for name in dialects if mounts[name].port == port]
    for name in sorted(here, key=lambda one: (not mounts[one].host, -len(mounts[one].path))):
        dialect = dialects[name]
        refuse = dialect.exception_handlers[Fault]
        below = Below(mounts[name].path, OwnSite(dialect, gateway.links.of(name), refuse))
        host = mounts[name].host
        yield Host(host, Router([below], redirect_slashes=False)) if host else below

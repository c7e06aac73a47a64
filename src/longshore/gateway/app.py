"""The application: canonical JSON, the dialects where they are mounted, documents, health."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Router
from starlette.types import ASGIApp

from longshore.gateway.access_log import AccessLog
from longshore.gateway.canonical import canonical_routes
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
    dialects = {
        name: _dialect(name)(replace(gateway, links=gateway.links.of(name)))
        for name in gateway.settings.mounts
    }
    ports = {mount.port for mount in gateway.settings.mounts.values()} | {None}
    return {port: _application(port, dialects, gateway) for port in ports}


def _dialect(name: str) -> Dialect:
    """Return what makes the application of a dialect; only those that are mounted are read."""
    dialect: Dialect = importlib.import_module(f"longshore.gateway.{name}").application
    return dialect


def _application(
    port: int | None, dialects: Mapping[str, FastAPI], gateway: Gateway
) -> ASGIApp:
    routes = [*_mounted(port, dialects, gateway)]
    if port is None:
        shown = [*health_routes(gateway), *document_routes(gateway, dialects)]
        routes = [*shown, *routes, *canonical_routes(gateway)]
    application = Starlette(routes=routes)
    application.router.redirect_slashes = False
    return AccessLog(OneHost(application), gateway.settings.trusted_proxies)


def _mounted(
    port: int | None, dialects: Mapping[str, FastAPI], gateway: Gateway
) -> Iterator[BaseRoute]:
    """Yield the dialects of a port: those of hosts first, then the longest paths first."""
    mounts = gateway.settings.mounts
    here = [name for name in dialects if mounts[name].port == port]
    for name in sorted(here, key=lambda one: (not mounts[one].host, -len(mounts[one].path))):
        dialect = dialects[name]
        below = Below(mounts[name].path, OwnSite(dialect, dialect.exception_handlers[Fault]))
        host = mounts[name].host
        yield Host(host, Router([below], redirect_slashes=False)) if host else below

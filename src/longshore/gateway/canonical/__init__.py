"""Canonical JSON: every method of the contract by its `google.api.http` annotation."""

from __future__ import annotations

from starlette.routing import BaseRoute

from longshore.gateway.dialects import Gateway


def canonical_routes(gateway: Gateway) -> list[BaseRoute]:
    """Return a route per annotation."""
    return []

"""Documents: what can be asked, as OpenAPI 3.1, and a page to read and try it."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI
from starlette.routing import BaseRoute

from longshore.gateway.dialects import Gateway


def document_routes(gateway: Gateway, dialects: Mapping[str, FastAPI]) -> list[BaseRoute]:
    """Return `/openapi.json` and `/docs`."""
    return []

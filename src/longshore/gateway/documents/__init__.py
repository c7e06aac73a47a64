"""Documents: what can be asked, as OpenAPI 3.1, and a page to read and try it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from longshore.gateway.canonical.bindings import bindings
from longshore.gateway.dialects import Gateway
from longshore.gateway.documents.openapi import document
from longshore.gateway.documents.page import whole_page


def document_routes(gateway: Gateway, dialects: Mapping[str, FastAPI]) -> list[BaseRoute]:
    """Return `/openapi.json`, which is made when it is first asked for, and `/docs`."""

    @cache
    def made() -> bytes:
        return orjson.dumps(document(bindings(), dialects, gateway.settings))

    async def openapi(_request: Request) -> Response:
        return Response(made(), media_type="application/json")

    return [Route("/openapi.json", openapi), Route("/docs", _page)]


async def _page(_request: Request) -> Response:
    html, policy = whole_page()
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff"}
    return Response(html, headers=headers, media_type="text/html")

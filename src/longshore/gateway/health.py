"""Health: whether the gateway lives, and whether it can be given requests."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from longshore.client import CallError, Unauthenticated
from longshore.gateway.dialects import Gateway

_ALIVE: Final = {"status": "ok"}


def health_routes(gateway: Gateway) -> list[Route]:
    """Return `/healthz`, which is always fine, and `/readyz`, which asks a server."""

    async def alive(_request: Request) -> JSONResponse:
        return JSONResponse(_ALIVE)

    async def ready(request: Request) -> JSONResponse:
        try:
            await gateway.way.itself(request).server.caller()
        except Unauthenticated as error:
            return _not_ready(f"the gateway's own credential: {error}")
        except CallError as error:
            return _not_ready(str(error))
        return JSONResponse(_ALIVE)

    return [Route("/healthz", alive), Route("/readyz", ready)]


def _not_ready(why: str) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "message": why}, 503, {"retry-after": "5"})

"""Health: whether the gateway lives, and whether it can be given requests."""

from __future__ import annotations

from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from longshore.client import CallError, Unauthenticated
from longshore.gateway.dialects import Gateway

log = structlog.get_logger()

_TOO_OFTEN: Final = (
    "RATE_LIMITED"  #: So a server is there, and would rather not be asked again.
)
_ALIVE: Final = {"status": "ok"}


def health_routes(gateway: Gateway) -> list[Route]:
    """Return `/healthz`, which is always fine, and `/readyz`, which asks a server."""

    async def alive(_request: Request) -> JSONResponse:
        return JSONResponse(_ALIVE)

    async def ready(request: Request) -> JSONResponse:
        try:
            await gateway.way.itself(request).server.caller()
        except CallError as error:
            if error.reason != _TOO_OFTEN:
                return _not_ready(error)
        return JSONResponse(_ALIVE)

    return [Route("/healthz", alive), Route("/readyz", ready)]


def _not_ready(error: CallError) -> JSONResponse:
    """Tell anybody that it is not ready, and the log why: where servers are is no business of
    strangers.
    """
    log.warning("not_ready", code=error.code.name, message=str(error))
    is_refused = isinstance(error, Unauthenticated)
    why = "the gateway's own credential is refused" if is_refused else "no server can be asked"
    return JSONResponse({"status": "unavailable", "message": why}, 503, {"retry-after": "5"})

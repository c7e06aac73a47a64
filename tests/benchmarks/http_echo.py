"""The baseline of HTTP: a bare Starlette application on the same uvicorn as the gateway's.

Run as a program it names its address; it answers a post with the bytes of its body.
"""

from __future__ import annotations

import socket

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from longshore.gateway.connections import bounded
from longshore.gateway.settings import GatewaySettings


async def serve() -> None:
    """Serve until the process is ended."""
    route = Route("/v1/tasks", _same, methods=["POST"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
    config = uvicorn.Config(
        Starlette(routes=[route]),
        http=bounded(GatewaySettings()),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    print(f"echo listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])


async def _same(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


if __name__ == "__main__":
    uvloop.run(serve())

"""HTTP servers of the benchmarks: `python -m tests.benchmarks.http_server SERVER | echo`.

Both run on the same uvicorn: the gateway in front of a server, without dialects, or a bare
Starlette application that reads a body and answers with the same bytes. Names its address.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping

import structlog
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from longshore.client import Relay
from longshore.gateway.callers import Way
from longshore.gateway.connections import bounded
from longshore.gateway.dialects import Gateway
from longshore.gateway.links import Links
from longshore.gateway.serving import serving
from longshore.gateway.settings import GatewaySettings, Limits


async def gateway(server: str) -> None:
    """Serve the gateway of a server until the process is ended."""
    settings = GatewaySettings(listen="127.0.0.1:0", mounts={})
    async with Relay(server) as relay:
        parts = Gateway(settings, Way(relay, _nobody), Links(settings))
        async with serving(parts) as address:
            print(f"gateway listening on {address}", flush=True)
            await asyncio.Event().wait()


async def echo() -> None:
    """Serve the echo until the process is ended."""
    route = Route("/v1/tasks", _same, methods=["POST"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
    config = uvicorn.Config(
        Starlette(routes=[route]),
        http=bounded(Limits()),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    print(f"echo listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])


async def _same(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


def _nobody() -> Mapping[str, str]:
    return {}


if __name__ == "__main__":
    # As `--log-level warning` of the command line does.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        cache_logger_on_first_use=True,
    )
    uvloop.run(echo() if sys.argv[1] == "echo" else gateway(sys.argv[1]))

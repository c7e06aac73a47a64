"""The MDWorkbench dialect: launches of services in one queue that administrators order, with
the services themselves, a storage for what is too large for a form, and the server's state.
"""

from __future__ import annotations

from fastapi import FastAPI

from longshore.gateway.dialects import Gateway
from longshore.gateway.mdworkbench import launch, server_state, service, storage
from longshore.gateway.mdworkbench.errors import answer_errors


def application(gateway: Gateway) -> FastAPI:
    """Return the dialect, to be mounted at `/mdworkbench` or elsewhere."""
    made = FastAPI(
        title="MDWorkbench",
        summary="Launch, Service, Storage and Server State",
        openapi_url=None,
        redirect_slashes=False,
    )
    made.include_router(launch.router(gateway))
    made.include_router(service.router(gateway))
    made.include_router(storage.router(gateway))
    made.include_router(server_state.router(gateway))
    answer_errors(made)
    return made

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
    launch.add_routes(made, gateway)
    service.add_routes(made, gateway)
    storage.add_routes(made, gateway)
    server_state.add_routes(made, gateway)
    answer_errors(made)
    return made

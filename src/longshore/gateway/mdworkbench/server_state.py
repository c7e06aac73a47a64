"""Server State: what the server does with launches, for administrators."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Malformed
from longshore.gateway.mdworkbench.administrators import administrator
from longshore.gateway.mdworkbench.documents import (
    ADMINISTRATOR,
    Unset,
    described,
    one_of,
    shown,
)
from longshore.gateway.mdworkbench.representations import answer
from longshore.gateway.mdworkbench.shapes import Shape
from longshore.v1.operation_pb2 import Kind, State
from longshore.v1.server_service_pb2 import GetStatusResponse, ServerMode

ModeName = Literal["active", "suspended", "maintenance"]

_MODES: Final[dict[ModeName, ServerMode.ValueType]] = {
    "active": ServerMode.SERVER_MODE_ACTIVE,
    "suspended": ServerMode.SERVER_MODE_SUSPENDED,
    "maintenance": ServerMode.SERVER_MODE_MAINTENANCE,
}
_NAMES: Final[dict[ServerMode.ValueType, ModeName]] = {
    mode: name for name, mode in _MODES.items()
}
_BOOLEANS: Final = {"true": True, "false": False}


class Mode(Shape):
    """What the server does, and whether it is active again after the next start."""

    value: ModeName
    resume_on_restart: bool


class LaunchCounts(Shape):
    """How many launches there are that have not ended."""

    running: int
    waiting: int


class ServerState(Shape):
    """How the server is."""

    state: Mode
    launch: LaunchCounts


def add_routes(application: FastAPI, gateway: Gateway) -> None:
    """Add the routes of the Server State interface."""
    own = _ServerState(gateway)
    add = partial(application.add_api_route, tags=["MDWorkbench Server State"])
    add(
        "/server/state",
        own.get,
        methods=["GET"],
        summary="Gets what the server does",
        responses={**shown(ServerState), **described(401, 403, 406)},
        dependencies=ADMINISTRATOR,
    )
    add(
        "/server/state",
        own.put,
        methods=["PUT"],
        summary="Sets what the server does",
        response_class=Response,
        responses=described(400, 401, 403),
        dependencies=ADMINISTRATOR,
    )


class _ServerState:
    """The verbs of the interface."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def get(self, request: Request) -> Response:
        asking = await administrator(self._gateway, request)
        return answer(request, "server", server_state(await asking.server.status()))

    async def put(
        self,
        request: Request,
        value: Annotated[Unset[str], one_of(*_MODES)] = None,
        resume_on_restart: Annotated[
            str, one_of(*_BOOLEANS, called="resumeOnRestart")
        ] = "true",
    ) -> Response:
        asking = await administrator(self._gateway, request)
        mode = next((mode for name, mode in _MODES.items() if name == value), None)
        if mode is None:
            raise Malformed(f"value is one of {', '.join(_MODES)}", "value")
        if resume_on_restart not in _BOOLEANS:
            raise Malformed("resumeOnRestart is true or false", "resumeOnRestart")
        await asking.server.set_mode(mode, resume_on_restart=_BOOLEANS[resume_on_restart])
        return Response()


def server_state(status: GetStatusResponse) -> ServerState:
    """Return how the server is, as it is shown."""
    counts = {one.state: one.count for one in status.counts if one.kind == Kind.KIND_LAUNCH}
    return ServerState(
        state=Mode(value=_NAMES[status.mode], resume_on_restart=status.resume_on_restart),
        launch=LaunchCounts(
            running=counts.get(State.STATE_RUNNING, 0),
            waiting=counts.get(State.STATE_QUEUED, 0) + counts.get(State.STATE_SUSPENDED, 0),
        ),
    )

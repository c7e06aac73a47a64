"""Launch: services launched, looked at and canceled by anybody, put in order by administrators."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from longshore.client import FailedPrecondition, NotFound, Relayed
from longshore.gateway.dialects import Gateway, is_id
from longshore.gateway.faults import Malformed, Missing, UnsupportedMedia
from longshore.gateway.forms import MULTIPART, form_of
from longshore.gateway.mdworkbench.administrators import administrator
from longshore.gateway.mdworkbench.arguments import arguments_of, given
from longshore.gateway.mdworkbench.documents import (
    ADMINISTRATOR,
    FORM,
    Unset,
    described,
    one_of,
    shown,
)
from longshore.gateway.mdworkbench.downloads import zip_of
from longshore.gateway.mdworkbench.ids import whole
from longshore.gateway.mdworkbench.logs import log_of
from longshore.gateway.mdworkbench.representations import answer, answer_pages
from longshore.gateway.mdworkbench.service import KindName, kind_of, launchable
from longshore.gateway.mdworkbench.shapes import (
    LaunchDetails,
    LaunchSummary,
    details,
    launch_uri,
    summary,
)
from longshore.gateway.mdworkbench.uploads import has_body
from longshore.gateway.requests import media_type
from longshore.v1.catalog_service_pb2 import Parameter
from longshore.v1.launch_service_pb2 import Direction
from longshore.v1.operation_pb2 import Callback, CallbackFormat

_DIRECTIONS: Final = {
    "top": Direction.DIRECTION_TOP,
    "up": Direction.DIRECTION_UP,
    "down": Direction.DIRECTION_DOWN,
    "bottom": Direction.DIRECTION_BOTTOM,
}
_MOST_OF_A_PAGE: Final = 1_000

_Direction = Annotated[Unset[str], one_of(*_DIRECTIONS)]
_Ids = Annotated[
    list[str], Query(alias="id", default_factory=list, description="Launches to move.")
]
_Service = Annotated[Unset[str], Query(alias="id", description="The service that is launched.")]
_Told = Annotated[
    Unset[str], Header(description="A URL that is sent the launch when it has ended.")
]


def add_routes(application: FastAPI, gateway: Gateway) -> None:
    """Add the routes of the Launch interface."""
    own = _Launch(gateway)
    add = partial(application.add_api_route, tags=["MDWorkbench Launch"])
    add(
        "/launch",
        own.queue,
        methods=["GET"],
        summary="Gets what runs and what waits, in order",
        responses={**shown(list[LaunchSummary]), **described(400, 401, 403, 406)},
        dependencies=ADMINISTRATOR,
    )
    add(
        "/launch",
        own.launch,
        methods=["POST"],
        summary="Launches a service",
        response_class=Response,
        responses={
            200: {"headers": {"Content-Location": {"schema": {"type": "string"}}}},
            **described(400, 404, 413, 415, 503),
        },
        openapi_extra=FORM,
    )
    add(
        "/launch",
        own.reorder,
        methods=["PUT"],
        summary="Moves launches that wait",
        response_class=Response,
        responses=described(400, 401, 403),
        dependencies=ADMINISTRATOR,
    )
    add(
        "/launch/{launch_id}",
        own.get,
        methods=["GET"],
        summary="Gets a launch",
        responses={**shown(LaunchDetails), **described(404, 406)},
    )
    add(
        "/launch/{launch_id}",
        own.cancel,
        methods=["DELETE"],
        summary="Cancels a launch",
        response_class=Response,
        responses=described(404),
    )
    add(
        "/launch/{launch_id}/files",
        own.files,
        methods=["GET"],
        summary="Gets a zip of what a launch has made",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/zip": {}}}, **described(404)},
    )


class _Launch:
    """The verbs of the interface."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def queue(self, request: Request, kind: KindName = None) -> Response:
        asking = await administrator(self._gateway, request)
        base = self._gateway.links.base(request)
        queue = asking.launches.queue(kind_of(kind), page_size=_MOST_OF_A_PAGE)
        pages = (
            [summary(one.message, base) for one in page.items] async for page in queue.pages()
        )
        return await answer_pages(request, "launches", pages)

    async def get(self, request: Request, launch_id: str) -> Response:
        launch_id = whole(launch_id, "launch")
        own = self._gateway.way.itself(request)
        launch = (await own.launches.get(launch_id)).message
        entries = await log_of(own, launch_id)
        base, now = self._gateway.links.base(request), datetime.now(UTC)
        return answer(request, "launch", details(launch, entries, base, now))

    async def launch(
        self, request: Request, service: _Service = None, status_location: _Told = None
    ) -> Response:
        if not service:
            raise Missing("the id of the service that is launched is needed", "id")
        own = self._gateway.way.itself(request)
        parameters = (await launchable(own, service)).actions[0].parameters
        arguments = await self._arguments(request, parameters, own)
        options: dict[str, Any] = {}
        if status_location:
            told = CallbackFormat.CALLBACK_FORMAT_MDWORKBENCH
            options["callback"] = Callback(url=status_location, format=told)
        try:
            made = await own.launches.submit(service, arguments, **options)
        except NotFound as error:
            if error.reason == "FILE_NOT_FOUND":
                raise Malformed(str(error)) from None  # 404 is said of the service.
            raise
        location = launch_uri(made.id, self._gateway.links.base(request))
        return Response(headers={"content-location": location})

    async def _arguments(
        self, request: Request, parameters: Sequence[Parameter], own: Relayed
    ) -> dict[str, Any]:
        """Return the arguments of a request. Raises `Fault` and `CallError`."""
        base = self._gateway.links.base(request)
        if not await has_body(request):
            sent = given(parameters, request.headers, None)
            return await arguments_of(parameters, sent, base, own)
        if media_type(request) != MULTIPART:
            raise UnsupportedMedia(f"parameters are sent as {MULTIPART}, or as headers")
        form = await form_of(request, self._gateway.settings.limits)
        try:
            sent = given(parameters, request.headers, form)
            return await arguments_of(parameters, sent, base, own)
        finally:
            await form.close()

    async def reorder(
        self, request: Request, launch_ids: _Ids, direction: _Direction = None
    ) -> Response:
        asking = await administrator(self._gateway, request)
        if direction not in _DIRECTIONS:
            raise Malformed(f"direction is one of {', '.join(_DIRECTIONS)}", "direction")
        ids = dict.fromkeys(one.lower() for one in launch_ids if is_id(one))
        await _move(asking, _DIRECTIONS[direction], list(ids))
        return Response()

    async def cancel(self, request: Request, launch_id: str) -> Response:
        own = self._gateway.way.itself(request)
        with suppress(FailedPrecondition):  # It has ended, and stays as it is.
            await own.launches.cancel(whole(launch_id, "launch"))
        return Response()

    async def files(self, request: Request, launch_id: str) -> StreamingResponse:
        launch_id = whole(launch_id, "launch")
        return await zip_of(self._gateway.way.itself(request), launch_id)


async def _move(asking: Relayed, direction: Direction.ValueType, ids: list[str]) -> None:
    """Move those of the launches that there are. Raises `Malformed` if none of them waits."""
    while ids:
        try:
            await asking.launches.move(direction, *ids)
        except NotFound as error:
            ids.remove(error.metadata["operation_id"])
        except FailedPrecondition:
            break
        else:
            return
    raise Malformed("no launch that waits matches", "id")

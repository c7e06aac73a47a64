"""Storage: what is too large for a form or an answer."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from longshore.gateway.dialects import Gateway
from longshore.gateway.mdworkbench.documents import described
from longshore.gateway.mdworkbench.downloads import file_of
from longshore.gateway.mdworkbench.ids import whole
from longshore.gateway.mdworkbench.shapes import storage_uri
from longshore.gateway.mdworkbench.uploads import preset, upload_body

_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_STORED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {"Content-Location": {"schema": {"type": "string"}}}}
}
_FILE: Final = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "description": described_as,
            "schema": {"type": "string"},
        }
        for name, described_as in (
            ("Content-Encoding", "How the bytes are encoded."),
            ("Content-Disposition", "How they should be offered to a person."),
            ("Content-Expiration", "Seconds until they are removed; negative: never."),
        )
    ],
    "requestBody": {
        "required": True,
        "description": "The bytes, or a form of which the first file is taken.",
        "content": {
            "application/octet-stream": _BYTES,
            "multipart/form-data": {"schema": {"type": "object"}},
        },
    },
}


def add_routes(application: FastAPI, gateway: Gateway) -> None:
    """Add the routes of the Storage interface."""
    own = _Storage(gateway)
    add = partial(application.add_api_route, tags=["MDWorkbench Storage"])
    add(
        "/storage",
        own.store,
        methods=["POST"],
        summary="Stores bytes",
        response_class=Response,
        responses={**_STORED, **described(400, 413, 503)},
        openapi_extra=_FILE,
    )
    add(
        "/storage/{storage_id}",
        own.get,
        methods=["GET"],
        summary="Gets bytes and their headers",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/octet-stream": _BYTES}}, **described(404)},
    )
    add(
        "/storage/{storage_id}",
        own.replace,
        methods=["PUT"],
        summary="Stores other bytes in the place of some",
        response_class=Response,
        responses={**_STORED, **described(400, 404, 409, 413, 503)},
        openapi_extra=_FILE,
    )
    add(
        "/storage/{storage_id}",
        own.delete,
        methods=["DELETE"],
        summary="Removes bytes",
        response_class=Response,
        responses=described(404, 409),
    )


class _Storage:
    """The verbs of the interface."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def store(self, request: Request) -> Response:
        return await self._keep(request)

    async def get(self, request: Request, storage_id: str) -> StreamingResponse:
        storage_id = whole(storage_id, "storage")
        return await file_of(self._gateway.way.itself(request), storage_id)

    async def replace(self, request: Request, storage_id: str) -> Response:
        return await self._keep(request, whole(storage_id, "storage"))

    async def delete(self, request: Request, storage_id: str) -> Response:
        await self._gateway.way.itself(request).files.delete(whole(storage_id, "storage"))
        return Response()

    async def _keep(self, request: Request, file_id: str = "") -> Response:
        own, limits = self._gateway.way.itself(request), self._gateway.settings.limits
        file = await upload_body(own, request, preset(request, file_id), limits)
        location = storage_uri(file.file_id, self._gateway.links.base(request))
        return Response(headers={"content-location": location})

"""Routes: the one that tells how a job is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Path, Security
from fastapi.security.http import HTTPBase
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import Relayed
from longshore.gateway.dialects import Gateway, is_id
from longshore.gateway.ehealth import errors
from longshore.gateway.ehealth.errors import Errors, Refused
from longshore.gateway.ehealth.shapes import AsyncJobState, Failure, state_shape
from longshore.v1.server_service_pb2 import API_KEY_MISSING, API_KEY_WRONG, GetCallerResponse

_PATH: Final = "/patients/composition/job/{asyncJobId}"
_SCOPE: Final = "viewer"  #: The role that `composition:read` is here.

_ENCODED: Final = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*")

_ROUTE: Final[dict[str, Any]] = {
    "methods": ["GET"],
    "summary": "Get the state of an asynchronous job",
    "response_class": Response,
    # For the document only: servers look at credentials.
    "dependencies": [
        Security(HTTPBase(scheme="bearer", scheme_name="ehealth_bearer", auto_error=False))
    ],
    "responses": {
        200: {"model": AsyncJobState, "description": "Task found"},
        400: {"model": Failure, "description": "Invalid request format"},
        401: {"model": Failure, "description": "Token or key are missing or wrong"},
        403: {"model": Failure, "description": "The scope composition:read is missing"},
        404: {"model": Failure, "description": "Task not found"},
        "4XX": {"model": Failure, "description": "Any other refusal"},
        "5XX": {"model": Failure, "description": "Nobody can answer at present"},
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "api-key",
                "in": "header",
                "required": False,
                "description": "The caller's second secret, if it has one.",
                "schema": {"type": "string"},
            }
        ]
    },
}


def application(gateway: Gateway) -> FastAPI:
    """Return the API of eHealth's composition jobs."""
    app = FastAPI(
        title="eHealth composition jobs",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers=Errors(gateway.links).handlers,
    )
    app.add_api_route(_PATH, _Jobs(gateway).state, **_ROUTE)
    return app


@dataclass(frozen=True, slots=True)
class _Jobs:
    gateway: Gateway

    async def state(
        self,
        request: Request,
        job_id: Annotated[
            str, Path(alias="asyncJobId", description="The id that the job was made with.")
        ],
    ) -> Response:
        """Tell whether a job is pending, done or failed, when to ask again, and its links."""
        settings = self.gateway.settings
        _refuse_malformed(request)
        asking = self.gateway.way.of(request, _bearer(request))
        caller = await asking.server.caller()
        _refuse_strangers(caller, as_of_old=settings.ehealth_scope_401)
        shown = await self._shown(asking, job_id)
        return Response(shown.model_dump_json(exclude_none=True), media_type="application/json")

    async def _shown(self, asking: Relayed, job_id: str) -> AsyncJobState:
        if not is_id(job_id):
            raise Refused(errors.NOT_FOUND)
        found = await asking.operations.get(job_id)
        entity = self.gateway.settings.ehealth_entity
        return state_shape(found.message, entity, datetime.now(UTC))


def _refuse_malformed(request: Request) -> None:
    """Raise `Refused` if the URL is none: not encoded, or no text."""
    for part in (request.scope["raw_path"], request.scope["query_string"]):
        try:
            unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            raise Refused(errors.MALFORMED) from None
        if not _ENCODED.fullmatch(part):
            raise Refused(errors.MALFORMED)


def _bearer(request: Request) -> str:
    """Return the bearer token as it came. Raises `Refused`."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(errors.NO_BEARER)
    return header


def _refuse_strangers(caller: GetCallerResponse, *, as_of_old: bool) -> None:
    if caller.api_key == API_KEY_MISSING:
        raise Refused(errors.NO_API_KEY)
    if caller.api_key == API_KEY_WRONG:
        raise Refused(errors.WRONG_API_KEY)
    if _SCOPE not in caller.roles:
        raise Refused(errors.NO_SCOPE_AS_OF_OLD if as_of_old else errors.NO_SCOPE)

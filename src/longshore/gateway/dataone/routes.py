"""Routes: submit, list, and login where it is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Query, Security
from fastapi.security.http import HTTPBase
from starlette.requests import Request
from starlette.responses import Response

from longshore.client import Relayed
from longshore.gateway.dataone.errors import HANDLERS
from longshore.gateway.dataone.login import Seal, basic_of, credential_of
from longshore.gateway.dataone.paging import link_of, page_of
from longshore.gateway.dataone.query import ListQuery
from longshore.gateway.dataone.shapes import Failure, Job, JobList, Login, Shape, job_shape
from longshore.gateway.dataone.submission import Submission, submission_of, submit
from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Malformed, UnsupportedMedia
from longshore.gateway.forms import form_of
from longshore.gateway.requests import media_type, object_of

_PATH: Final = "/job-manager/jobs"
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"

#: What statuses of failures mean, those that every route has and those of some.
_FAILED: Final[Mapping[int | str, str]] = MappingProxyType(
    {
        400: "The request cannot be read.",
        401: "There is no credential, or it is wrong or has expired.",
        403: "The user may not do so.",
        404: "There is no such contract, or no such action of it.",
        413: "That is more than is taken.",
        415: "That is of a kind that is not read.",
        503: "Nobody can serve the request at present.",
        "4XX": "The request cannot be served as it is.",
        "5XX": "The request cannot be served.",
    }
)
_SOME: Final = frozenset({403, 404, 413, 415})


def _failures(*some: int) -> dict[int | str, dict[str, Any]]:
    """Return the failures that a route documents, with those of some that it has as well."""
    return {
        status: {"model": Failure, "description": meaning}
        for status, meaning in _FAILED.items()
        if status not in _SOME or status in some
    }


#: For the document only: servers look at credentials.
_CREDENTIALS: Final = [
    Security(HTTPBase(scheme=scheme, scheme_name=f"dataone_{scheme}", auto_error=False))
    for scheme in ("bearer", "basic")
]

_NOT_EMPTY: Final = {"type": "string", "minLength": 1}


def _taking(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


_SUBMIT: Final[dict[str, Any]] = {
    "status_code": 201,
    "response_class": Response,
    "responses": {
        201: {"model": Job, "description": "The new job."},
        409: {"model": Job, "description": "The job of the first submit, as it is now."},
        **_failures(403, 404, 413, 415),
    },
    "openapi_extra": _taking(_JSON, Submission.model_json_schema()),
}

_LIST: Final[dict[str, Any]] = {
    "response_class": Response,
    "responses": {200: {"model": JobList, "description": "A page of jobs."}, **_failures(403)},
}

_LOGIN: Final[dict[str, Any]] = {
    "response_class": Response,
    "responses": {200: {"model": Login, "description": "A token."}, **_failures(413, 415)},
    "openapi_extra": _taking(
        _FORM,
        {
            "type": "object",
            "required": ["username", "password"],
            "properties": {"username": _NOT_EMPTY, "password": _NOT_EMPTY},
        },
    ),
}


def application(gateway: Gateway) -> FastAPI:
    """Return the API of Data One's job manager."""
    app = FastAPI(
        title="Data One Job Manager",
        version="2",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    settings = gateway.settings
    key = settings.dataone_login_key
    seal = Seal(key, settings.dataone_login_lifetime) if key else None
    jobs = _Jobs(gateway, seal)
    needs = [*_CREDENTIALS, Depends(jobs.introduced)]
    add = partial(app.add_api_route, _PATH, dependencies=needs)
    add(jobs.submit, summary="Submit", methods=["POST"], **_SUBMIT)
    add(jobs.list, summary="Job list", methods=["GET"], **_LIST)
    if seal is not None:
        login = _Logins(gateway, seal).login
        app.add_api_route("/login", login, summary="Login", methods=["POST"], **_LOGIN)
    return app


@dataclass(frozen=True, slots=True)
class _Jobs:
    gateway: Gateway
    seal: Seal | None

    async def introduced(self, request: Request) -> None:
        """Let nobody without a credential know what is wrong with a request, if one is needed."""
        if "authorization" not in request.headers:
            await self._asking(request).server.caller()

    async def submit(self, request: Request) -> Response:
        """Submit an action of a contract as a job.

        With an `extIPID` that the same user, contract and action had before, the job of then
        is answered with 409, and nothing is made: a safe retry.
        """
        if media_type(request) not in ("", _JSON):
            raise UnsupportedMedia(f"{_JSON} is needed")
        wanted = submission_of(await object_of(request, self.gateway.settings.limits))
        job = await submit(self._asking(request), wanted)
        return _answer(job_shape(job.message), 201 if job.created else 409)

    async def list(self, request: Request, query: Annotated[ListQuery, Query()]) -> Response:
        """List the jobs that match all parameters exactly, page by page."""
        for field in ListQuery.model_fields.values():
            if len(request.query_params.getlist(str(field.alias))) > 1:
                raise Malformed("it stands there more than once", str(field.alias))
        page = await page_of(self._asking(request), query)
        link = link_of(request, self.gateway.links, page.cursor) if page.cursor else None
        return _answer(JobList(jobs=[job_shape(job) for job in page.jobs], next=link), 200)

    def _asking(self, request: Request) -> Relayed:
        return self.gateway.way.of(request, credential_of(request, self.seal))


@dataclass(frozen=True, slots=True)
class _Logins:
    gateway: Gateway
    seal: Seal

    async def login(self, request: Request) -> Response:
        """Get a token for a name and a password, to be sent as a bearer token."""
        form = await form_of(request, self.gateway.settings.limits)
        try:
            credential = basic_of(form)
        finally:
            await form.close()
        await self.gateway.way.of(request, credential).server.caller()
        token = self.seal.token(credential)
        login = Login(access_token=token, expires_in=self.seal.seconds)
        answer = _answer(login, 200)
        answer.headers["cache-control"] = "no-store"
        return answer


def _answer(shape: Shape, status: int) -> Response:
    return Response(
        shape.model_dump_json(by_alias=True, exclude_none=True), status, media_type=_JSON
    )
